"""This machine: processors, memory, disks, and the limit of open files."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from pipelines.doctor.health_finding import HealthFact, Observation, advise, warn
from schemas.errors import ErrorCode
from schemas.specification.root import Specification

_ENOUGH_FILES = 1024
"""Open files that a run may need: connections, spilled rows, sockets of workers."""


def examine_machine(specification: Specification, source_bytes: int) -> Iterator[Observation]:
    """Examine this machine against the limits of a specification.

    Args:
        specification: It has ``limits.memory``.
        source_bytes: The size of the source's tables.

    Yields:
        Facts and findings (SYS-001, SYS-002, SYS-005).
    """
    processors = os.cpu_count() or 1
    load = os.getloadavg()[0]
    yield HealthFact("machine", "processors", processors)
    yield HealthFact("machine", "load (1 min)", round(load, 2))
    if load > 4 * processors:
        yield advise(
            ErrorCode.SYS_002,
            "machine",
            f"{load:.1f} processes wait for {processors} processors",
            "top -o %CPU  # and end or move what isn't needed",
        )
    available = psutil.virtual_memory().available
    needed = int(specification.limits.memory)
    yield HealthFact("machine", "memory available (MB)", available // 10**6)
    yield HealthFact("machine", "limits.memory (MB)", needed // 10**6)
    if available < needed:
        yield warn(
            ErrorCode.SYS_001,
            "machine",
            f"{available // 10**6:,} MB of memory are available, and limits.memory is"
            f" {needed // 10**6:,} MB",
            f"limits: {{memory: {max(available * 3 // 4 // 10**6, 1)}MB}}  # or free memory",
        )
    folder = Path(tempfile.gettempdir())
    # Keys of rows that are compared, and rows that are grouped: a part of each row.
    yield from examine_disk("machine", folder, source_bytes // 4)
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield HealthFact("machine", "open files allowed", files)
    if 0 <= files < _ENOUGH_FILES:
        wanted = _ENOUGH_FILES if most < 0 else min(_ENOUGH_FILES, most)
        yield advise(
            ErrorCode.SYS_005,
            "machine",
            f"a process may open {files} files, and a run can need {_ENOUGH_FILES}",
            f"ulimit -n {wanted}",
        )


def examine_disk(place: str, folder: Path, needed: int) -> Iterator[Observation]:
    """Examine the room that a folder has.

    Args:
        place: The name of the machine in the report.
        folder: The folder.
        needed: The bytes that a run is expected to write there.

    Yields:
        A fact, and a warning if there isn't room for twice the bytes (SYS-005).
    """
    try:
        free = psutil.disk_usage(str(folder)).free
    except OSError:
        # The folder of a server's data is seldom open to others.
        return
    yield HealthFact(place, f"free in {folder} (MB)", free // 10**6)
    if free < 2 * needed:
        yield warn(
            ErrorCode.SYS_005,
            f"{place}, {folder}",
            f"{free // 10**6:,} MB are free, and a run may need {needed // 10**6:,} MB there",
            f"du -xh --max-depth=2 {folder} | sort -h | tail  # and free room, or use TMPDIR",
        )
