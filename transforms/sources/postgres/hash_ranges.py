"""Ranges of a hash over whole rows: for rows that share one key and have no position."""

from __future__ import annotations

from math import ceil

import psycopg
from psycopg import sql

from schemas.catalog import Relation
from transforms.model.slices import FINENESS, PartitionBounds, Range, Slice, merge, with_stops


def hash_ranges(
    connection: psycopg.Connection,
    relation: Relation,
    size: sql.Composable,
    bounds: PartitionBounds,
    condition: sql.Composable,
    share: float,
) -> list[Range]:
    """Divide the rows that fulfil ``condition`` by a hash of all columns that can be read.

    ``size`` is the SQL expression for a row's bytes, ``share`` how many times the bounds the
    rows are. Rows that are alike in every column stay together, however many they are. A query
    whose rows depend on when they are read (``now()``) can't be divided so: the counts of its
    partitions won't be those that a reader finds.
    Raises psycopg.Error.
    """
    buckets = ceil(share * FINENESS)
    # The text of a row exists for every type, unlike a hash, and writes NULLs as well.
    bucket = sql.SQL('(hashtextextended(ROW({})::text COLLATE "C", 0) % {n} + {n}) % {n}').format(
        sql.SQL(", ").join(sql.Identifier(c.name) for c in relation.columns if c.readable),
        n=buckets,
    )
    rows_by_start = connection.execute(
        sql.SQL("SELECT {}, count(*), sum({}) FROM {} WHERE {} GROUP BY 1 ORDER BY 1").format(
            bucket, size, relation.sql, condition
        )
    )
    slices = [Slice(int(start), rows, bytes_) for start, rows, bytes_ in rows_by_start]
    ranges: list[Range] = []
    for part, stop in with_stops(merge(slices, bounds)):
        first = part.start if ranges else 0
        last = (buckets if stop is None else stop) - 1
        ranges.append(
            Range(
                sql.SQL("{} AND {} BETWEEN {} AND {}").format(condition, bucket, first, last),
                part.rows,
            )
        )
    return ranges
