"""The SQL that moves staged rows into the target and finds those that it refuses.

Scratch tables: ``rows`` (``_ordinal`` and the written columns in the target's types; what one
table can't hold beside the ordinal is in ``more``, see ``staged``),
``texts`` (the same columns as they travel), ``refusals`` (ordinal, sqlstate, constraint_name,
column_name) and ``standing`` (ordinal, constraint_name: keys that stood in the target before).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from psycopg import sql

from schemas.catalog import Column, Relation
from schemas.column_types import NATIVE, TEXTUAL
from schemas.violations import ORDINAL
from transforms.target_rows.constraints import TargetConstraints
from transforms.target_rows.scratch_tables import ScratchTables

ALL = sql.SQL("true")

KEYS_CHANGED = -1
"""Stands instead of the number of rows written where one of them got another key."""

COLUMNS_OF_REFUSALS = sql.SQL("ordinal int4, sqlstate text, constraint_name text, column_name text")
COLUMNS_OF_STANDING = sql.SQL("ordinal int4, constraint_name text")


class WriteMode(str, Enum):
    """What becomes of a row whose key stands in the target: refused, left out, or updated."""

    INSERT = "insert"
    SKIP_EXISTING = "skip_existing"
    UPSERT = "upsert"


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
    columns = _declared(constraints)
    if len(columns) <= MOST_STAGED:
        return _with_ordinal(columns)
    return _with_ordinal([_LINK, *columns[: MOST_STAGED - 1]])


def columns_of_more(constraints: TargetConstraints) -> sql.Composed:
    """The columns for which ``rows`` has no place."""
    return comma([_LINK, *_declared(constraints)[MOST_STAGED - 1 :]])


_LINK = sql.SQL("{} int4 NOT NULL").format(sql.Identifier(LINK))


def _declared(constraints: TargetConstraints) -> list[sql.Composable]:
    return [
        sql.SQL("{} {}{}").format(
            sql.Identifier(c.name),
            verbatim(c.declared),
            verbatim(f" COLLATE {c.collation}" if c.collation else ""),
        )
        for c in constraints.stored
    ]


def staged(scratch: ScratchTables, columns: Sequence[Column]) -> sql.Composable:
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
    """Casts rows of ``texts`` as COPY would have read them; one row: their number, three times.

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


def insert(
    scratch: ScratchTables,
    table: Relation,
    columns: Sequence[Column],
    key: Sequence[str],
    mode: WriteMode,
    condition: sql.Composable,
    compare_keys: bool = False,
    if_not_there: bool = False,
) -> sql.Composed:
    """Writes the staged rows that ``condition`` picks.

    It returns one row: rows written (``KEYS_CHANGED`` with ``compare_keys``, if the target stores
    one under another key), new ones among them, and rows that ``condition`` picks.
    ``if_not_there``: rows that a unique key of the target forbids are left out.
    """
    names = comma([sql.Identifier(c.name) for c in columns])
    conflict, fresh = sql.Composed([]), sql.Composed([ALL])
    if mode is WriteMode.UPSERT:
        settable = [c.name for c in columns if c.identity != "always"]
        updated = [c for c in settable if c not in key] or settable
        conflict = sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(
            comma([sql.Identifier(k) for k in key]),
            comma([sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(c)) for c in updated]),
        )
        fresh = sql.Composed([sql.SQL("target.xmax = 0")])
        if table.kind == "p":
            # A partitioned table has no xmax to return, but the statement's snapshot
            # still shows the table as it was before.
            fresh = sql.SQL("NOT EXISTS (SELECT FROM {} AS before WHERE {})").format(
                table.sql, _same_key("before", "target", key)
            )
    if if_not_there:
        conflict = sql.Composed([sql.SQL(" ON CONFLICT DO NOTHING")])
    returned, count = sql.Composed([]), sql.Composed([sql.SQL("count(*)")])
    if compare_keys:
        names_of_keys = [sql.Identifier(f"key {number}") for number in range(len(key))]
        returned = sql.Composed(
            [
                sql.SQL(", {} AS {}").format(sql.Identifier("target", k), name)
                for k, name in zip(key, names_of_keys, strict=True)
            ]
        )
        count = sql.SQL(
            "CASE WHEN EXISTS (SELECT {} FROM wrote EXCEPT ALL SELECT {} FROM {} WHERE {})"
            " THEN {} ELSE count(*) END"
        ).format(
            comma(names_of_keys),
            comma([sql.Identifier(k) for k in key]),
            staged(scratch, columns),
            condition,
            sql.Literal(KEYS_CHANGED),
        )
    return sql.SQL(
        "WITH wrote AS (INSERT INTO {} AS target ({}) OVERRIDING SYSTEM VALUE"
        " SELECT {} FROM {} WHERE {}{} RETURNING {} AS fresh{})"
        " SELECT {}, count(*) FILTER (WHERE fresh), (SELECT count(*) FROM {} WHERE {})"
        " FROM wrote"
    ).format(
        *(table.sql, names, names, staged(scratch, columns), condition, conflict, fresh, returned),
        *(count, scratch.name("rows"), condition),
    )


