"""The frame of every step: a partition that can't be processed fails alone, with a code."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, ClassVar, Generic, TypeVar

import adbc_driver_manager
import apache_beam as beam
import psycopg
from apache_beam.pvalue import TaggedOutput

from schemas.errors import ErrorCode, TransfuseError
from schemas.recorded_failure import with_remedy
from transforms.ledger.worker_ledger import lend_ledger
from transforms.model.outputs import PARTITION_CATEGORIES, ROWS, FailedPartition
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext
from transforms.postgres.database_problems import describe_error
from transforms.postgres.retries import retried

logger = logging.getLogger("transfuse")

Given = TypeVar("Given")
Result = TypeVar("Result")


class PartitionStep(beam.DoFn, Generic[Given, Result]):
    """A thin DoFn: ``step`` does the work, what it raises becomes a FailedPartition.

    ``talks`` says whether the step talks to a database and is tried again after errors
    that can pass, as often as ``limits.retry`` of the specification says.
    """

    talks = False

    def __init__(self, context: RunContext) -> None:
        super().__init__()
        self.context = context

    def step(self, element: Given) -> Iterator[Result | TaggedOutput]:
        raise NotImplementedError

    def partition_of(self, element: Given) -> Partition:
        return element if isinstance(element, Partition) else element.partition  # type: ignore[attr-defined]

    def process(self, element: Given) -> Iterator[Result | TaggedOutput]:
        try:
            if self.talks:
                results = retried(
                    self.context.retry,
                    lambda: list(self.step(element)),
                    self.partition_of(element).place,
                )
            else:
                results = list(self.step(element))
        except Exception as error:
            failure = self._failure(error, self.partition_of(element))
            if os.environ.get("TRANSFUSE_DEBUG"):
                logger.exception("%s failed", type(self).__name__)
            results = [TaggedOutput(failure.code.category.value, failure)]
        yield from results

    def _failure(self, error: Exception, partition: Partition) -> FailedPartition:
        return FailedPartition(partition, *_diagnosis(error, self.context))


class StepTransform(beam.PTransform):
    """Applies a step: main output ``rows``, and FailedPartition by category."""

    dofn: ClassVar[type[PartitionStep[Any, Any]]]
    """The step, where it takes no more than the context."""
    dofn_of_replays: ClassVar[type[PartitionStep[Any, Any]] | None] = None
    """Another one for batches of rejected rows, whose ordinals aren't those of their partition."""

    def __init__(self, context: RunContext, replayed: bool = False) -> None:
        super().__init__()
        self.context = context
        self.replayed = replayed

    def expand(self, elements: beam.PCollection[Any]) -> Any:
        tags = [category.value for category in PARTITION_CATEGORIES]
        return elements | beam.ParDo(self.new_step()).with_outputs(*tags, main=ROWS)

    def new_step(self) -> PartitionStep[Any, Any]:
        again = self.dofn_of_replays if self.replayed else None
        return (again or self.dofn)(self.context)


def succeeds(context: RunContext, load: str, told: str, work: Callable[[], Any]) -> bool:
    """Runs ``work`` as ``retried`` does, for a step that has no output for what fails.

    What it raises is logged with its code, after the load and what is ``told``, and recorded
    of the load. It must not reach Beam, which prints it with its text and traceback.
    """
    try:
        retried(context.retry, work, f"table {load}")
    except Exception as error:
        code, message = _diagnosis(error, context)
        logger.error("%s table %s: %s: %s", code.value, load, told, message)
        if os.environ.get("TRANSFUSE_DEBUG"):
            logger.exception("%s", told)
        # Where the target is gone there is nothing to record it in.
        with suppress(psycopg.Error, TransfuseError), lend_ledger(context) as ledger:
            ledger.loads.record_failure(load, code, f"{told}: {message}")
        return False
    return True


def _diagnosis(error: Exception, context: RunContext) -> tuple[ErrorCode, str]:
    """The code, and the message with what to do about it."""
    if isinstance(error, TransfuseError):
        problem = error.problems[0]
        return problem.code, with_remedy(problem.message, problem.remedy)
    code, message, remedy = describe_error(error, context.target)
    # Partitions are read through the one driver and committed through the other.
    if isinstance(error, adbc_driver_manager.Error):
        message = f"{message}, in the source"
    elif isinstance(error, psycopg.Error):
        message = f"{message}, in the target"
    return code, with_remedy(message, remedy)
