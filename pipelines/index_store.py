"""Indexes and foreign keys that are built after the load: stored, dropped, and restored.

Only what can't refuse a row then is dropped: secondary indexes, and foreign keys that the
specification's own references have checked. Unique ones stay, the primary key among them:
what they refuse belongs to a row, and at the end it couldn't be traced to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from pipelines.database_errors import told_for
from pipelines.job import control_table
from schemas.errors import ErrorCode, Problem
from schemas.specification.root import Specification
from transforms.diagnosis import diagnosis_of
from transforms.mapping.program import LoadProgram

_INDEXES = """
SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid),
    'DROP INDEX ' || i.indexrelid::regclass
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = %(table)s::regclass
  AND NOT i.indisunique AND NOT i.indisexclusion AND i.indisvalid
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
  AND x.relkind = 'i' AND NOT x.relispartition
  AND NOT i.indisclustered AND x.reltablespace = 0
  AND obj_description(x.oid, 'pg_class') IS NULL
"""
"""Kind, name, and how to make and drop them.

Indexes of which the definition isn't all stay: those of a partitioned table and of its
partitions, which belong together, and those with a mark, a tablespace or a comment.
"""

_FOREIGN_KEYS = """
SELECT 'foreign key', c.conrelid::regclass || ' ' || quote_ident(c.conname),
    format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s',
        c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)),
    format('ALTER TABLE %%s DROP CONSTRAINT %%I', c.conrelid::regclass, c.conname)
FROM pg_constraint c
JOIN unnest(%(fields)s::text[], %(parents)s::text[], %(keys)s::text[]) AS r(field, parent, key)
  ON r.parent::regclass = c.confrelid
JOIN pg_attribute f ON f.attrelid = c.conrelid AND f.attname = r.field
JOIN pg_attribute k ON k.attrelid = c.confrelid AND k.attname = r.key
WHERE c.conrelid = %(table)s::regclass AND c.contype = 'f' AND c.conparentid = 0 AND c.convalidated
  AND c.conkey = ARRAY[f.attnum] AND c.confkey = ARRAY[k.attnum]
  AND obj_description(c.oid, 'pg_constraint') IS NULL
  AND NOT EXISTS (SELECT FROM pg_trigger t
      WHERE t.tgconstraint = c.oid AND t.tgenabled <> 'O'
         OR t.tgrelid = c.conrelid AND NOT t.tgisinternal)
"""
"""The same of foreign keys. A trigger of the table's own could change what was checked."""


def drop_indexes(
    target: psycopg.Connection[Any],
    specification: Specification,
    programs: Mapping[str, LoadProgram],
) -> None:
    """Drops secondary indexes and checked foreign keys of the empty tables of ``programs``.

    Does nothing unless the specification says ``indexes: after_load``. Definitions are
    stored in the same transaction.
    """
    if specification.target.indexes != "after_load":
        return
    store = sql.SQL(
        "INSERT INTO {} (job_id, kind, name, definition) VALUES (%s, %s, %s, %s)"
    ).format(control_table(specification, "migration_indexes"))
    for table, into in _by_table(programs.values()).items():
        row = target.execute(
            sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(sql.SQL(table))
        ).fetchone()
        if row is None or not row[0]:
            continue
        checked = _checked(into)
        values = {
            "table": table,
            "fields": [field for field, _, _ in checked],
            "parents": [parent for _, parent, _ in checked],
            "keys": [key for _, _, key in checked],
        }
        with told_for(f"table {into[0].name}, in the target"), target.transaction():
            for query in (_FOREIGN_KEYS, _INDEXES):
                for *found, drop in target.execute(query.encode(), values).fetchall():
                    target.execute(store, [specification.job, *found])
                    target.execute(drop)


def _by_table(programs: Iterable[LoadProgram]) -> dict[str, list[LoadProgram]]:
    found = defaultdict(list)
    for program in programs:
        found[program.table.sql.as_string()].append(program)
    return found


def _checked(programs: Iterable[LoadProgram]) -> set[tuple[str, str, str]]:
    """Field, parent's table and its column, where each load lets in what has a parent alone."""
    each = [
        {
            (f.name, f.reference.table.sql.as_string(), f.reference.column)
            for f in program.fields
            if f.reference is not None and f.reference.on_missing != "allow"
        }
        for program in programs
    ]
    return set.intersection(*each)


def restore_indexes(target: psycopg.Connection[Any], specification: Specification) -> list[Problem]:
    """Builds what the job has stored again; a run that was killed left it stored.

    One problem for each that can't be built. It stays stored, for the next run.
    """
    store = control_table(specification, "migration_indexes")
    stored = target.execute(
        sql.SQL(
            "SELECT kind, name, definition FROM {} WHERE job_id = %s"
            " ORDER BY kind = 'foreign key', name"
        ).format(store),
        [specification.job],
    ).fetchall()
    built = sql.SQL("DELETE FROM {} WHERE job_id = %s AND name = %s").format(store)
    problems = []
    for kind, name, definition in stored:
        error = _built(target, definition, built, [specification.job, name])
        if error is not None:
            problems.append(_unbuilt(error, f"{kind} {name}"))
    return problems


def _built(
    target: psycopg.Connection[Any], definition: str, built: sql.Composed, values: list[str]
) -> psycopg.Error | None:
    try:
        with target.transaction():
            target.execute(definition.encode())
            target.execute(built, values)
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
    code, told, remedy = diagnosis_of(error, "")
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
