"""The frame of every step: a partition that can't be processed fails alone, with a code."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, ClassVar, Generic, TypeVar, cast

import adbc_driver_manager
import apache_beam as beam
import psycopg
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_input_types, with_output_types

from schemas.errors import ErrorCode, TransfuseError
from schemas.recorded_failure import with_remedy
from transforms.ledger.worker_ledger import lend_ledger
from transforms.model.log_event import EventPlace, log_event
from transforms.model.outputs import PARTITION_CATEGORIES, ROWS, FailedPartition
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext
from transforms.postgres.database_problems import describe_error
from transforms.postgres.retries import run_with_retries

logger = logging.getLogger("transfuse.steps")

Element = TypeVar("Element")
Result = TypeVar("Result")


StepClass = TypeVar("StepClass", bound="type[PartitionStep[Any, Any]]")


def declare_types(takes: Any, gives: Any, **tagged: Any) -> Callable[[StepClass], StepClass]:
    """Declare the types of a step's input and outputs, of which Beam chooses coders.

    Args:
        takes: the type of its elements.
        gives: that of its main output.
        tagged: those of further outputs, by tag. The outputs for partitions that fail, which
            every step has, are added.
    """
    failures = {category.value: FailedPartition for category in PARTITION_CATEGORIES}

    def declare(step: StepClass) -> StepClass:
        outputs = with_output_types(gives, **failures, **tagged)
        return cast("StepClass", outputs(with_input_types(takes)(step)))

    return declare


class PartitionStep(beam.DoFn, Generic[Element, Result]):
    """A thin DoFn: ``step`` does the work, and what it raises becomes a FailedPartition.

    Subclasses are decorated with ``declare_types``.
    """

    talks: ClassVar[bool] = False
    """Whether the step talks to a database, and is tried again after errors that can pass, as
    often as ``limits.retry`` of the specification says."""

    def __init__(self, context: RunContext) -> None:
        super().__init__()
        self.context = context

    def step(self, element: Element) -> Iterator[Result | TaggedOutput]:
        """Process an element, which may be done several times."""
        raise NotImplementedError

    def partition_of(self, element: Element) -> Partition:
        return element if isinstance(element, Partition) else element.partition  # type: ignore[attr-defined]

    def process(self, element: Element) -> Iterator[Result | TaggedOutput]:
        try:
            if self.talks:
                partition = self.partition_of(element)
                results = run_with_retries(
                    self.context.retry,
                    lambda: list(self.step(element)),
                    partition.place,
                    EventPlace.of(self.context, partition=partition),
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
        return FailedPartition(partition, *_describe(error, self.context))


class StepTransform(beam.PTransform):
    """Applies a step: main output ``rows``, and FailedPartition by category.

    A subclass names its DoFn in ``dofn``, or makes it in ``new_step``.
    """

    dofn: ClassVar[type[PartitionStep[Any, Any]]]
    """The step, where it takes no more than the context."""

    def __init__(self, context: RunContext) -> None:
        super().__init__()
        self.context = context

    def expand(self, elements: beam.PCollection[Any]) -> Any:
        tags = [category.value for category in PARTITION_CATEGORIES]
        return elements | beam.ParDo(self.new_step()).with_outputs(*tags, main=ROWS)

    def new_step(self) -> PartitionStep[Any, Any]:
        """The DoFn that the transform applies."""
        return self.dofn(self.context)


def attempt(context: RunContext, load: str, failure: str, work: Callable[[], Any]) -> bool:
    """Do work for a load, in a step that has no output for failures.

    Tries again after errors that can pass. An error is logged with its code and stored in the
    ledger; it must not reach Beam, which prints its text and traceback.

    Args:
        context: the run's.
        load: the load.
        failure: what to report if an error remains, such as ``it couldn't be settled``.
        work: may be called several times.

    Returns:
        Whether it ended without an error.
    """
    try:
        run_with_retries(context.retry, work, f"table {load}", EventPlace.of(context, load))
    except Exception as error:
        code, message = _describe(error, context)
        text = f"{failure}: {message}"
        log_event(logger, logging.ERROR, text, EventPlace.of(context, load), code)
        if os.environ.get("TRANSFUSE_DEBUG"):
            logger.exception("%s", failure)
        # If the target can't be reached, the log has it.
        with suppress(psycopg.Error, TransfuseError), lend_ledger(context) as ledger:
            ledger.loads.record_failure(load, code, f"{failure}: {message}")
        return False
    return True


def _describe(error: Exception, context: RunContext) -> tuple[ErrorCode, str]:
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
