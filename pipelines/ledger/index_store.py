"""Indexes and foreign keys that are built after the load: stored, dropped, and restored.

Only what can't refuse a row then is dropped: secondary indexes, and foreign keys that the
specification's own references have checked. Unique ones stay, the primary key among them:
what they refuse belongs to a row, and at the end it couldn't be traced to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from pipelines.ledger.checked_keys import CheckedKey, find_checked_keys
from pipelines.ledger.index_rows import StoredIndex
from pipelines.ledger.job_ledger import JobLedger
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.policies import Indexes
from transforms.model.program import LoadProgram
from transforms.postgres.database_problems import describe_error

_INDEXES = """
SELECT 'index', i.indexrelid::regclass::text, NULL, NULL, NULL, pg_get_indexdef(i.indexrelid),
    'DROP INDEX ' || i.indexrelid::regclass
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = %(table)s::regclass
  AND NOT i.indisunique AND NOT i.indisexclusion AND i.indisvalid
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
  AND x.relkind = 'i' AND NOT x.relispartition
  AND NOT i.indisclustered AND x.reltablespace = 0
  AND obj_description(x.oid, 'pg_class') IS NULL
"""
"""Kind, name, what a key rests on, and how to make and drop them.

Indexes of which the definition isn't all stay: those of a partitioned table and of its
partitions, which belong together, and those with a mark, a tablespace or a comment.
"""

_FOREIGN_KEYS = """
SELECT 'foreign key', c.conrelid::regclass || ' ' || quote_ident(c.conname),
    r.field, r.parent, r.key, definition.made, format('ALTER TABLE %%s DROP CONSTRAINT %%I',
        c.conrelid::regclass, c.conname)
FROM pg_constraint c
JOIN unnest(%(fields)s::text[], %(parents)s::text[], %(keys)s::text[]) AS r(field, parent, key)
  ON r.parent::regclass = c.confrelid
JOIN pg_attribute f ON f.attrelid = c.conrelid AND f.attname = r.field
JOIN pg_attribute k ON k.attrelid = c.confrelid AND k.attname = r.key
JOIN pg_class p ON p.oid = c.confrelid
CROSS JOIN LATERAL (SELECT format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s',
    c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)) AS made) AS definition
WHERE c.conrelid = %(table)s::regclass AND c.contype = 'f' AND c.conparentid = 0 AND c.convalidated
  AND c.conkey = ARRAY[f.attnum] AND c.confkey = ARRAY[k.attnum]
  AND obj_description(c.oid, 'pg_constraint') IS NULL
  AND (p.relkind = 'p' OR NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = p.oid))
  AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = c.oid AND t.tgenabled <> 'O')
  AND NOT EXISTS (SELECT FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgrelid IN
      (SELECT relid FROM pg_partition_tree(c.conrelid) UNION ALL SELECT c.conrelid))
"""
"""The same of foreign keys.

A trigger of the table's own could change what was checked. A reference is looked for in
what inherits from the parent too, a foreign key isn't.
"""

_EXISTS = """
SELECT EXISTS (SELECT FROM pg_index WHERE pg_get_indexdef(indexrelid) = %(definition)s)
    OR EXISTS (SELECT FROM pg_constraint c WHERE c.contype = 'f' AND %(definition)s =
        format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s',
            c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)))
