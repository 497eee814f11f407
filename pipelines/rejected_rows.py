"""The rejected rows that a person means, in the portions in which they are judged again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import psycopg
from psycopg import sql

from pipelines.connected import Connected, level_of
from pipelines.context import complete_loads
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


def freed_rows(
    target: psycopg.Connection[Any], specification: Specification, loads: Sequence[str] | None
) -> list[Row]:
    """The rejected rows that follow from another one that isn't rejected any more."""
    errors = control_table(specification, "migration_errors")
    return target.execute(
        sql.SQL(
            "SELECT DISTINCT e.load, e.partition_id, e.source_key FROM {errors} e"
            " JOIN {errors} w ON w.id = e.root_cause_id AND w.status = 'replayed'"
            " WHERE e.job_id = %(job)s AND e.status = 'open' AND NOT e.warning"
            " AND (%(loads)s::text[] IS NULL OR e.load = ANY(%(loads)s))"
            " AND NOT EXISTS (SELECT FROM {errors} x WHERE x.job_id = w.job_id"
            "  AND x.load = w.load AND x.partition_id = w.partition_id"
            "  AND x.source_key = w.source_key AND x.status <> 'replayed' AND NOT x.warning)"
            " ORDER BY 1, 2, 3"
        ).format(errors=errors),
        {"job": specification.job, "loads": None if loads is None else list(loads)},
    ).fetchall()


def left_rows(
    target: psycopg.Connection[Any], specification: Specification, wanted: Filter, since: Any
) -> dict[str, int]:
    """How many of the rejected rows haven't been judged ``since`` then, by load."""
    chosen, values = wanted.violations(specification)
    return dict(
        target.execute(
            sql.SQL(
                "SELECT load, count(DISTINCT (partition_id, source_key)) FROM {} AND NOT warning"
                " AND coalesce(changed_at, created_at) < %(since)s GROUP BY load"
            ).format(chosen),
            {**values, "since": since},
        ).fetchall()
    )


def refuse_unfit(
    databases: Connected, programs: Mapping[str, LoadProgram], rows: Sequence[Row]
) -> None:
    """Raises TransfuseError where rows can't be judged again at all.

    USER-003: their load isn't in the specification any more, isn't complete, or its rows have no
    key by which to find them. SYS-005: they are found by their place in a source that was
    written to.
    """
    specification, target = databases.specification, databases.target
    complete = complete_loads(target, specification)
    states = dict(
        target.execute(
            sql.SQL("SELECT load, source_state FROM {} WHERE job_id = %s").format(
                control_table(specification, "migration_loads")
            ),
            [specification.job],
        ).fetchall()
    )
    problems = []
    for load in dict.fromkeys(load for load, _, _ in rows):
        if load not in programs:
            told = "rows of this load were rejected, and the specification doesn't have it any more"
            remedy = "bring it back, or name other loads with --table"
            problems.append(Problem(ErrorCode.USER_003, told, f"table {load}", remedy))
        elif load not in complete:
            problems.append(
                specification.tables[load].problem(
                    "it isn't complete, and only then what it refers to is known",
                    code=ErrorCode.USER_003,
                    remedy="let 'migrate' end first, or name other loads with --table",
                )
            )
        else:
            program = programs[load]
            found = databases.sources[program.source].refound(program, states[load])
            problems += [] if found is None else [found]
    if problems:
        raise TransfuseError(problems)


def levels_of(databases: Connected, rows: Sequence[Row]) -> list[RejectedLevel]:
    """The rows by level, in portions; those without a source key are left out."""
    partitions = {
        (p.load, p.id): p
        for p in open_partitions(databases.target, databases.specification, done=True)
    }
    levels: dict[int, list[RejectedRows]] = {}
    number = level_of(databases)
    for (load, identifier), group in groupby(rows, key=lambda row: row[:2]):
        keys = [key for _, _, key in group if key is not None]
        partition = partitions[load, identifier]
        levels.setdefault(number[load], []).extend(
            RejectedRows(partition, portion) for portion in _portions(keys)
        )
    return [RejectedLevel(level, tuple(found)) for level, found in sorted(levels.items())]


def _portions(keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(keys), PORTION):
        yield tuple(keys[start : start + PORTION])
