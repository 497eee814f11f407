"""Tables for intermediate results that nobody but one transaction gets to see."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from transforms.run_context import RunContext


class ScratchTables:
    """Temporary tables; tables beside the control tables where the role may make no others.

    These are made and dropped within the caller's transaction, and are called after the
    load, so that two loads which are settled at once don't get into each other's way.
    """

    def __init__(self, connection: psycopg.Connection[Any], context: RunContext, load: str) -> None:
        self._connection = connection
        self._context = context
        self._mark = hashlib.sha256(f"{context.job}/{load}".encode()).hexdigest()[:16]
        self._made: set[str] = set()
        row = connection.execute(
            "SELECT has_database_privilege(current_database(), 'TEMPORARY')"
        ).fetchone()
        self._temporary = row is not None and bool(row[0])

    def name(self, name: str) -> sql.Identifier:
        """A table as it stands in SQL."""
        if self._temporary:
            return sql.Identifier("pg_temp", f"transfuse_{name}")
        return self._context.table(f"transfuse_{name}_{self._mark}")

    def make(self, name: str, query: sql.Composable, values: Mapping[str, Any]) -> int:
        """Makes a table of what ``query`` gives, instead of an earlier one; its number of rows.

        Raises psycopg.errors.InsufficientPrivilege where the role may make none of either kind.
        """
        self._drop(name)
        kind = "TEMPORARY" if self._temporary else "UNLOGGED"
        made = self._connection.execute(
            sql.SQL("CREATE {} TABLE {} AS {}").format(sql.SQL(kind), self.name(name), query),
            values,
        )
        self._made.add(name)
        if made.rowcount:
            self._connection.execute(sql.SQL("ANALYZE {}").format(self.name(name)))
        return made.rowcount

    def close(self) -> None:
        """Drops all of them."""
        for name in tuple(self._made):
            self._drop(name)

    def _drop(self, name: str) -> None:
        if name in self._made:
            self._connection.execute(sql.SQL("DROP TABLE {}").format(self.name(name)))
            self._made.discard(name)