"""

_NO_PATH = "SET LOCAL search_path = ''"
"""So that definitions name every schema, and mean the same in any session."""


class _Droppable(NamedTuple):
    """An index or a foreign key that may be dropped, and the statement that drops it."""

    stored: StoredIndex
    drop: str


def drop_indexes(ledger: JobLedger, programs: Mapping[str, LoadProgram]) -> None:
    """Drop secondary indexes and checked foreign keys of the empty tables of loads.

    Definitions are stored in the same transaction. Those that are stored already, of a run that
    was killed or of another job, and aren't to be dropped by this one are built first.
    Nothing is dropped unless the specification says ``indexes: after_load``.

    Args:
        ledger: The job's.
        programs: The loads, compiled.

    Raises:
        TransfuseError: Exit status 3, if one of them can't be built: without a foreign key that no
            reference stands for, rows would be written that the target refuses.
    """
    later = ledger.specification.target.indexes is Indexes.AFTER_LOAD
    checked = find_checked_keys(programs.values())
    _take_over(ledger, list(checked))
    problems = restore_indexes(ledger, checked if later else {})
    if problems:
        raise TransfuseError(problems, ExitStatus.INCOMPLETE)
    if not later:
        return
    target = ledger.connection
    for table, keys in checked.items():
        row = target.execute(
            sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(sql.SQL(table))
        ).fetchone()
        if row is None or not row[0]:
            continue
        with target.transaction():
            for stored, drop in _droppable(target, table, keys):
                ledger.indexes.store(stored)
                target.execute(drop.encode())


def _droppable(
    target: psycopg.Connection[Any], table: str, keys: Sequence[CheckedKey]
) -> list[_Droppable]:
    """What may be dropped of an empty table: the role must be able to build it again."""
    values = {
        "table": table,
        "fields": [key.field for key in keys],
        "parents": [key.parent for key in keys],
        "keys": [key.column for key in keys],
    }
    with target.transaction(force_rollback=True):
        target.execute(_NO_PATH)
        candidates = [
            _Droppable(
                StoredIndex(table, kind, name, CheckedKey(*key) if key[0] else None, definition),
                drop,
            )
            for query in (_FOREIGN_KEYS, _INDEXES)
            for kind, name, *key, definition, drop in target.execute(
                query.encode(), values
            ).fetchall()
        ]
        return [each for each in candidates if _can_be_built_again(target, each)]


def _can_be_built_again(target: psycopg.Connection[Any], candidate: _Droppable) -> bool:
    try:
        with target.transaction(force_rollback=True):
            target.execute(candidate.drop.encode())
            target.execute(candidate.stored.definition.encode())
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _take_over(ledger: JobLedger, tables: Sequence[str]) -> None:
    """Take over what other jobs have dropped of these tables and won't build now."""
    for job in ledger.indexes.read_other_jobs(tables):
        if not ledger.lock.is_running(job):
            ledger.indexes.take_over(job, tables)


def restore_indexes(
    ledger: JobLedger, without: Mapping[str, Sequence[CheckedKey]] | None = None
) -> list[Problem]:
    """Build what the job has dropped, also in a run that was killed.

    Args:
        ledger: The job's.
        without: Tables of which indexes, and foreign keys for these references, are left out.

    Returns:
        One problem for each that can't be built. It stays stored, for the next run.
    """
    problems = []
    for index in ledger.indexes.read():
        left_out = (without or {}).get(index.table)
        if left_out is not None and (index.kind == "index" or index.key in left_out):
            continue
        error = _build(ledger, index)
        if error is not None:
            problems.append(_unbuilt(error, f"{index.kind} {index.name}"))
    return problems


def _build(ledger: JobLedger, index: StoredIndex) -> psycopg.Error | None:
    target = ledger.connection
    try:
        with target.transaction():
            ledger.indexes.delete(index.name)
            target.execute(_NO_PATH)
            row = target.execute(_EXISTS, {"definition": index.definition}).fetchone()
            # Somebody may have built it by hand meanwhile.
            if row is None or not row[0]:
                target.execute(index.definition.encode())
    except psycopg.Error as error:
        if target.closed:
            raise
        return error
    return None


def _unbuilt(error: psycopg.Error, where: str) -> Problem:
    if isinstance(error, psycopg.errors.ForeignKeyViolation):
        # Every reference was checked, so somebody else has written there.
        message = "it can't be built again: rows of its table have no parent"
        remedy = "see who else writes to these tables, fix the rows, and start again"
        return Problem(ErrorCode.SYS_005, message, where, remedy)
    code, cause, remedy = describe_error(error, "")
    return Problem(code, f"it can't be built again: {cause}", where, remedy or "start again")


def unbuilt_indexes(ledger: JobLedger) -> tuple[Problem, ...]:
    """The problem that an ended run has left indexes or foreign keys to be built, if it has."""
    number, first = ledger.indexes.count()
    if not number:
        return ()
    message = f"{number} indexes and foreign keys aren't built again yet"
    remedy = "start the job again: they are built at its end"
    return (Problem(ErrorCode.SYS_005, message, f"{first} among them", remedy),)
