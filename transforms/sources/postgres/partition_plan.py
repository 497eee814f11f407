"""Plans the partitions of a PostgreSQL source: every row in exactly one of them, counted.

Tables are divided by where their rows are stored, everything else by a key. Partitions are
planned once and stored; their conditions are plain SQL that any client can send.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psycopg
from psycopg import sql

from schemas.catalog import Relation
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.slices import PartitionBounds, Range
from transforms.postgres.session_settings import SESSION_SETTINGS
from transforms.sources.postgres.key_ranges import key_ranges
from transforms.sources.postgres.physical_ranges import count_pages, physical_ranges
from transforms.sources.postgres.row_size import row_size

__all__ = ["PartitionBounds", "partitions_of", "plan_partitions"]


def partitions_of(
    connection: psycopg.Connection, program: LoadProgram, bounds: PartitionBounds
) -> list[Partition]:
    """The partitions of all relations of a load, one relation after the other.

    Where there are several, their positions lead the ids. Otherwise as ``plan_partitions``.
    """
    partitions = []
    for position, relation in enumerate(program.relations):
        for part in plan_partitions(
            connection, program.name, relation, program.partition_by, program.stored_columns, bounds
        ):
            number = f"{position + 1}-{part.id}" if len(program.relations) > 1 else part.id
            partitions.append(replace(part, id=number, relation=position))
    return partitions


def plan_partitions(
    connection: psycopg.Connection,
    load: str,
    relation: Relation,
    by: Sequence[str] | None,
    columns: Sequence[str],
    bounds: PartitionBounds,
) -> list[Partition]:
    """Divide ``relation`` into partitions within ``bounds``, in reading order.

    ``connection`` is inside a REPEATABLE READ transaction, so the counts hold for every
    reader of its snapshot and add up to ``count(*)``. ``by`` names partition columns of any
    type that the server can sort; None means physical ranges where the relation has them,
    else its first unique key without NULLs. Bytes are those of ``columns`` in an Arrow batch.

    Only what can't be divided exceeds the bounds: one row, or rows of a view or query that
    are alike in the partition column and every other. No partition is empty, except the one
    of an empty relation.

    Raises TransfuseError with SYS-004 where a view or query is too large for one partition
    and names no partition column, or where a named column doesn't exist or can't be sorted;
    psycopg.Error where the server can't be asked.
    """
    _prepare(connection)
    if not relation.access.is_repeatable:
        # Two sessions would get other rows, so none may be read by a second one.
        size = row_size(connection, relation, columns, None)
        whole = _whole(connection, load, relation, size, bounds)
        return [Partition(load, f"{1:06d}", "TRUE", whole.rows)]
    pages = count_pages(connection, relation)
    size = row_size(connection, relation, columns, pages)
    key = by or (_unique_key(relation) if pages is None else None)
    if key:
        ranges = key_ranges(connection, relation, key, pages, size, bounds)
    elif pages is not None:
        ranges = physical_ranges(connection, relation, pages, size, bounds)
    else:
        ranges = [_whole(connection, load, relation, size, bounds)]
    return [
        Partition(load, f"{number:06d}", part.condition.as_string(connection), part.rows)
        for number, part in enumerate(ranges or [Range(sql.SQL("TRUE"), 0)], start=1)
    ]


def _prepare(connection: psycopg.Connection) -> None:
    # Compiling the long expressions of a plan takes longer than evaluating them.
    for name, value in {**SESSION_SETTINGS, "jit": "off"}.items():
        connection.execute("SELECT set_config(%s, %s, true)", [name, value])


def _unique_key(relation: Relation) -> tuple[str, ...] | None:
    for key in filter(None, (relation.primary_key, *relation.unique_keys)):
        columns = [relation.column(name) for name in key]
        if all(c is not None and not c.nullable for c in columns):
            return key
    return None


def _whole(
    connection: psycopg.Connection,
    load: str,
    relation: Relation,
    size: sql.Composable,
    bounds: PartitionBounds,
) -> Range:
    row = connection.execute(
        sql.SQL("SELECT count(*), coalesce(sum({}), 0) FROM {}").format(size, relation.sql)
    ).fetchone()
    assert row is not None
    if bounds.share(*row) > 1:
        reason, remedy = _why_whole(relation)
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                f"{relation} has {row[0]} rows of {row[1] / 2**20:.0f} MB, too many for one"
                f" partition, and {reason}",
                where=load,
                remedy=remedy,
            )
        )
    return Range(sql.SQL("TRUE"), row[0])


def _why_whole(relation: Relation) -> tuple[str, str]:
    """Why a relation can't be divided, and what to do."""
    access = relation.access
    if access.foreign:
        reason = f"it can't be divided: its rows come from the foreign table {access.foreign[0]}"
    elif access.volatile:
        reason = f"it can't be divided: it calls {access.volatile[0]}, which is volatile"
        if "." in access.volatile[0].partition("(")[0]:
            statement = f"ALTER FUNCTION {access.volatile[0]} STABLE;"
            return reason, f"if it gives the same for the same row: {statement}"
    elif access.ties:
        reason = (
            f"it can't be divided: {access.ties[0]} depends on which of several rows that are"
            " alike in its order comes first (order it by a key of its table, too)"
        )
    else:
        remedy = "name a partition column (partition: COLUMN), unique at best"
        return "no unique key to divide them by", remedy
    stored = "store its rows in a table of the source, and read that: CREATE TABLE stored_rows AS"
    name = relation.sql.as_string()
    return reason, f"{stored} {'the query' if relation.query is not None else f'TABLE {name};'}"
