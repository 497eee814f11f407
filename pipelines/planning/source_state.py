"""Whether a source is still what it was when its partitions were planned.

A resumed run has another snapshot than the first. That is the same data only if nothing
was written in between; otherwise rows could be read twice or never, and counts would be
compared across two instants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from psycopg import sql

from pipelines.connections.database_errors import translate_errors
from pipelines.databases.open_databases import Databases
from pipelines.ledger.job import control_table, forget_plan
from pipelines.ledger.reset_scope import command_to_reset
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.model.program import LoadProgram
from transforms.postgres.snapshot import SnapshotGone


def changed_loads(databases: Databases, programs: Mapping[str, LoadProgram]) -> dict[str, Problem]:
    """The loads that are begun and whose source has changed since (SYS-005), or can't be asked
    whether it has, by name.

    A load of which nothing is committed yet is planned anew instead, so it isn't named.
    """
    specification, target = databases.specification, databases.target
    problems: dict[str, Problem] = {}
    for name, stored, begun, raised in _read_unfinished_loads(databases):
        if name not in programs:
            continue
        program = programs[name]
        if raised:
            # The message said to fix the view, so its definition may have changed.
            stored = [{key: one[key] for key in one if key != "texts"} for one in stored]
        if not begun and any(relation.kind in ("v", "q") for relation in program.relations):
            # What functions read can't be seen, and nothing keeps it from being planned again.
            forget_plan(target, specification, name)
            continue
        try:
            with translate_errors(f"table {name}, in the source"):
                why = databases.sources[program.source].difference(program, stored)
        except TransfuseError as error:
            if isinstance(error, SnapshotGone):
                raise
            problems[name] = error.problems[0]
            continue
        if why is None:
            continue
        if begun:
            problems[name] = Problem(
                ErrorCode.SYS_005,
                f"the source has changed since this load began: {why}",
                f"table {name}",
                "undo the change, or remove what is written and start over:"
                f" {command_to_reset(target, specification, [name])}",
            )
        else:
            forget_plan(target, specification, name)
    return problems


def _read_unfinished_loads(databases: Databases) -> list[tuple[Any, ...]]:
    """The loads with open partitions: name, stored state of the source, whether something is
    committed, and whether the source raised an error in one of its expressions."""
    specification = databases.specification
    return databases.target.execute(
        sql.SQL(
            "SELECT l.load, l.source_state, count(*) FILTER (WHERE p.state = 'done') > 0,"
            " coalesce(bool_or(p.state <> 'done' AND p.error_code = 'SYS-004'"
            " AND p.error LIKE '%%, in the source%%'), false)"
            " FROM {loads} l JOIN {partitions} p USING (job_id, load) WHERE job_id = %s"
            " GROUP BY l.load, l.source_state HAVING count(*) FILTER (WHERE p.state <> 'done') > 0"
        ).format(
            loads=control_table(specification, "migration_loads"),
            partitions=control_table(specification, "migration_partitions"),
        ),
        [specification.job],
    ).fetchall()


@contextmanager
def told_as_change(unchanged: bool) -> Iterator[None]:
    """Tells what doesn't fit an ``unchanged`` specification for what it is: a change since.

    The job has run with it, so source or target are no longer what they were. That is for
    them to mend, and the job is incomplete (exit status 3) until then.
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
    remedy="undo the change of source, target or map that is named here, or mend the URLs, and"
    " start again",
)
