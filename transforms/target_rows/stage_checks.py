"""The SQL that finds staged rows which the target would refuse, and takes them off the stage."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from psycopg import sql

from schemas.catalog import Column, Relation
from schemas.violations import ORDINAL
from transforms.target_rows.constraints import TargetConstraints
from transforms.target_rows.scratch_tables import ScratchTables
from transforms.target_rows.stage_tables import comma, same_key, staged_rows, verbatim


def select_existing(
    scratch: ScratchTables, table: Relation, columns: Sequence[Column], key: Sequence[str]
) -> sql.Composed:
    """The ordinals of candidates with a key of an existing row."""
    return sql.SQL(
        "SELECT DISTINCT {ordinal} FROM {rows}"
        " WHERE EXISTS (SELECT FROM {target} AS target WHERE {same})"
    ).format(
        ordinal=sql.Identifier(ORDINAL),
        rows=staged_rows(scratch, columns),
        target=table.sql,
        same=same_key("target", "staged", key),
    )


class Repeats(str, Enum):
    """A row whose key an earlier row has: of the stage, of another candidate, of its own."""

    ANY = "row_number() OVER (PARTITION BY {key} ORDER BY {ordinal}, ctid) > 1"
    OTHERS = "min({ordinal}) OVER (PARTITION BY {key}) < {ordinal}"
    OWN = "row_number() OVER (PARTITION BY {key}, {ordinal}) > 1"


def select_repeated(
    scratch: ScratchTables, columns: Sequence[Column], key: Sequence[str], repeats: Repeats
) -> sql.Composed:
    """The ordinals of candidates with such a row; a key with a NULL is never repeated."""
    ordinal = sql.Identifier(ORDINAL)
    names = [sql.Identifier(k) for k in key]
    return sql.SQL(
        "SELECT DISTINCT ordinal FROM (SELECT {} AS ordinal, {} AS late FROM {} WHERE {}) AS seen"
        " WHERE late"
    ).format(
        ordinal,
        sql.SQL(repeats.value).format(key=comma(names), ordinal=ordinal),
        staged_rows(scratch, columns),
        sql.SQL(" AND ").join([sql.SQL("{} IS NOT NULL").format(n) for n in names]),
    )


def remove(scratch: ScratchTables, ordinals: sql.Composable) -> sql.Composed:
    """Take whole candidates off the stage."""
    return sql.SQL("DELETE FROM {} WHERE {} IN ({})").format(
        scratch.name("rows"), sql.Identifier(ORDINAL), ordinals
    )


def find_unfit(
    scratch: ScratchTables, columns: Sequence[Column], constraints: TargetConstraints
) -> sql.Composed | None:
    """Record the staged rows that a NOT NULL or a CHECK of the catalogue forbids.

    A check is applied only if all of its columns are written; other checks refuse a row when it
    is written.

    Returns:
        The statement; None where the catalogue forbids nothing.
    """
    written = {c.name for c in columns}
    tests = [
        sql.SQL("('23502', NULL, {}, {} IS NOT NULL)").format(
            sql.Literal(c.name), sql.Identifier(c.name)
        )
        for c in columns
        if not c.nullable
    ] + [
        sql.SQL("('23514', {}, NULL, {})").format(sql.Literal(c.name), verbatim(c.expression))
        for c in constraints.checks
        if written.issuperset(c.columns)
    ]
    if not tests:
        return None
    return sql.SQL(
        "INSERT INTO {} SELECT {}, t.sqlstate, t.constraint_name, t.column_name FROM {},"
        " LATERAL (VALUES {}) AS t(sqlstate, constraint_name, column_name, holds)"
        " WHERE NOT t.holds"
    ).format(
        scratch.name("refusals"),
        sql.Identifier(ORDINAL),
        staged_rows(scratch, columns),
        comma(tests),
    )


def find_standing(
    scratch: ScratchTables,
    table: Relation,
    columns: Sequence[Column],
    constraints: TargetConstraints,
) -> list[sql.Composed]:
    """Record the staged rows with a unique key of an existing row, one statement a key."""
    written = {c.name for c in columns}
    return [
        sql.SQL("INSERT INTO {} SELECT met.*, {} FROM ({}) AS met").format(
            scratch.name("standing"),
            sql.Literal(name),
            select_existing(scratch, table, columns, key),
        )
        for name, key in constraints.keys
        if written.issuperset(key)
    ]


def refuse_standing(scratch: ScratchTables) -> sql.Composed:
    """Refuse the rows with a unique key of an existing row."""
    return sql.SQL("INSERT INTO {} SELECT ordinal, '23505', constraint_name, NULL FROM {}").format(
        scratch.name("refusals"), scratch.name("standing")
    )


def read_refusals(scratch: ScratchTables) -> sql.Composed:
    """Rows: sqlstate, constraint, column, whether it stood before, array of ordinals."""
    return sql.SQL(
        "SELECT r.sqlstate, r.constraint_name, r.column_name, s.ordinal IS NOT NULL,"
        " array_agg(DISTINCT r.ordinal) FROM {} r LEFT JOIN {} s"
        " ON r.sqlstate = '23505' AND s.ordinal = r.ordinal"
        " AND s.constraint_name = r.constraint_name GROUP BY 1, 2, 3, 4"
    ).format(scratch.name("refusals"), scratch.name("standing"))
