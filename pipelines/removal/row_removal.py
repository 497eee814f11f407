"""Deletes the rows of a job that are as it wrote them, and nothing that others rely on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.written_tables import WrittenTable
from pipelines.removal.unindexed_keys import index_foreign_keys
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.postgres.row_security import current_role


def lock_tables(target: psycopg.Connection[Any], tables: Sequence[WrittenTable]) -> None:
    """Keep others from changing rows, and from referring to them, until the transaction ends.

    Args:
        target: A connection to the target, in a transaction.
        tables: The tables to lock.

    Raises:
        TransfuseError: USER-002 if the role may not read or delete rows of a table.
        psycopg.Error: A table is locked by others for longer than the session waits.
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
        target.execute(sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(table.sql))


def remove_rows(
    ledger: JobLedger, loads: Collection[str], table: WrittenTable, expected: int
) -> None:
    """Delete the rows of loads in one table, in the caller's transaction.

    Foreign keys that would delete or change rows of others with them are not relied upon: any
    row of others that refers to one of the job's is a reason to refuse.

    Args:
        ledger: That of the job.
        loads: The loads.
        table: The table.
        expected: How many rows of theirs it has.

    Raises:
        TransfuseError: USER-003 if rows of others refer to these, or if the target doesn't delete
            all of them. The caller's transaction has to be rolled back.
        psycopg.Error: The server refuses.
    """
    target = ledger.connection
    problems = [
        *_delete_triggers(target, table),
        *_referring_rows(ledger, loads, table),
    ]
    if problems:
        raise TransfuseError(problems)
    indexes = index_foreign_keys(target, table, expected)
    deleted = target.execute(
        sql.SQL("DELETE FROM {} AS t WHERE t.xmin IN ({})").format(
            table.sql, ledger.written.own_numbers(loads, table.oid)
        )
    ).rowcount
    if deleted != expected:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                f"{expected - deleted} of {expected} rows weren't deleted: something in the target"
                " has changed them in between",
                f"target, table {table.name}",
                "disable the triggers of the job's tables (ALTER TABLE name DISABLE TRIGGER USER),"
                " reset the job, and enable them again",
            )
        )
    for index in indexes:
        target.execute(sql.SQL("DROP INDEX {}").format(index))


_DELETE_TRIGGERS = """
WITH RECURSIVE tree AS (
    SELECT %(table)s::oid AS oid
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(f.name), f.kind
FROM tree JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN LATERAL (
    SELECT t.tgname AS name, 'TRIGGER' AS kind FROM pg_trigger t
    WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
      AND t.tgtype & 8 <> 0
    UNION ALL
    SELECT r.rulename, 'RULE' FROM pg_rewrite r
    WHERE r.ev_class = c.oid AND r.ev_type = '4' AND r.ev_enabled IN ('O', 'A')) AS f ON true
ORDER BY 1, 2
"""
"""The triggers and rules that fire where a row is deleted (bit 3 of tgtype)."""


def _delete_triggers(target: psycopg.Connection[Any], table: WrittenTable) -> Iterator[Problem]:
    """The triggers and rules that fire for deleted rows, and could change rows of others."""
    fired = target.execute(_DELETE_TRIGGERS.encode(), {"table": table.oid}).fetchall()
    for name, trigger, kind in fired:
        yield Problem(
            ErrorCode.USER_003,
            f"the {kind.lower()} {trigger} fires for each deleted row, and could change rows that"
            " the job didn't write",
            f"target, table {name}",
            f"ALTER TABLE {name} DISABLE {kind} {trigger}; reset the job, and then"
            f" ALTER TABLE {name} ENABLE {kind} {trigger};",
        )


_FOREIGN_KEYS = """
SELECT quote_ident(c.conname), c.conrelid::int8,
    quote_ident(n.nspname) || '.' || quote_ident(r.relname),
    has_table_privilege(r.oid, 'SELECT'),
    (SELECT array_agg(quote_ident(a.attname) ORDER BY k.position)
     FROM unnest(c.conkey) WITH ORDINALITY AS k(attnum, position)
     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum),
    (SELECT array_agg(quote_ident(a.attname) ORDER BY k.position)
     FROM unnest(c.confkey) WITH ORDINALITY AS k(attnum, position)
     JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum)
FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE c.contype = 'f' AND c.confrelid = %(table)s AND NOT EXISTS (
    SELECT FROM pg_constraint p WHERE p.oid = c.conparentid AND p.confrelid = c.confrelid)
ORDER BY 3, 1
"""


def _referring_rows(
    ledger: JobLedger, loads: Collection[str], table: WrittenTable
) -> Iterator[Problem]:
    """The rows of others that refer to rows of the loads in the table, by foreign key."""
    target = ledger.connection
    keys = target.execute(_FOREIGN_KEYS.encode(), {"table": table.oid}).fetchall()
    for name, oid, referring, readable, columns, referred in keys:
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
        query = sql.SQL(
            "FROM {referring} AS c JOIN {table} AS t ON {same}"
            " WHERE t.xmin IN ({own}) AND (c.xmin IN ({theirs})) IS NOT TRUE"
        ).format(
            referring=sql.SQL(referring),
            table=table.sql,
            same=sql.SQL(" AND ").join(same),
            own=ledger.written.own_numbers(loads, table.oid),
            theirs=ledger.written.own_numbers(loads, oid),
        )
        row = target.execute(sql.SQL("SELECT count(*) ") + query).fetchone()
        assert row is not None
        if row[0]:
            # Their keys may be those of patients: who may see them can run the statement.
            statement = (sql.SQL("SELECT c.* ") + query).as_string(target)
            yield Problem(
                ErrorCode.USER_003,
                f"rows of {referring} ({row[0]}) refer to rows of {table.name} that the job wrote,"
                " and were not written by it, or were changed since",
                where,
                f"delete these rows, or have them refer to others, and reset again: {statement}",
            )
