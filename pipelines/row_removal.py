"""Deletes the rows of a job that are as it wrote them, and nothing that others rely on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from pipelines.unindexed_keys import index_foreign_keys
from pipelines.written_tables import WrittenTable, own_numbers
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.row_security import current_role

_KEYS_NAMED = 5


def lock_tables(target: psycopg.Connection[Any], tables: Sequence[WrittenTable]) -> None:
    """Keeps others from changing rows until the end of the transaction.

    Raises:
        TransfuseError: USER-002 where the role may not read or delete rows of a table.
        psycopg.Error: a table is locked for longer than the session waits.
    """
    role = current_role(target)
    lacking = [
        Problem(
            ErrorCode.USER_002,
            f"the role {role} may not read and delete its rows",
            f"target, table {table.name}",
            f"GRANT SELECT, DELETE ON {table.name} TO {role};",
        )
        for table in tables
        if not table.may_delete
    ]
    if lacking:
        raise TransfuseError(lacking)
    for table in sorted(tables, key=lambda one: one.oid):
        target.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(table.sql))


def remove_rows(
    target: psycopg.Connection[Any],
    specification: Specification,
    loads: Collection[str],
    table: WrittenTable,
    expected: int,
) -> None:
    """Deletes the rows of the loads in one table, in the caller's transaction.

    Foreign keys that would delete or change rows of others with them are not relied upon: any
    row of others that refers to one of the job's is a reason to refuse.

    Raises:
        TransfuseError: USER-003 where rows of others refer to these, or where the target doesn't
            delete all ``expected`` ones. The caller's transaction has to be rolled back.
        psycopg.Error: the server refuses.
    """
    problems = list(_referring_rows(target, specification, loads, table))
    if problems:
        raise TransfuseError(problems)
    indexes = index_foreign_keys(target, table, expected)
    deleted = target.execute(
        sql.SQL("DELETE FROM {} AS t WHERE t.xmin IN ({})").format(
            table.sql, own_numbers(specification, loads, table.oid)
        )
    ).rowcount
    if deleted != expected:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                f"{expected - deleted} of {expected} rows weren't deleted: a trigger or rule of the"
                " table prevents it",
                f"target, table {table.name}",
                f"ALTER TABLE {table.name} DISABLE TRIGGER USER; reset the job, and enable the"
                " triggers again",
            )
        )
    for index in indexes:
        target.execute(sql.SQL("DROP INDEX {}").format(index))


_FOREIGN_KEYS = """
SELECT quote_ident(c.conname), c.conrelid::int8,
    quote_ident(n.nspname) || '.' || quote_ident(r.relname),
    has_table_privilege(r.oid, 'SELECT'),
    (SELECT array_agg(quote_ident(a.attname) ORDER BY k.position)
     FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, position)
     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum),
    (SELECT array_agg(quote_ident(a.attname) ORDER BY k.position)
     FROM unnest(c.confkey) WITH ORDINALITY AS k(attnum, position)
     JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum),
    (SELECT array_agg(quote_ident(a.attname) ORDER BY k.position) FROM pg_index i
     CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
     WHERE i.indrelid = c.conrelid AND i.indisprimary)
FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE c.contype = 'f' AND c.confrelid = %(table)s AND NOT EXISTS (
    SELECT FROM pg_constraint p WHERE p.oid = c.conparentid AND p.confrelid = c.confrelid)
ORDER BY 3, 1
"""


def _referring_rows(
    target: psycopg.Connection[Any],
    specification: Specification,
    loads: Collection[str],
    table: WrittenTable,
) -> Iterator[Problem]:
    """The rows of others that refer to rows of the loads in the table, by foreign key."""
    keys = target.execute(_FOREIGN_KEYS.encode(), {"table": table.oid}).fetchall()
    for name, oid, referring, readable, columns, referred, primary in keys:
        where = f"target, table {referring}, foreign key {name}"
        if not readable:
            role = current_role(target)
            yield Problem(
                ErrorCode.USER_002,
                f"the role {role} may not see whether rows refer to those of {table.name}",
                where,
                f"GRANT SELECT ON {referring} TO {role};",
            )
            continue
        same = [
            sql.SQL("c.{} = t.{}").format(sql.SQL(one), sql.SQL(other))
            for one, other in zip(columns, referred, strict=True)
        ]
        shown = primary or columns
        row = target.execute(
            sql.SQL(
                "WITH others AS (SELECT {keys} AS key FROM {referring} AS c JOIN {table} AS t"
                " ON {same} WHERE t.xmin IN ({own}) AND (c.xmin IN ({theirs})) IS NOT TRUE)"
                " SELECT (SELECT count(*) FROM others),"
                " ARRAY(SELECT key FROM others ORDER BY key LIMIT {shown})"
            ).format(
                keys=sql.SQL("concat_ws(', ', {})").format(
                    sql.SQL(", ").join([sql.SQL("c.{}").format(sql.SQL(one)) for one in shown])
                ),
                referring=sql.SQL(referring),
                table=table.sql,
                same=sql.SQL(" AND ").join(same),
                own=own_numbers(specification, loads, table.oid),
                theirs=own_numbers(specification, loads, oid),
                shown=sql.Literal(_KEYS_NAMED),
            )
        ).fetchone()
        assert row is not None
        if row[0]:
            yield _referring(table, where, referring, row[0], shown, row[1])


def _referring(
    table: WrittenTable,
    where: str,
    referring: str,
    count: int,
    columns: Sequence[str],
    keys: Sequence[str],
) -> Problem:
    more = f" and {count - len(keys)} more" if count > len(keys) else ""
    named = f"{', '.join(columns)} = {'; '.join(keys)}{more}"
    return Problem(
        ErrorCode.USER_003,
        f"rows of {referring} that the job didn't write, or that were changed since ({count}),"
        f" refer to rows of {table.name} that it wrote: {named}",
        where,
        "delete these rows, or have them refer to others, and reset again",
    )
