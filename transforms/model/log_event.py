"""Events of a job in the log: records of ``logging`` that name the job, run, load and partition.

The message of a record is whole, so that it can be read wherever records go, such as in the log of
an engine. Its parts are attributes of the record as well (``extra``), from which log files and
programs take them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.errors import ErrorCode, Problem

if TYPE_CHECKING:
    from transforms.model.partition import Partition
    from transforms.model.run_context import RunContext


@dataclass(frozen=True)
class EventPlace:
    """Where an event happened, as far as there is a place.

    Attributes:
        job: The job.
        run: The number of its run.
        load: The load.
        partition: The partition's id.
    """

    job: str | None = None
    run: int | None = None
    load: str | None = None
    partition: str | None = None

    @classmethod
    def of(
        cls, context: RunContext, load: str | None = None, partition: Partition | None = None
    ) -> EventPlace:
        """The place of an event in a run."""
        if partition is not None:
            return cls(context.job, context.run, partition.load, partition.id)
        return cls(context.job, context.run, load)

    @property
    def text(self) -> str:
        """Load and partition, as problems name them."""
        load = f"table {self.load}" if self.load else ""
        return f"{load}, partition {self.partition}" if self.partition else load


NOWHERE = EventPlace()


def log_event(
    logger: logging.Logger,
    level: int,
    text: str,
    place: EventPlace = NOWHERE,
    code: ErrorCode | None = None,
    where: str = "",
    **details: Any,
) -> None:
    """Log an event.

    Args:
        logger: One below ``transfuse``.
        level: That of ``logging``.
        text: What happened, without code and place, values and secrets. Events of a kind have the
            same text, so that they can be counted.
        place: Where it happened.
        code: That of the error.
        where: Where it happened, if that is no part of a job.
        details: Numbers and names that log files in JSON have beside the text.
    """
    if not logger.isEnabledFor(level):
        return
    parts = ("" if code is None else code.value, where or place.text)
    prefix = " ".join(filter(None, parts))
    fields = {
        "event": text,
        "code": None if code is None else code.value,
        "where": "" if where == place.text else where,
        "details": details,
        "job": place.job,
        "run": place.run,
        "load": place.load,
        "partition": place.partition,
    }
    logger.log(level, "%s", f"{prefix}: {text}" if prefix else text, extra=fields, stacklevel=2)


def log_problem(logger: logging.Logger, level: int, problem: Problem, **details: Any) -> None:
    """Log a problem as it is shown to people, with its remedy."""
    text = f"{problem.message} -> {problem.remedy}" if problem.remedy else problem.message
    log_event(logger, level, text, code=problem.code, where=problem.where, **details)
