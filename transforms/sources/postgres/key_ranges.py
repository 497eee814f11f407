"""Ranges of a key: for views and queries, and where a partition column is asked for.

Boundaries are values of the key, chosen and compared by the server, whose order no other
program shares (collations, NaN, infinite dates, composite keys).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import psycopg
from psycopg import sql

from schemas.catalog import Relation
from transforms.model.slices import FINENESS, PartitionBounds, Range, Slice, merge, with_stops
from transforms.sources.postgres.hash_ranges import hash_ranges
from transforms.sources.postgres.partition_key import KeyCut, PartitionKey, read_partition_key
from transforms.sources.postgres.physical_ranges import physical_ranges

KeySlice = Slice["KeyCut | None"]

_SORTED_ROWS = 1_000_000
"""Beyond it, sorting a sample and counting once is quicker than sorting all keys."""

_SAMPLED_KINDS = ("r", "m", "p")
"""Letters of pg_class.relkind that TABLESAMPLE takes."""

_SAMPLE_ROWS_A_SLICE = 200

_CUTS = (
    "WITH keys AS (SELECT {named}, count(*)::float8 AS n, sum({size}) AS b"
    " FROM {relation}{sample} WHERE {condition} GROUP BY {numbers}),"
    " shares AS (SELECT *, greatest(n / {rows}::float8, b / {bytes}::float8) AS share"
    " FROM keys),"
    " running AS (SELECT *, sum(n) OVER o - n AS rows_before,"
    " sum(b) OVER o - b AS bytes_before,"
    " floor((sum(share) OVER o - share) * {fineness} + 1e-6) AS slice"
    " FROM shares WINDOW o AS (ORDER BY {aliases})),"
    " numbered AS (SELECT *, lag(slice) OVER (ORDER BY {aliases}) AS previous FROM running)"
    " SELECT rows_before::bigint, bytes_before, n::bigint, b, share > 1, {texts}"
    " FROM numbered WHERE slice IS DISTINCT FROM previous OR share > 1 ORDER BY {aliases}"
)
"""Rows: rows and bytes before a key, its own, whether it fills more than a partition, its text."""


def key_ranges(
    connection: psycopg.Connection,
    relation: Relation,
    by: Sequence[str],
    pages: int | None,
    size: sql.Composable,
    bounds: PartitionBounds,
    sorted_rows: int = _SORTED_ROWS,
) -> list[Range]:
    """Divide a relation by a key; the rows with a NULL in one of its columns come last.

    Rows that share a key and are too many for a partition are divided further by position, else
    by hash.

    Args:
        connection: the source.
        relation: a table, a view or a query.
        by: the columns of the key.
        pages: None where the relation has no physical ranges.
        size: the SQL expression for a row's bytes.
        bounds: rows and bytes of a partition.
        sorted_rows: up to so many rows the boundaries are exact quantiles, above that they come
            from a sample where the relation has one.

    Returns:
        The ranges, none of which is empty; the outer ones are open-ended.

    Raises:
        TransfuseError: SYS-004, as ``read_partition_key`` does.
        psycopg.Error: the server refuses a query.
    """
    key = read_partition_key(connection, relation, by)
    keys = _Keys(connection, relation, key, size, bounds)
    present, absent = keys.count()
    merged = with_stops(merge(keys.slices(present, sorted_rows), bounds))
    parts = [(key.between(part.start, stop), part) for part, stop in merged]
    if absent.rows:
        parts.append((key.absent, absent))

    def divide(condition: sql.Composable, part: KeySlice) -> list[Range]:
        share = bounds.share(part.rows, part.size)
        if share <= 1 or part.rows == 1:
            return [Range(condition, part.rows)]
        if pages is not None:
            return physical_ranges(connection, relation, pages, size, bounds, condition, part.rows)
        return hash_ranges(connection, relation, size, bounds, condition, share)

    return [part for condition, rows in parts for part in divide(condition, rows)]


class _Keys:
    """Cuts the keys of a relation into counted slices."""

    def __init__(
        self,
        connection: psycopg.Connection,
        relation: Relation,
        key: PartitionKey,
        size: sql.Composable,
        bounds: PartitionBounds,
    ) -> None:
        self._connection = connection
        self._relation = relation
        self._key = key
        self._size = size
        self._bounds = bounds

    def count(self) -> tuple[KeySlice, KeySlice]:
        """The rows whose key is present, and those where a column of it is NULL."""
        row = self._connection.execute(
            sql.SQL(
                "SELECT count(*) FILTER (WHERE {0}), coalesce(sum({2}) FILTER (WHERE {0}), 0),"
                " count(*) FILTER (WHERE {1}), coalesce(sum({2}) FILTER (WHERE {1}), 0) FROM {3}"
            ).format(self._key.present, self._key.absent, self._size, self._relation.sql)
        ).fetchone()
        assert row is not None
        return Slice(None, row[0], row[1]), Slice(None, row[2], row[3])

    def slices(self, whole: KeySlice, sorted_rows: int) -> list[KeySlice]:
        """Slices of all keys: from a sample where sorting them all would take longer."""
        if whole.rows > sorted_rows and self._relation.kind in _SAMPLED_KINDS:
            return self.sample_slices(whole, sorted_rows)
        return self.quantiles(whole, None)

    def quantiles(self, whole: KeySlice, stop: KeyCut | None) -> list[KeySlice]:
        """Slices of the keys from ``whole.start`` up to ``stop``, counted exactly.

        Each is a fraction of the bounds, or all rows of one key where those are more.
        """
        slices: list[KeySlice] = []
        start, rows_before, size_before = whole.start, 0, 0.0
        for cut, rows, size in self._cuts(sql.SQL(""), 1.0, whole.start, stop):
            if rows > rows_before:
                slices.append(Slice(start, rows - rows_before, size - size_before))
                start, rows_before, size_before = cut, rows, size
        slices.append(Slice(start, whole.rows - rows_before, max(0.0, whole.size - size_before)))
        return slices

    def sample_slices(self, whole: KeySlice, sorted_rows: int) -> list[KeySlice]:
        """Slices whose boundaries come from a sample of the table, counted in one pass."""
        share = self._bounds.share(whole.rows, whole.size)
        wanted = max(sorted_rows / 2, _SAMPLE_ROWS_A_SLICE * FINENESS * share)
        fraction = min(1.0, wanted / whole.rows)
        sample = sql.SQL(" TABLESAMPLE SYSTEM ({}) REPEATABLE (1)").format(100 * fraction)
        cuts = [cut for cut, _, _ in self._cuts(sample, fraction, None, None)]
        slices: list[KeySlice] = []
        counted = self._count_between(cuts)
        for part, stop in zip(counted, [*cuts, None], strict=True):
            one_key = (
                part.start is not None and stop is not None and part.start.values == stop.values
            )
            if one_key or self._bounds.share(part.rows, part.size) <= 1:
                slices.append(part)
            else:
                slices += self.quantiles(part, stop)
        return slices

    def _cuts(
        self,
        sample: sql.Composable,
        fraction: float,
        start: KeyCut | None,
        stop: KeyCut | None,
    ) -> Iterator[tuple[KeyCut, int, float]]:
        """Cut between ``start`` and ``stop`` with the rows and bytes that lie before each.

        ``fraction`` of the rows are in ``sample``, an empty clause for all of them. A key with
        more rows than a partition holds has a cut on either side.
        """
        query = self._select_cuts(sample, fraction, self._key.between(start, stop))
        for rows_before, bytes_before, rows, size, heavy, *values in self._connection.execute(
            query
        ):
            yield KeyCut(tuple(values)), rows_before, bytes_before
            if heavy:
                yield KeyCut(tuple(values), after=True), rows_before + rows, bytes_before + size

    def _select_cuts(
        self, sample: sql.Composable, fraction: float, condition: sql.Composable
    ) -> sql.Composed:
        """The first key of each slice, and each key that is too large for a partition."""
        aliases = [sql.Identifier(f"key{i}") for i in range(len(self._key.columns))]
        return sql.SQL(_CUTS).format(
            named=_list(
                sql.SQL("{} AS {}").format(name, alias)
                for name, alias in zip(self._key.names, aliases, strict=True)
            ),
            size=self._size,
            relation=self._relation.sql,
            sample=sample,
            condition=condition,
            numbers=_list(sql.Literal(i + 1) for i in range(len(aliases))),
            rows=self._bounds.rows * fraction,
            bytes=self._bounds.bytes * fraction,
            fineness=FINENESS,
            aliases=_list(aliases),
            # Named, or ORDER BY would take the text for the key.
            texts=_list(
                sql.SQL("{}::text AS {}").format(alias, sql.Identifier(f"text{i}"))
                for i, alias in enumerate(aliases)
            ),
        )

    def _count_between(self, cuts: Sequence[KeyCut]) -> list[KeySlice]:
        """Count the slice before the first cut, and the one after each, in one pass."""
        counted = self._connection.execute(
            sql.SQL("SELECT {}, count(*), sum({}) FROM {} WHERE {} GROUP BY 1").format(
                self._search(cuts, 0, len(cuts)),
                self._size,
                self._relation.sql,
                self._key.present,
            )
        )
        counts = {number: (rows, size) for number, rows, size in counted}
        return [
            Slice(start, *counts.get(number, (0, 0.0)))
            for number, start in enumerate([None, *cuts])
        ]

    def _search(self, cuts: Sequence[KeyCut], low: int, high: int) -> sql.Composable:
        """Binary search as an expression: the number of cuts that a key doesn't lie before."""
        if low == high:
            return sql.Literal(low)
        middle = (low + high) // 2
        return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(
            self._key.before(cuts[middle]),
            self._search(cuts, low, middle),
            self._search(cuts, middle + 1, high),
        )


def _list(items: Iterable[sql.Composable]) -> sql.Composable:
    return sql.SQL(", ").join(items)
