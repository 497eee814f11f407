"""The scratch tables that hold a batch on its way into the target.

``rows`` (``_ordinal`` and the written columns in the target's types; columns for which one table
has no room are in ``more``, see ``staged_rows``), ``texts`` (the same columns as they travel),
``refusals`` (ordinal, sqlstate, constraint_name, column_name) and ``standing`` (ordinal,
constraint_name: keys that stood in the target before).
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from schemas.catalog import Column
from schemas.column_types import NATIVE, TEXTUAL
from schemas.violations import ORDINAL
from transforms.target_rows.constraints import TargetConstraints
from transforms.target_rows.scratch_tables import ScratchTables

COLUMNS_OF_REFUSALS = sql.SQL("ordinal int4, sqlstate text, constraint_name text, column_name text")
COLUMNS_OF_STANDING = sql.SQL("ordinal int4, constraint_name text")


def comma(parts: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


_MOST_COLUMNS = 1600
"""Columns that a table of PostgreSQL can have."""

MOST_STAGED = _MOST_COLUMNS - 1
"""Columns that the stage can have beside the ordinal."""

LINK = "_transfuse_row"
"""Links a row of ``rows`` with its other columns in ``more``."""


def columns_of_rows(constraints: TargetConstraints) -> sql.Composed:
    """The stage in the target's types, without any constraint but those of its domains."""
    columns = _declarations(constraints)
    if len(columns) <= MOST_STAGED:
        return _with_ordinal(columns)
    return _with_ordinal([_LINK, *columns[: MOST_STAGED - 1]])


def columns_of_more(constraints: TargetConstraints) -> sql.Composed:
    """The columns for which ``rows`` has no place."""
    return comma([_LINK, *_declarations(constraints)[MOST_STAGED - 1 :]])


_LINK = sql.SQL("{} int4 NOT NULL").format(sql.Identifier(LINK))


def _declarations(constraints: TargetConstraints) -> list[sql.Composable]:
    return [
        sql.SQL("{} {}{}").format(
            sql.Identifier(c.name),
            verbatim(c.declared),
            verbatim(f" COLLATE {c.collation}" if c.collation else ""),
        )
        for c in constraints.stored
    ]


def staged_rows(scratch: ScratchTables, columns: Sequence[Column]) -> sql.Composable:
    """The staged rows with all of their columns, in a FROM clause."""
    rows = scratch.name("rows")
    if len(columns) <= MOST_STAGED:
        return sql.SQL("{} AS staged").format(rows)
    rest = comma([sql.Identifier("m", c.name) for c in columns[MOST_STAGED - 1 :]])
    return sql.SQL(
        "(SELECT r.ctid AS ctid, r.*, {} FROM {} AS r JOIN {} AS m USING ({})) AS staged"
    ).format(rest, rows, scratch.name("more"), sql.Identifier(LINK))


def columns_of_texts(columns: Sequence[Column]) -> sql.Composed:
    """The stage in which every value is storable: natives as they are, all else as text."""
    return _with_ordinal(
        [
            sql.SQL("{} {}").format(
                sql.Identifier(c.name),
                verbatim(
                    c.type.name if c.type.name in NATIVE and c.type.name not in TEXTUAL else "text"
                ),
            )
            for c in columns
        ]
    )


def _with_ordinal(columns: Sequence[sql.Composable]) -> sql.Composed:
    ordinal = sql.SQL("{} int4 NOT NULL").format(sql.Identifier(ORDINAL))
    return comma([ordinal, *columns])


def verbatim(text: str) -> sql.SQL:
    """SQL that the catalogue itself gave."""
    return sql.SQL(text)


def convert(
    scratch: ScratchTables, constraints: TargetConstraints, condition: sql.Composable
) -> sql.Composed:
    """Cast rows of ``texts`` as COPY would have read them; one row: their number, three times.

    To the base type by its input function, from there by assignment: an explicit cast to
    ``varchar(3)`` would cut what is longer.
    """
    names = [sql.Identifier(c.name) for c in constraints.stored]
    casts = [
        sql.SQL("{}::{}").format(name, verbatim(c.base))
        for name, c in zip(names, constraints.stored, strict=True)
    ]
    ordinal = sql.Identifier(ORDINAL)
    return sql.SQL(
        "WITH wrote AS (INSERT INTO {} ({}) SELECT {} FROM {} WHERE {} RETURNING 1)"
        " SELECT count(*), count(*), count(*) FROM wrote"
    ).format(
        scratch.name("rows"),
        comma([ordinal, *names]),
        comma([ordinal, *casts]),
        scratch.name("texts"),
        condition,
    )


def same_key(left: str, right: str, key: Sequence[str]) -> sql.Composed:
    """Whether two rows, by their aliases, have the same key."""
    return sql.SQL(" AND ").join(
        [sql.SQL("{} = {}").format(sql.Identifier(left, k), sql.Identifier(right, k)) for k in key]
    )
