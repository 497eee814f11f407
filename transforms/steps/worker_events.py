"""The events that workers log: a load begins, a partition is committed or has failed.

One event a partition and none a row, so that a log costs nothing. Times are those of this process:
where an engine reads a partition in one process and commits it in another, its time is that of the
commit alone.
"""

from __future__ import annotations

import logging
import threading
import time

from schemas.errors import ErrorCode
from transforms.commit.partition_transaction import CommittedPartition
from transforms.model.log_event import EventPlace, log_event
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext

logger = logging.getLogger("transfuse.steps")

_MOST_HELD = 10_000
"""Start times that a process holds. Those of partitions that are committed elsewhere stay."""


class PartitionClock:
    """When this process began to read partitions, and which loads it has begun."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._starts: dict[tuple[str, str, str], float] = {}
        self._loads: set[tuple[str, str]] = set()

    def start(self, context: RunContext, partition: Partition) -> bool:
        """Note that a partition is being read; whether it is the first of its load here."""
        load = (context.token, partition.load)
        with self._lock:
            if len(self._starts) >= _MOST_HELD:
                self._starts.clear()
            self._starts[context.token, partition.load, partition.id] = time.monotonic()
            is_first = load not in self._loads
            if len(self._loads) >= _MOST_HELD:
                self._loads.clear()
            self._loads.add(load)
        return is_first

    def stop(self, context: RunContext, partition: Partition) -> float | None:
        """The seconds since a partition was started; None if that wasn't here."""
        key = (context.token, partition.load, partition.id)
        with self._lock:
            started = self._starts.pop(key, None)
        return None if started is None else time.monotonic() - started


_clock = PartitionClock()


def log_read(context: RunContext, partition: Partition) -> None:
    """Start the clock of a partition, and log that its load begins if it is the first."""
    if _clock.start(context, partition):
        place = EventPlace.of(context, partition.load)
        log_event(logger, logging.INFO, "the load begins in this process", place)


def log_committed(context: RunContext, committed: CommittedPartition, seconds: float) -> None:
    """Log the counts of a partition and the time that it took.

    Args:
        context: The run's.
        committed: The partition.
        seconds: How long the commit took.
    """
    partition = committed.partition
    seconds = _clock.stop(context, partition) or seconds
    if committed.again:
        return
    counts = committed.counts
    rows = counts.read or counts.candidates
    rate = round(rows / max(seconds, 0.001))
    log_event(
        logger,
        logging.INFO,
        f"partition committed: {rows} rows read, {counts.accepted} accepted,"
        f" {counts.rejected} rejected, {counts.skipped} skipped in {seconds:.3f} s",
        EventPlace.of(context, partition=partition),
        rows=rows,
        accepted=counts.accepted,
        rejected=counts.rejected,
        skipped=counts.skipped,
        seconds=round(seconds, 3),
        rows_per_second=rate,
    )


def log_failed(context: RunContext, partition: Partition, code: ErrorCode, message: str) -> None:
    """Log why a partition has failed."""
    _clock.stop(context, partition)
    log_event(
        logger, logging.ERROR, message, EventPlace.of(context, partition=partition), code=code
    )


def log_settled(context: RunContext, load: str) -> None:
    """Log that a load is complete and settled."""
    place = EventPlace.of(context, load)
    log_event(logger, logging.INFO, "the load is complete and settled", place)
