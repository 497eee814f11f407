"""The tables and rows that a job wrote, by the transactions that ``migration_written_rows`` has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from psycopg import sql

from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.written_rows import EPOCH

_IS_AS_RECORDED = f"w.xmin::text::int8 = mod(w.transaction, {EPOCH})"
"""Whether a row of ``migration_written_rows AS w`` is as its transaction wrote it. In a database
that was restored since, its numbers and the OIDs of its tables mean nothing any more."""


@dataclass(frozen=True)
class WrittenTable:
    """A table of the target.

    Attributes:
        oid: Its OID.
        name: Its qualified name as SQL writes it.
        is_heap: Whether it and all of its parts are ordinary tables, whose rows say who wrote them.
        may_delete: Whether the role may read and delete its rows.
    """

    oid: int
    name: str
    is_heap: bool
    may_delete: bool

    @property
    def sql(self) -> sql.SQL:
        """The name as a part of a statement."""
        return sql.SQL(self.name)


class OwnCount(NamedTuple):
    """The rows of a load in a table that are as the load wrote them.

    Attributes:
        load: The load.
        rows: How many there are.
        exceeds: Whether more rows have one of its transaction numbers than it wrote.
    """

    load: str
    rows: int
    exceeds: bool


_TABLES = """
WITH asked AS (SELECT unnest(%(oids)s::int8[])::oid AS oid)
SELECT c.oid::int8, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    (WITH RECURSIVE tree AS (
        SELECT c.oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
     SELECT bool_and(t.relkind IN ('r', 'p') AND coalesce(m.amname = 'heap', t.relkind = 'p'))
     FROM tree JOIN pg_class t USING (oid) LEFT JOIN pg_am m ON m.oid = t.relam),
    has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'DELETE')
FROM asked JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 2
"""

_KEYS_BETWEEN = """
SELECT DISTINCT conrelid::int8, confrelid::int8 FROM pg_constraint
WHERE contype = 'f' AND conrelid <> confrelid
  AND conrelid = ANY(%(oids)s::int8[]) AND confrelid = ANY(%(oids)s::int8[])
"""

_OWN_NUMBERS = f"""
SELECT mod(number, {EPOCH})::text::xid
FROM {{migration_written_rows}} AS w, unnest(w.xids) AS number
WHERE w.job_id = {{job}} AND w.load = ANY({{loads}}::text[]) AND w.relation = {{oid}}
  AND w.written_as <> 'others' AND {_IS_AS_RECORDED}
"""

_COUNT = f"""
WITH own AS (SELECT w.load, u.number, sum(u.count)::int8 AS rows
  FROM {{migration_written_rows}} AS w, unnest(w.xids, w.rows) AS u(number, count)
  WHERE w.job_id = {{job}} AND w.load = ANY({{loads}}::text[]) AND w.relation = {{oid}}
  AND w.written_as <> 'others' AND {_IS_AS_RECORDED} GROUP BY 1, 2),
there AS (SELECT t.xmin::text::int8 AS short, count(*) AS rows FROM {{table}} AS t
  WHERE t.xmin IN ({{numbers}}) GROUP BY t.xmin)
SELECT own.load, coalesce(sum(there.rows), 0)::int8,
  coalesce(bool_or(there.rows > own.rows), false)
FROM own LEFT JOIN there ON there.short = mod(own.number, {EPOCH}) GROUP BY own.load
"""


@dataclass(frozen=True)
class WrittenRows:
    """Reads which rows of the target the session's job wrote."""

    session: LedgerSession

    def read_tables(self, loads: Collection[str]) -> list[WrittenTable]:
        """Read the tables in which loads have written, those first that refer to others.

        Tables that have been dropped since are left out.
        """
        rows = self.session.execute(
            "SELECT DISTINCT w.relation FROM {migration_written_rows} AS w"
            f" WHERE w.job_id = %(job)s AND w.load = ANY(%(loads)s) AND {_IS_AS_RECORDED}",
            {"loads": list(loads)},
        ).fetchall()
        oids = {"oids": [oid for (oid,) in rows]}
        tables = [WrittenTable(*row) for row in self.session.execute(_TABLES, oids).fetchall()]
        return _children_first(tables, self.session.execute(_KEYS_BETWEEN, oids).fetchall())

    def count_own(self, loads: Collection[str], table: WrittenTable) -> list[OwnCount]:
        """Count the rows of a table that are as loads wrote them, by load."""
        query = self.session.compose(
            _COUNT,
            job=sql.Literal(self.session.job),
            loads=sql.Literal(list(loads)),
            oid=sql.Literal(table.oid),
            table=table.sql,
            numbers=self.own_numbers(loads, table.oid),
        )
        # Without parameters: a percent sign in the name of the table would be taken for one.
        rows = self.session.connection.execute(query).fetchall()
        return [OwnCount(*row) for row in rows]

    def own_numbers(self, loads: Collection[str], oid: int) -> sql.Composed:
        """A query for the ``xmin`` (xid) of the rows that loads wrote into a table."""
        return self.session.compose(
            _OWN_NUMBERS,
            job=sql.Literal(self.session.job),
            loads=sql.Literal(list(loads)),
            oid=sql.Literal(oid),
        )


def _children_first(
    tables: Sequence[WrittenTable], keys: Sequence[tuple[int, int]]
) -> list[WrittenTable]:
    left, order = list(tables), []
    while left:
        referred = {parent for child, parent in keys if child in {one.oid for one in left}}
        free = [one for one in left if one.oid not in referred] or left
        order += free
        left = [one for one in left if one not in free]
    return order
