"""Which metrics of a sample are beyond their limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.run_metrics import Metric, RunSample, UsualRates
from schemas.specification.monitoring import Monitoring


@dataclass(frozen=True)
class Excess:
    """A metric beyond its limit.

    Attributes:
        metric: The metric.
        measured: What was measured, in rows per second, seconds or percent.
        limit: The limit in the same unit.
        message: Both in words.
    """

    metric: Metric
    measured: float
    limit: float
    message: str

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES[self.metric]


_SLOW = "look at 'transfuse status', and for locks, slow statements and busy disks on both servers"

_REMEDIES = {
    Metric.THROUGHPUT: _SLOW,
    Metric.LATENCY: _SLOW,
    Metric.ERRORS: "look at 'transfuse rejects list'; 'transfuse stop' ends the run in order",
    Metric.CPU: "run with fewer workers (--direct_num_workers), or end other programs",
    Metric.MEMORY: "use fewer workers or a lower limits.memory, and start again",
    Metric.DISK: "make room where temporary files are (TMPDIR)",
    Metric.NETWORK: "lower limits.connections and start again, or wait for other transfers",
}


def find_excesses(sample: RunSample, usual: UsualRates, limits: Monitoring) -> list[Excess]:
    """Find the metrics of a sample that are beyond their limits.

    Args:
        sample: The sample.
        usual: What is usual in the job.
        limits: The limits of the specification.

    Returns:
        At most one for each metric. A metric that can't be measured, or has nothing to be compared
        with, is within its limit.
    """
    return [*_rates(sample, usual, limits), *_shares(sample, limits)]


def _rates(sample: RunSample, usual: UsualRates, limits: Monitoring) -> Iterator[Excess]:
    if usual.rows_per_second is not None and sample.is_loading:
        least = usual.rows_per_second * limits.throughput
        if sample.rows_per_second < least:
            yield Excess(
                Metric.THROUGHPUT,
                sample.rows_per_second,
                least,
                f"{sample.rows_per_second:,.0f} rows/s, under {limits.throughput:.0%} of the usual"
                f" {usual.rows_per_second:,.0f}",
            )
    seconds = sample.seconds_per_partition
    if usual.seconds_per_partition is not None and seconds is not None:
        most = usual.seconds_per_partition * limits.latency
        if seconds > most:
            yield Excess(
                Metric.LATENCY,
                seconds,
                most,
                f"{seconds:.2f} s for a partition, over {limits.latency:.0%} of the usual"
                f" {usual.seconds_per_partition:.2f} s",
            )


def _shares(sample: RunSample, limits: Monitoring) -> Iterator[Excess]:
    shares = {
        Metric.ERRORS: (sample.rejected_percent, limits.errors, "of the rows are rejected"),
        Metric.CPU: (sample.cpu_percent, limits.cpu, "of the processors are busy"),
        Metric.MEMORY: (sample.memory_percent, limits.memory, "of the memory is in use"),
        Metric.DISK: (sample.disk_percent, limits.disk, "of the disk for temporary files is full"),
        Metric.NETWORK: (sample.network_percent, limits.network, "of the network is in use"),
    }
    for metric, (measured, limit, words) in shares.items():
        if measured is not None and measured > 100 * limit:
            message = f"{measured:.1f}% {words}, over {limit:.0%}"
            yield Excess(metric, measured, 100 * limit, message)
