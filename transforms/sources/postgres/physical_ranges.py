"""Ranges of a table's pages: even in size whatever its keys, and in need of no index.

A position counts row slots from the start of the table: page times slots a page, plus the
offset within the page. Conditions compare ctid, so the server scans the pages of a range
and no others (a TID range scan, PostgreSQL 14 and later).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import psycopg
from psycopg import sql

from schemas.catalog import Relation
from transforms.model.slices import FINENESS, PartitionBounds, Range, Slice, merge, with_stops

_FIRST_SERVER = 140000

_SMALLEST_ROW = 28
"""Bytes of a heap row without columns: header and line pointer (PostgreSQL, Page Layout)."""

_FEW = 10_000
"""Rows that are cheaper asked for one by one than counted over the whole table."""

_RANGES_A_QUERY = 10_000

_EXTENT = """
WITH RECURSIVE tree AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = %s
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
SELECT bool_and(c.relkind IN ('r', 'm')),
       (max(pg_relation_size(c.oid)) / current_setting('block_size')::int)::bigint
FROM tree JOIN pg_class c USING (oid)
"""


def count_pages(connection: psycopg.Connection, relation: Relation) -> int | None:
    """The pages of a table, None where it can't be read by ranges of them.

    Of a table with inheriting tables it is the size of the largest: a range of pages means
    these pages of each of them. Raises psycopg.Error.
    """
    if not relation.is_stored or connection.info.server_version < _FIRST_SERVER:
        return None
    row = connection.execute(_EXTENT, [relation.schema, relation.name]).fetchone()
    return row[1] if row is not None and row[0] else None


def physical_ranges(
    connection: psycopg.Connection,
    relation: Relation,
    pages: int,
    size: sql.Composable,
    bounds: PartitionBounds,
    condition: sql.Composable | None = None,
    rows: int | None = None,
) -> list[Range]:
    """Divide the rows that fulfil ``condition`` (all without one) by where they are stored.

    ``size`` is the SQL expression for a row's bytes; ``rows``, where it is known, the number
    of rows to divide. Only a single row can exceed the bounds. The ranges come in reading
    order, the outer ones open-ended, none without rows; an empty table gives none.
    Raises psycopg.Error.
    """
    table = _Table(connection, relation, size, condition)
    if rows is not None and rows <= _FEW:
        slices = table.single_rows()
    else:
        slices = table.slices(pages, bounds)
    ranges: list[Range] = []
    for part, stop in with_stops(merge(slices, bounds)):
        parts = [] if condition is None else [condition]
        if ranges:
            parts.append(sql.SQL("ctid >= {}::tid").format(table.tid(part.start)))
        if stop is not None:
            parts.append(sql.SQL("ctid < {}::tid").format(table.tid(stop)))
        ranges.append(Range(sql.SQL(" AND ").join(parts or [sql.SQL("TRUE")]), part.rows))
    return ranges


class _Table:
    """Counts the rows of a condition within ranges of positions."""

    def __init__(
        self,
        connection: psycopg.Connection,
        relation: Relation,
        size: sql.Composable,
        condition: sql.Composable | None,
    ) -> None:
        self._connection = connection
        self._relation = relation
        self._size = size
        self._condition = condition or sql.SQL("TRUE")
        row = connection.execute("SELECT current_setting('block_size')::int").fetchone()
        assert row is not None
        self._block: int = row[0]
        self._slots: int = self._block // _SMALLEST_ROW + 1

    def tid(self, position: int) -> sql.Literal:
        return sql.Literal(self._spell(position))

    def slices(self, pages: int, bounds: PartitionBounds) -> list[Slice[int]]:
        """Slices of a fraction of the bounds each, wherever the rows are dense or sparse."""
        step = max(1, bounds.bytes // (self._block * FINENESS)) * self._slots
        end = pages * self._slots
        asked = [(start, min(start + step, end)) for start in range(0, end, step)]
        fine: list[Slice[int]] = []
        while asked:
            dense: list[tuple[int, int]] = []
            for (start, stop), counted in zip(asked, self._count_slices(asked), strict=True):
                share = bounds.share(counted.rows, counted.size)
                if share <= 2 / FINENESS or stop - start == 1 or counted.rows == 1:
                    fine.append(counted)
                    continue
                part = max(1, (stop - start) // ceil(share * FINENESS))
                dense += [(s, min(s + part, stop)) for s in range(start, stop, part)]
            asked = dense
        return sorted(fine, key=lambda s: s.start)

    def single_rows(self) -> list[Slice[int]]:
        """A slice for each row, in the order of their positions."""
        counted = self._connection.execute(
            sql.SQL("SELECT ctid::text, count(*), sum({}) FROM {} WHERE {} GROUP BY ctid").format(
                self._size, self._relation.sql, self._condition
            )
        ).fetchall()
        return sorted(
            (Slice(self._position(tid), rows, size) for tid, rows, size in counted),
            key=lambda s: s.start,
        )

    def _count_slices(self, asked: list[tuple[int, int]]) -> Iterator[Slice[int]]:
        for first in range(0, len(asked), _RANGES_A_QUERY):
            yield from self._count(asked[first : first + _RANGES_A_QUERY])

    def _count(self, asked: list[tuple[int, int]]) -> list[Slice[int]]:
        # A subquery for each range, because only that makes every one a TID range scan;
        # together they read the table once.
        counted = self._connection.execute(
            sql.SQL(
                "SELECT counted.* FROM unnest({}::tid[], {}::tid[]) WITH ORDINALITY"
                " AS asked_range (start, stop, number) CROSS JOIN LATERAL"
                " (SELECT count(*), coalesce(sum({}), 0) FROM {} WHERE {}"
                " AND ctid >= asked_range.start AND ctid < asked_range.stop) AS counted"
                " ORDER BY number"
            ).format(
                self._spell_all([start for start, _ in asked]),
                self._spell_all([stop for _, stop in asked]),
                self._size,
                self._relation.sql,
                self._condition,
            )
        )
        return [
            Slice(start, rows, size)
            for (start, _), (rows, size) in zip(asked, counted, strict=True)
        ]

    def _spell(self, position: int) -> str:
        page, offset = divmod(position, self._slots)
        return f"({page},{offset})"

    def _spell_all(self, positions: list[int]) -> sql.Literal:
        return sql.Literal("{" + ",".join(f'"{self._spell(p)}"' for p in positions) + "}")

    def _position(self, tid: str) -> int:
        page, offset = tid.strip("()").split(",")
        return int(page) * self._slots + int(offset)
