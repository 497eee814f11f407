"""The rejected rows that a person means, in the portions in which they are judged again."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import psycopg
from psycopg import sql

from pipelines.changed_specification import other_rows
from pipelines.connected import Connected, level_of, needs_of
from pipelines.context import done_loads
from pipelines.job import control_table
from pipelines.load_plans import open_partitions
from pipelines.reject_filter import Filter
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.mapping.program import LoadProgram
from transforms.rejected_rows import RejectedLevel, RejectedRows

PORTION = 10_000
"""Source keys in a portion: they stand in one statement, and are held by one worker."""

Row = tuple[str, str, str | None]
"""Load, partition and source key."""


def rejected_rows(
    target: psycopg.Connection[Any], specification: Specification, wanted: Filter
) -> list[Row]:
    """The rejected rows that have an open violation, no warning, that ``wanted`` lets through."""
    chosen, values = wanted.violations(specification)
    return target.execute(
        sql.SQL(
            "SELECT DISTINCT load, partition_id, source_key FROM {} AND NOT warning"
            " ORDER BY load, partition_id, source_key"
        ).format(chosen),
        values,
    ).fetchall()


def freed_rows(target: psycopg.Connection[Any], specification: Specification) -> list[Row]:
    """The rows that were rejected for their parent alone, which isn't rejected any more."""
    errors = control_table(specification, "migration_errors")
    return target.execute(
        sql.SQL(
            "SELECT DISTINCT e.load, e.partition_id, e.source_key FROM {errors} e"
            " JOIN {errors} w ON w.id = e.root_cause_id AND w.status = 'replayed'"
            " WHERE e.job_id = %(job)s AND e.status = 'open' AND NOT e.warning"
            " AND e.error_code = 'DATA-002'"
            " AND NOT EXISTS (SELECT FROM {errors} x WHERE x.job_id = w.job_id"
            "  AND x.load = w.load AND x.partition_id = w.partition_id"
            "  AND x.source_key = w.source_key AND x.status <> 'replayed' AND NOT x.warning)"
            " ORDER BY 1, 2, 3"
        ).format(errors=errors),
        {"job": specification.job},
    ).fetchall()


def unsettle(
    target: psycopg.Connection[Any], specification: Specification, loads: Collection[str]
) -> None:
    """Has loads settled anew. Whoever continues after a crash in between finds them so."""
    target.execute(
        sql.SQL(
            "UPDATE {} SET settled = false, error_code = NULL, error = NULL"
            " WHERE job_id = %s AND load = ANY(%s)"
        ).format(control_table(specification, "migration_loads")),
        [specification.job, sorted(loads)],
    )


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
    databases: Connected, programs: Mapping[str, LoadProgram], rows: Sequence[Row]
) -> None:
    """Raises TransfuseError where rows can't be judged again: USER-003 where what they refer to
    isn't complete, and what ``refuse_unfindable`` raises."""
    specification, target = databases.specification, databases.target
    loads = list(dict.fromkeys(load for load, _, _ in rows))
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
        problems += other_rows(specification, program, definition)
        found = databases.sources[program.source].refound(program, state)
        problems += [] if found is None else [found]
    return problems


def levels_of(
    databases: Connected, rows: Sequence[Row], cut_off: Collection[str] = ()
) -> list[RejectedLevel]:
    """The rows, which all have a source key, by level and in portions; and loads that have only
    to be settled."""
    partitions = {
        (p.load, p.id): p
        for p in open_partitions(databases.target, databases.specification, done=True)
    }
    portions: dict[str, list[RejectedRows]] = {load: [] for load in cut_off}
    for (load, identifier), group in groupby(rows, key=lambda row: row[:2]):
        keys = [key for _, _, key in group if key is not None]
        partition = partitions[load, identifier]
        portions.setdefault(load, []).extend(
            RejectedRows(partition, portion) for portion in _portions(keys)
        )
    levels: dict[int, list[str]] = {}
    for load, number in level_of(databases).items():
        if load in portions:
            levels.setdefault(number, []).append(load)
    return [
        RejectedLevel(level, tuple(loads), tuple(p for load in loads for p in portions[load]))
        for level, loads in sorted(levels.items())
    ]


def _portions(keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(keys), PORTION):
        yield tuple(keys[start : start + PORTION])
