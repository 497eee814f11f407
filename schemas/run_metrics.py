"""The metrics of a run: what is measured, and an alert about one of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from schemas.errors import ErrorCode


class Metric(str, Enum):
    """What has a limit; the values are the keys of ``monitor`` in a specification."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    ERRORS = "errors"
    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"
    NETWORK = "network"

    @property
    def code(self) -> ErrorCode:
        """The code of an alert about it."""
        if self is Metric.ERRORS:
            return ErrorCode.DATA_005
        return ErrorCode.SYS_005 if self is Metric.DISK else ErrorCode.SYS_002


@dataclass(frozen=True)
class RunSample:
    """The measures of a run at one moment; None where there is nothing to measure.

    Attributes:
        rows: Source rows that are committed so far, of all runs of the job.
        rows_per_second: Those committed since the sample before, by the time between.
        seconds_per_partition: The mean time of the commits since the sample before.
        rejected_percent: Rejected rows among the candidates so far that weren't skipped.
        cpu_percent: The launcher's machine since the sample before.
        memory_percent: The launcher's machine.
        disk_percent: The disk of the launcher's temporary files.
        network_percent: The launcher's busiest network interface since the sample before.
        process_bytes: Memory of the launcher and its children.
        is_loading: Whether rows could be committed; else duplicates are searched for, or a load is
            settled, and the throughput says nothing.
    """

    rows: int
    rows_per_second: float
    seconds_per_partition: float | None = None
    rejected_percent: float | None = None
    cpu_percent: float | None = None
    memory_percent: float | None = None
    disk_percent: float | None = None
    network_percent: float | None = None
    process_bytes: int | None = None
    is_loading: bool = True


@dataclass(frozen=True)
class UsualRates:
    """What is usual in a job, from its own history; None before there is enough of it.

    Attributes:
        rows_per_second: The median of its samples.
        seconds_per_partition: The median of its samples.
    """

    rows_per_second: float | None = None
    seconds_per_partition: float | None = None


@dataclass(frozen=True)
class StoredAlert:
    """An alert as ``migration_alerts`` has it.

    Attributes:
        metric: The metric.
        code: The error code.
        message: What was measured first.
        began_at: When it began.
        ended_at: When the metric was within its limit again; None if it isn't yet.
    """

    metric: str
    code: str
    message: str
    began_at: datetime
    ended_at: datetime | None
