"""Whether a source is still what it was when its partitions were planned.

A resumed run has another snapshot than the first. That is the same data only if nothing
was written in between; otherwise rows could be read twice or never, and counts would be
compared across two instants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pipelines.connections.database_errors import translate_errors
from pipelines.databases.open_databases import Databases
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.reset_scope import command_to_reset
from pipelines.planning.stored_plans import forget_plan
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.model.program import LoadProgram
from transforms.postgres.snapshot import SnapshotGone


def find_changed_sources(
    databases: Databases, programs: Mapping[str, LoadProgram]
) -> dict[str, Problem]:
    """Find the loads that are begun and whose source has changed since.

    The plan of a load of which nothing is committed yet is deleted instead.

    Args:
        databases: The open databases.
        programs: The loads, compiled.

    Returns:
        SYS-005 by load, or why the source can't be asked.

    Raises:
        SnapshotGone: The source is lost.
    """
    ledger = databases.ledger
    problems: dict[str, Problem] = {}
    for load in ledger.loads.read_unfinished():
        if load.name not in programs:
            continue
        program, state = programs[load.name], load.source_state
        if load.has_source_error:
            # The message said to fix the view, so its definition may have changed.
            state = [{key: one[key] for key in one if key != "texts"} for one in state]
        if not load.is_begun and any(one.kind in ("v", "q") for one in program.relations):
            # The reads of functions can't be seen, and nothing keeps it from being planned again.
            forget_plan(ledger, load.name)
            continue
        try:
            with translate_errors(f"table {load.name}, in the source"):
                why = databases.sources[program.source].difference(program, state)
        except TransfuseError as error:
            if isinstance(error, SnapshotGone):
                raise
            problems[load.name] = error.problems[0]
            continue
        if why is None:
            continue
        if load.is_begun:
            problems[load.name] = _changed_source(ledger, load.name, why)
        else:
            forget_plan(ledger, load.name)
    return problems


def _changed_source(ledger: JobLedger, load: str, difference: str) -> Problem:
    return Problem(
        ErrorCode.SYS_005,
        f"the source has changed since this load began: {difference}",
        f"table {load}",
        "undo the change, or remove what is written and start over:"
        f" {command_to_reset(ledger, [load])}",
    )


@contextmanager
def report_as_change(unchanged: bool) -> Iterator[None]:
    """Report what doesn't fit the specification as a change of the databases.

    Args:
        unchanged: Whether the job has run with this specification, so that source or target must
            have changed since.

    Raises:
        TransfuseError: Exit status 3 instead of 2: the job is incomplete until the change is
            undone.
    """
    try:
        yield
    except TransfuseError as error:
        if not unchanged or error.status is not ExitStatus.REFUSED:
            raise
        raise TransfuseError([_CHANGED, *error.problems], ExitStatus.INCOMPLETE) from None


_CHANGED = Problem(
    ErrorCode.SYS_005,
    "the job has run with this specification, and what it needs is no longer there",
    remedy="undo the change of source, target or map that is named here, or fix the URLs, and"
    " start again",
)
