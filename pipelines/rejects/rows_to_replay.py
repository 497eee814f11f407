"""The rejected rows that a person means, by partition, and whether they can be judged again."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from pipelines.databases.connected import Connected, level_of, needs_of
from pipelines.ledger.job import control_table
from pipelines.ledger.reset_scope import command_to_reset
from pipelines.maps.run_contexts import done_loads
from pipelines.planning.load_plans import open_partitions
from pipelines.planning.refused_changes import other_rows
from pipelines.rejects.reject_filter import Filter
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.ledger.lost_keys import judge_lost_keys
from transforms.model.program import LoadProgram
from transforms.model.rejected_rows import PORTION, RejectedLevel, RejectedRows


@dataclass(frozen=True)
class RejectedPartition:
    """How many rejected rows of a partition are meant: with a source key (``rows``), and without
    one, where each violation counts as one."""

    load: str
    partition: str
    rows: int
    nameless: int


def rejected_partitions(
    target: psycopg.Connection[Any], specification: Specification, wanted: Filter
) -> list[RejectedPartition]:
    """The partitions with rows that have an open violation, no warning, that ``wanted`` lets
    through."""
    chosen, values = wanted.violations(specification)
    found = target.execute(
        sql.SQL(
            "SELECT load, partition_id, count(DISTINCT source_key),"
            " count(*) FILTER (WHERE source_key IS NULL) FROM {} AND NOT warning"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        ).format(chosen),
        values,
    ).fetchall()
    return [RejectedPartition(*row) for row in found]


def analyze_rejections(target: psycopg.Connection[Any], specification: Specification) -> None:
    """Has the server count what the error sink holds, before autovacuum does.

    It takes an unknown table for almost empty, and would search all of the violations for each.
    """
    for name in ("migration_errors", "migration_keys", "migration_skipped"):
        target.execute(sql.SQL("ANALYZE {}").format(control_table(specification, name)))


def freed_rows(target: psycopg.Connection[Any], specification: Specification) -> dict[str, int]:
    """How many rows are rejected, for their parent among other things, whose parent isn't any
    more; by load."""
    errors = control_table(specification, "migration_errors")
    return dict(
        target.execute(
            sql.SQL(
                "SELECT e.load, count(DISTINCT (e.partition_id, e.source_key)) FROM {errors} e"
                " JOIN {errors} w ON w.id = e.root_cause_id AND w.status = 'replayed'"
                " WHERE e.job_id = %(job)s AND e.status = 'open' AND NOT e.warning"
                " AND e.error_code = 'DATA-002'"
                " AND NOT EXISTS (SELECT FROM {errors} x WHERE x.job_id = w.job_id"
                "  AND x.load = w.load AND x.partition_id = w.partition_id"
                "  AND x.source_key = w.source_key AND x.status <> 'replayed' AND NOT x.warning)"
                " GROUP BY e.load ORDER BY e.load"
            ).format(errors=errors),
            {"job": specification.job},
        ).fetchall()
    )


def begin_replay(
    target: psycopg.Connection[Any], specification: Specification, loads: Collection[str]
) -> int:
    """Begins another run of the job, which has ``loads`` settled anew; gives the run's number.

    What a former replay has said of rows that it left, of other loads too, is forgotten. Whoever
    continues after a crash in between finds them unsettled.
    """
    with target.transaction():
        row = target.execute(
            sql.SQL("UPDATE {} SET runs = runs + 1 WHERE job_id = %s RETURNING runs").format(
                control_table(specification, "migration_jobs")
            ),
            [specification.job],
        ).fetchone()
        target.execute(
            sql.SQL(
                "UPDATE {} SET settled = false, error_code = NULL, error = NULL"
                " WHERE job_id = %s AND load = ANY(%s)"
            ).format(control_table(specification, "migration_loads")),
            [specification.job, sorted(loads)],
        )
        target.execute(
            sql.SQL(
                "UPDATE {} SET error_code = NULL, error = NULL"
                " WHERE job_id = %s AND state = 'done' AND error IS NOT NULL"
            ).format(control_table(specification, "migration_partitions")),
            [specification.job],
        )
        relabel_losers(target, specification)
    assert row is not None
    return int(row[0])


def relabel_losers(target: psycopg.Connection[Any], specification: Specification) -> None:
    """Decides for the losers of all loads whether the row that won their key still claims it.

    After winners were discarded or reopened, and in the caller's transaction.
    """
    loads = list(specification.tables)
    errors = control_table(specification, "migration_errors")
    duplicates = control_table(specification, "migration_duplicates")
    judge_lost_keys(target, errors, duplicates, specification.job, loads)


@contextmanager
def indexed_for_replays(
    target: psycopg.Connection[Any], specification: Specification, rows: int
) -> Iterator[None]:
    """Keeps an index of the error sink by source key within the context, where there are so many
    ``rows`` that each portion of them would search through all.

    For good it would cost every migration as much as the violations themselves. Who may not make
    it, or would have to wait for others too long, does without.
    """
    name = "migration_errors_for_replays"
    errors = control_table(specification, "migration_errors")
    drop = sql.SQL("DROP INDEX IF EXISTS {}").format(control_table(specification, name))
    if rows <= PORTION:
        # A replay that was killed has left it.
        with suppress(psycopg.Error):
            target.execute(drop)
        yield
        return
    with suppress(psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable):
        target.execute(
            sql.SQL(
                "CREATE INDEX IF NOT EXISTS {} ON {} (job_id, load, partition_id, source_key)"
            ).format(sql.Identifier(name), errors)
        )
        target.execute(sql.SQL("ANALYZE {}").format(errors))
    try:
        yield
    finally:
        # Where the target is gone, the replay ends for that reason.
        with suppress(psycopg.Error):
            target.execute(drop)


def left_rows(
    target: psycopg.Connection[Any], specification: Specification, wanted: Filter, since: Any
) -> dict[str, int]:
    """How many of the rejected rows haven't been judged ``since`` then, by load."""
    chosen, values = wanted.violations(specification)
    return dict(
        target.execute(
            sql.SQL(
                "SELECT load, count(DISTINCT (partition_id, source_key)) FROM {} AND NOT warning"
                " AND source_key IS NOT NULL"
                " AND coalesce(changed_at, created_at) < %(since)s GROUP BY load"
            ).format(chosen),
            {**values, "since": since},
        ).fetchall()
    )