def lost_keys(
    scratch: ScratchTables,
    table: Relation,
    columns: Sequence[Column],
    key: Sequence[str],
    condition: sql.Composable,
) -> sql.Composed:
    """Whether the key of a staged row that ``condition`` picks isn't in the target."""
    whole = sql.SQL(" AND ").join(
        [sql.SQL("{} IS NOT NULL").format(sql.Identifier(k)) for k in key]
    )
    return sql.SQL(
        "EXISTS (SELECT FROM {} WHERE {} AND {} AND NOT EXISTS (SELECT FROM {} AS target WHERE {}))"
    ).format(
        staged(scratch, columns), condition, whole, table.sql, _same_key("target", "staged", key)
    )


def existing(
    scratch: ScratchTables, table: Relation, columns: Sequence[Column], key: Sequence[str]
) -> sql.Composed:
    """The ordinals of candidates with a key that stands in the target."""
    return sql.SQL(
        "SELECT DISTINCT {ordinal} FROM {rows}"
        " WHERE EXISTS (SELECT FROM {target} AS target WHERE {same})"
    ).format(
        ordinal=sql.Identifier(ORDINAL),
        rows=staged(scratch, columns),
        target=table.sql,
        same=_same_key("target", "staged", key),
    )


class Repeats(str, Enum):
    """A row whose key an earlier row has: of the stage, of another candidate, of its own."""

    ANY = "row_number() OVER (PARTITION BY {key} ORDER BY {ordinal}, ctid) > 1"
    OTHERS = "min({ordinal}) OVER (PARTITION BY {key}) < {ordinal}"
    OWN = "row_number() OVER (PARTITION BY {key}, {ordinal}) > 1"


def repeated(
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
        staged(scratch, columns),
        sql.SQL(" AND ").join([sql.SQL("{} IS NOT NULL").format(n) for n in names]),
    )


def remove(scratch: ScratchTables, ordinals: sql.Composable) -> sql.Composed:
    """Takes whole candidates off the stage."""
    return sql.SQL("DELETE FROM {} WHERE {} IN ({})").format(
        scratch.name("rows"), sql.Identifier(ORDINAL), ordinals
    )


def _same_key(left: str, right: str, key: Sequence[str]) -> sql.Composed:
    return sql.SQL(" AND ").join(
        [sql.SQL("{} = {}").format(sql.Identifier(left, k), sql.Identifier(right, k)) for k in key]
    )


def find_unfit(
    scratch: ScratchTables, columns: Sequence[Column], constraints: TargetConstraints
) -> sql.Composed | None:
    """Records the staged rows that a NOT NULL or a CHECK of the catalogue forbids.

    Only checks whose columns are all given; the others are seen when a row is written.
    None where there is nothing to look for.
    """
    given = {c.name for c in columns}
    tests = [
        sql.SQL("('23502', NULL, {}, {} IS NOT NULL)").format(
            sql.Literal(c.name), sql.Identifier(c.name)
        )
        for c in columns
        if not c.nullable
    ] + [
        sql.SQL("('23514', {}, NULL, {})").format(sql.Literal(c.name), verbatim(c.expression))
        for c in constraints.checks
        if given.issuperset(c.columns)
    ]
    if not tests:
        return None
    return sql.SQL(
        "INSERT INTO {} SELECT {}, t.sqlstate, t.constraint_name, t.column_name FROM {},"
        " LATERAL (VALUES {}) AS t(sqlstate, constraint_name, column_name, holds)"
        " WHERE NOT t.holds"
    ).format(
        scratch.name("refusals"), sql.Identifier(ORDINAL), staged(scratch, columns), comma(tests)
    )


def find_standing(
    scratch: ScratchTables,
    table: Relation,
    columns: Sequence[Column],
    constraints: TargetConstraints,
) -> list[sql.Composed]:
    """Records the staged rows of which a unique key stands in the target, one statement a key."""
    given = {c.name for c in columns}
    return [
        sql.SQL("INSERT INTO {} SELECT found.*, {} FROM ({}) AS found").format(
            scratch.name("standing"), sql.Literal(name), existing(scratch, table, columns, key)
        )
        for name, key in constraints.keys
        if given.issuperset(key)
    ]


def refuse_standing(scratch: ScratchTables) -> sql.Composed:
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
