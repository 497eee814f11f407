"""The tables in which rows of a job are, in the order in which these can be removed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table
from schemas.specification.root import Specification
from transforms.ledger.written_rows import EPOCH

AS_RECORDED = sql.SQL("w.xmin::text::int8 = mod(w.transaction, {})").format(sql.Literal(EPOCH))
"""Whether a row of ``migration_written_rows AS w`` is as its transaction wrote it. In a database
that was restored since, its numbers and the OIDs of its tables mean nothing any more."""


@dataclass(frozen=True)
class WrittenTable:
    """A table of the target; ``name`` as SQL writes it.

    ``is_heap``: it and all of its parts are ordinary tables, whose rows say who wrote them.
    """

    oid: int
    name: str
    is_heap: bool
    may_delete: bool

    @property
    def sql(self) -> sql.SQL:
        return sql.SQL(self.name)


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


def read_written_tables(
    target: psycopg.Connection[Any], specification: Specification, loads: Collection[str]
) -> list[WrittenTable]:
    """The tables in which the loads have written, those first that refer to others.

    Tables that have been dropped since are left out.
    """
    rows = target.execute(
        sql.SQL(
            "SELECT DISTINCT w.relation FROM {} AS w WHERE w.job_id = %s AND w.load = ANY(%s)"
            " AND {}"
        ).format(control_table(specification, "migration_written_rows"), AS_RECORDED),
        [specification.job, list(loads)],
    ).fetchall()
    oids = {"oids": [oid for (oid,) in rows]}
    tables = [WrittenTable(*row) for row in target.execute(_TABLES.encode(), oids).fetchall()]
    return _children_first(tables, target.execute(_KEYS_BETWEEN.encode(), oids).fetchall())


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


def own_numbers(specification: Specification, loads: Collection[str], oid: int) -> sql.Composed:
    """A query for the ``xmin`` of the rows that the loads wrote into a table, as type xid."""
    return sql.SQL(
        "SELECT (number % {epoch})::text::xid FROM {written} AS w, unnest(w.xids) AS number"
        " WHERE w.job_id = {job} AND w.load = ANY({loads}::text[]) AND w.relation = {oid}"
        " AND w.written_as <> 'others' AND {as_recorded}"
    ).format(
        as_recorded=AS_RECORDED,
        epoch=sql.Literal(EPOCH),
        written=control_table(specification, "migration_written_rows"),
        job=sql.Literal(specification.job),
        loads=sql.Literal(list(loads)),
        oid=sql.Literal(oid),
    )
