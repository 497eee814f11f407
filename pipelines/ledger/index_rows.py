"""Definitions of indexes and foreign keys in ``migration_indexes``, to be built after the load."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pipelines.ledger.checked_keys import CheckedKey
from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class StoredIndex:
    """An index or a foreign key that was dropped.

    Attributes:
        table: Its table, as SQL writes it.
        kind: ``index`` or ``foreign key``.
        name: Its name, as SQL writes it.
        key: The reference that stands for a foreign key.
        definition: The statement that builds it.
    """

    table: str
    kind: str
    name: str
    key: CheckedKey | None
    definition: str


@dataclass(frozen=True)
class IndexRows:
    """Reads and writes what the session's job has dropped and not built again yet."""

    session: LedgerSession

    def read(self) -> list[StoredIndex]:
        """Read all of them, in the order in which they are built."""
        rows = self.session.execute(
            "SELECT target_table, kind, name, field, parent, key, definition"
            " FROM {migration_indexes} WHERE job_id = %(job)s"
            " ORDER BY kind = 'foreign key', name"
        ).fetchall()
        return [
            StoredIndex(table, kind, name, None if not key[0] else CheckedKey(*key), definition)
            for table, kind, name, *key, definition in rows
        ]

    def count(self) -> tuple[int, str | None]:
        """Count them, and read the first of their names."""
        row = self.session.execute(
            "SELECT count(*), min(name) FROM {migration_indexes} WHERE job_id = %(job)s"
        ).fetchone()
        return (0, None) if row is None else (row[0], row[1])

    def store(self, index: StoredIndex) -> None:
        """Store a definition in place of an earlier one of the same name."""
        field, parent, key = index.key or (None, None, None)
        self.session.execute(
            "INSERT INTO {migration_indexes} (job_id, target_table, kind, name, field, parent,"
            " key, definition) VALUES (%(job)s, %(table)s, %(kind)s, %(name)s, %(field)s,"
            " %(parent)s, %(key)s, %(definition)s)"
            " ON CONFLICT (job_id, name) DO UPDATE SET (target_table, kind, field, parent, key,"
            " definition) = (excluded.target_table, excluded.kind, excluded.field,"
            " excluded.parent, excluded.key, excluded.definition)",
            {
                "table": index.table,
                "kind": index.kind,
                "name": index.name,
                "field": field,
                "parent": parent,
                "key": key,
                "definition": index.definition,
            },
        )

    def delete(self, name: str) -> None:
        """Delete a definition."""
        self.session.execute(
            "DELETE FROM {migration_indexes} WHERE job_id = %(job)s AND name = %(name)s",
            {"name": name},
        )

    def read_other_jobs(self, tables: Collection[str]) -> list[str]:
        """Read which other jobs have dropped something of these tables."""
        rows = self.session.execute(
            "SELECT DISTINCT job_id FROM {migration_indexes} WHERE job_id <> %(job)s"
            " AND target_table = ANY(%(tables)s)",
            {"tables": list(tables)},
        ).fetchall()
        return [job for (job,) in rows]

    def take_over(self, job: str, tables: Collection[str]) -> None:
        """Make definitions of these tables, of another job, those of this one."""
        self.session.execute(
            "WITH theirs AS (DELETE FROM {migration_indexes} WHERE job_id = %(other)s"
            " AND target_table = ANY(%(tables)s) RETURNING *)"
            " INSERT INTO {migration_indexes} SELECT %(job)s, target_table, kind, name, field,"
            " parent, key, definition FROM theirs ON CONFLICT DO NOTHING",
            {"other": job, "tables": list(tables)},
        )
