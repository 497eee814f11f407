"""Indexes for foreign keys that have none, as long as the rows that they refer to are deleted.

For each row that is deleted the server looks for rows that refer to it. Without an index it reads
the whole table each time, with the rows that were deleted just before: with 100,000 patients and
their visits that takes hours.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.written_tables import WrittenTable
from schemas.errors import ErrorCode, Problem, TransfuseError

_PAGES_READ = 200_000
"""Pages that may be read for nothing, which takes about a second."""

_UNINDEXED = """
SELECT c.oid::int8, quote_ident(c.conname), quote_ident(n.nspname),
    quote_ident(n.nspname) || '.' || quote_ident(r.relname),
    (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.position)
     FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, position)
     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum)
FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE c.contype = 'f' AND c.confrelid = %(table)s AND NOT EXISTS (
        SELECT FROM pg_constraint p WHERE p.oid = c.conparentid AND p.confrelid = c.confrelid)
    AND NOT EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indisvalid
        AND i.indpred IS NULL AND i.indkey[0] = ANY (c.conkey))
    AND %(rows)s * (SELECT sum(pg_relation_size(part.relid)) / current_setting('block_size')::int8
        FROM (SELECT relid::oid FROM pg_partition_tree(c.conrelid) UNION SELECT c.conrelid) AS part)
        > %(pages)s
"""


def index_foreign_keys(
    target: psycopg.Connection[Any], table: WrittenTable, rows: int
) -> list[sql.SQL]:
    """Make an index for each foreign key that refers to a table and would be slow to check.

    Args:
        target: A session to the target, in a transaction.
        table: The table of which rows are to be deleted.
        rows: How many.

    Returns:
        The names of the indexes, for the caller to drop.

    Raises:
        TransfuseError: USER-002 if the role may not make one.
        psycopg.Error: The server refuses for another reason.
    """
    values = {"table": table.oid, "rows": rows, "pages": _PAGES_READ}
    indexes = []
    for oid, key, schema, referring, columns in target.execute(
        _UNINDEXED.encode(), values
    ).fetchall():
        name = f"transfuse_reset_{oid}"
        try:
            with target.transaction():
                target.execute(
                    sql.SQL("CREATE INDEX {} ON {} ({})").format(
                        sql.SQL(name), sql.SQL(referring), sql.SQL(columns)
                    )
                )
        except psycopg.errors.InsufficientPrivilege:
            raise TransfuseError(
                Problem(
                    ErrorCode.USER_002,
                    f"without an index the whole table is read for each of {rows:,} rows of"
                    f" {table.name} that are deleted, and the role may not make one",
                    f"target, table {referring}, foreign key {key}",
                    f"as the table's owner: CREATE INDEX ON {referring} ({columns});",
                )
            ) from None
        indexes.append(sql.SQL(f"{schema}.{name}"))
    return indexes
