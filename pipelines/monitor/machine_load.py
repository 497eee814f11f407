"""The load of the machine on which the launcher runs, in percent."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class MachineLoad:
    """One look at the machine; percentages from 0 to 100, None where they can't be measured.

    Attributes:
        cpu: Of all processors, since the look before.
        memory: Of the memory that is in use.
        disk: Of the disk for temporary files.
        network: Of the speed of the busiest network interface, since the look before.
        process_bytes: Memory of this process and of its children.
    """

    cpu: float | None
    memory: float | None
    disk: float | None
    network: float | None
    process_bytes: int | None


class MachineMeter:
    """Measures the load between one call and the next."""

    def __init__(self) -> None:
        psutil.cpu_percent()
        self._traffic = _read_traffic()
        self._looked = time.monotonic()

    def measure(self) -> MachineLoad:
        """Measure the load since the last call."""
        return MachineLoad(
            cpu=psutil.cpu_percent(),
            memory=psutil.virtual_memory().percent,
            disk=_measure_disk(),
            network=self._measure_network(),
            process_bytes=_measure_process(),
        )

    def _measure_network(self) -> float | None:
        traffic, now = _read_traffic(), time.monotonic()
        before, seconds = self._traffic, max(now - self._looked, 0.001)
        self._traffic, self._looked = traffic, now
        shares = [
            100 * 8 * (traffic[name] - before[name]) / seconds / (stats.speed * 1e6)
            for name, stats in psutil.net_if_stats().items()
            # The speed is in megabits, and 0 where the system doesn't know it.
            if stats.isup and stats.speed and name in traffic and name in before
        ]
        return max(shares, default=None)


def _read_traffic() -> dict[str, int]:
    """Bytes by interface, in the direction with more of them."""
    counters = psutil.net_io_counters(pernic=True)
    return {name: max(one.bytes_sent, one.bytes_recv) for name, one in counters.items()}


def _measure_disk() -> float | None:
    try:
        return float(psutil.disk_usage(tempfile.gettempdir()).percent)
    except OSError:
        return None


def _measure_process() -> int | None:
    try:
        process = psutil.Process()
        family = [process, *process.children(recursive=True)]
        return sum(_resident_bytes(one) for one in family)
    except psutil.Error:
        return None


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        # A child that has just ended.
        return 0
