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
from pipelines.ledger.job import control_table
from pipelines.ledger.job_lock import is_running
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.policies import Indexes
from schemas.specification.root import Specification
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

_STANDS = """
SELECT EXISTS (SELECT FROM pg_index WHERE pg_get_indexdef(indexrelid) = %(definition)s)
    OR EXISTS (SELECT FROM pg_constraint c WHERE c.contype = 'f' AND %(definition)s =
        format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s',
            c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)))
"""

_NO_PATH = "SET LOCAL search_path = ''"
"""So that definitions name every schema, and mean the same in any session."""


class _Found(NamedTuple):
    """What can be dropped: as it is stored, and how."""

    kind: str
    name: str
    field: str | None
    parent: str | None
    key: str | None
    definition: str
    drop: str


def drop_indexes(
    target: psycopg.Connection[Any],
    specification: Specification,
    programs: Mapping[str, LoadProgram],
) -> None:
    """Drops secondary indexes and checked foreign keys of the empty tables of ``programs``.

    Definitions are stored in the same transaction. What is stored already, of a run that was
    killed or of another job, and isn't to be dropped by this one is built again first.
    Nothing is dropped unless the specification says ``indexes: after_load``.

    Raises TransfuseError (exit status 3) where that can't be built: without a foreign key
    that no reference stands for, rows would be written that the target refuses.
    """
    later = specification.target.indexes is Indexes.AFTER_LOAD
    checked = find_checked_keys(programs.values())
    _adopt(target, specification, list(checked))
    problems = restore_indexes(target, specification, checked if later else {})
    if problems:
        raise TransfuseError(problems, ExitStatus.INCOMPLETE)
    if not later:
        return
    store = sql.SQL(
        "INSERT INTO {} (job_id, target_table, kind, name, field, parent, key, definition)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (job_id, name) DO UPDATE SET (target_table, kind, field, parent, key,"
        " definition) = (excluded.target_table, excluded.kind, excluded.field, excluded.parent,"
        " excluded.key, excluded.definition)"
    ).format(control_table(specification, "migration_indexes"))
    for table, keys in checked.items():
        row = target.execute(
            sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(sql.SQL(table))
        ).fetchone()
        if row is None or not row[0]:
            continue
        with target.transaction():
            for found in _droppable(target, table, keys):
                target.execute(store, [specification.job, table, *found[:-1]])
                target.execute(found.drop.encode())


def _droppable(
    target: psycopg.Connection[Any], table: str, keys: Sequence[CheckedKey]
) -> list[_Found]:
    """What may be dropped of an empty table: the role must be able to build it again."""
    values = {
        "table": table,
        "fields": [key.field for key in keys],
        "parents": [key.parent for key in keys],
        "keys": [key.column for key in keys],
    }
    with target.transaction(force_rollback=True):
        target.execute(_NO_PATH)
        found = [
            _Found(*row)
            for query in (_FOREIGN_KEYS, _INDEXES)
            for row in target.execute(query.encode(), values).fetchall()
        ]
        return [each for each in found if _can_be_built_again(target, each)]


def _can_be_built_again(target: psycopg.Connection[Any], found: _Found) -> bool:
    try:
        with target.transaction(force_rollback=True):
            target.execute(found.drop.encode())
            target.execute(found.definition.encode())
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _adopt(
    target: psycopg.Connection[Any], specification: Specification, tables: Sequence[str]
) -> None:
    """Takes over what other jobs have left to be built of these tables and won't build now."""
    store = control_table(specification, "migration_indexes")
    jobs = target.execute(
        sql.SQL(
            "SELECT DISTINCT job_id FROM {} WHERE job_id <> %s AND target_table = ANY(%s)"
        ).format(store),
        [specification.job, list(tables)],
    ).fetchall()
    for (job,) in jobs:
        if not is_running(target, specification, job):
            target.execute(
                sql.SQL(
                    "WITH theirs AS (DELETE FROM {0} WHERE job_id = %s AND target_table = ANY(%s)"
                    " RETURNING *) INSERT INTO {0} SELECT %s, target_table, kind, name, field,"
                    " parent, key, definition FROM theirs ON CONFLICT DO NOTHING"
                ).format(store),
                [job, list(tables), specification.job],
            )


def restore_indexes(
    target: psycopg.Connection[Any],
    specification: Specification,
    without: Mapping[str, Sequence[CheckedKey]] | None = None,
) -> list[Problem]:
    """Builds what the job has stored again; a run that was killed left it stored.

    ``without`` what is put off: indexes of these tables, and the keys that are checked there.
    One problem for each that can't be built. It stays stored, for the next run.
    """
    stored = target.execute(
        sql.SQL(
            "SELECT kind, name, definition, target_table, field, parent, key FROM {}"
            " WHERE job_id = %s ORDER BY kind = 'foreign key', name"
        ).format(control_table(specification, "migration_indexes")),
        [specification.job],
    ).fetchall()
    problems = []
    for kind, name, definition, table, *rests_on in stored:
        put_off = (without or {}).get(table)
        if put_off is not None and (kind == "index" or CheckedKey(*rests_on) in put_off):
            continue
        error = _built(target, specification, name, definition)
        if error is not None:
            problems.append(_unbuilt(error, f"{kind} {name}"))
    return problems


def _built(
    target: psycopg.Connection[Any], specification: Specification, name: str, definition: str
) -> psycopg.Error | None:
    store = control_table(specification, "migration_indexes")
    try:
        with target.transaction():
            target.execute(
                sql.SQL("DELETE FROM {} WHERE job_id = %s AND name = %s").format(store),
                [specification.job, name],
            )
            target.execute(_NO_PATH)
            row = target.execute(_STANDS, {"definition": definition}).fetchone()
            # Somebody may have built it by hand meanwhile.
            if row is None or not row[0]:
                target.execute(definition.encode())
    except psycopg.Error as error:
        if target.closed:
            raise
        return error
    return None


def _unbuilt(error: psycopg.Error, where: str) -> Problem:
    if isinstance(error, psycopg.errors.ForeignKeyViolation):
        # Every reference was checked, so somebody else has written there.
        told = "it can't be built again: rows of its table have no parent"
        remedy = "see who else writes to these tables, mend the rows, and start again"
        return Problem(ErrorCode.SYS_005, told, where, remedy)
    code, told, remedy = describe_error(error, "")
    return Problem(code, f"it can't be built again: {told}", where, remedy or "start again")


def left_unbuilt(
    target: psycopg.Connection[Any], specification: Specification
) -> tuple[Problem, ...]:
    """What an ended run has left to be built again, if anything."""
    row = target.execute(
        sql.SQL("SELECT count(*), min(name) FROM {} WHERE job_id = %s").format(
            control_table(specification, "migration_indexes")
        ),
        [specification.job],
    ).fetchone()
    if row is None or not row[0]:
        return ()
    told = f"{row[0]} indexes and foreign keys aren't built again yet"
    remedy = "start the job again: they are built at its end"
    return (Problem(ErrorCode.SYS_005, told, f"{row[1]} among them", remedy),)