def refuse_unfit(
    databases: Connected, programs: Mapping[str, LoadProgram], loads: Sequence[str]
) -> None:
    """Raises TransfuseError where rows of loads can't be judged again: USER-003 where what they
    refer to isn't complete, and what ``refuse_unfindable`` raises."""
    specification, target = databases.specification, databases.target
    # Those of which a former replay was cut off before it had settled them are settled in this one.
    done = done_loads(target, specification)
    needs = needs_of(databases)
    problems = [
        specification.tables[load].problem(
            "it isn't complete, and only then what its rows refer to is known",
            code=ErrorCode.USER_003,
            remedy="let 'migrate' end first, or name other loads with --table",
        )
        for load in loads
        if load in programs and not done.issuperset([load, *needs[load]])
    ]
    problems += _unfindable(databases, programs, loads)
    if problems:
        raise TransfuseError(problems)


def refuse_unfindable(
    databases: Connected, programs: Mapping[str, LoadProgram], loads: Sequence[str]
) -> None:
    """Raises TransfuseError where rows of loads can't be found in their source again.

    USER-003: the load isn't in the specification any more, its rows are read or identified in
    another way than when they were rejected, or they have no key. SYS-005: they are found by
    their place in a source that was written to.
    """
    problems = _unfindable(databases, programs, loads)
    if problems:
        raise TransfuseError(problems)


def _unfindable(
    databases: Connected, programs: Mapping[str, LoadProgram], loads: Sequence[str]
) -> list[Problem]:
    specification = databases.specification
    stored = {
        load: (json.loads(definition), state)
        for load, definition, state in databases.target.execute(
            sql.SQL("SELECT load, definition, source_state FROM {} WHERE job_id = %s").format(
                control_table(specification, "migration_loads")
            ),
            [specification.job],
        ).fetchall()
    }
    problems = []
    for load in loads:
        if load not in programs:
            told = "rows of this load were rejected, and the specification doesn't have it any more"
            remedy = "bring it back, or name other loads with --table"
            problems.append(Problem(ErrorCode.USER_003, told, f"table {load}", remedy))
            continue
        definition, state = stored[load]
        program = programs[load]
        command = command_to_reset(databases.target, specification, [load])
        problems += other_rows(specification, program, definition, command)
        found = databases.sources[program.source].refound(program, state)
        if found is not None:
            problems.append(replace(found, remedy=f"{found.remedy}: {command}"))
    return problems


def levels_of(
    databases: Connected,
    rejected: Sequence[RejectedPartition],
    wanted: Filter,
    cut_off: Collection[str] = (),
) -> list[RejectedLevel]:
    """The rows with a source key by level; and loads that have only to be settled."""
    partitions = {
        (p.load, p.id): p
        for p in open_partitions(databases.target, databases.specification, done=True)
    }
    code = wanted.code and wanted.code.value
    rows: dict[str, list[RejectedRows]] = {load: [] for load in cut_off}
    for one in rejected:
        if one.rows:
            partition = partitions[one.load, one.partition]
            rows.setdefault(one.load, []).append(RejectedRows(partition, code, wanted.rule))
    levels: dict[int, list[str]] = {}
    for load, number in level_of(databases).items():
        if load in rows:
            levels.setdefault(number, []).append(load)
    return [
        RejectedLevel(level, tuple(loads), tuple(p for load in loads for p in rows[load]))
        for level, loads in sorted(levels.items())
    ]
