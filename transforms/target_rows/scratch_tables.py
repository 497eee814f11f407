"""Tables for intermediate results that nobody but one transaction gets to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql


class ScratchTables:
    """Temporary tables; ordinary ones in ``schema`` where the role may make no others.

    ``schema`` is that of the control tables, None the connection's default. Such tables are
    made and dropped within the caller's transaction, and are called after its session, so that
    two transactions don't get into each other's way. ``possible``: the role may make tables
    of either kind. Raises psycopg.Error.
    """

    def __init__(self, connection: psycopg.Connection[Any], schema: str | None) -> None:
        self._connection = connection
        self._made: set[str] = set()
        row = connection.execute(
            "SELECT has_database_privilege(current_database(), 'TEMPORARY'), name,"
            " coalesce(has_schema_privilege(to_regnamespace(quote_ident(name)), 'CREATE'), false),"
            " pg_backend_pid() FROM (SELECT coalesce(%s, current_schema()) AS name) AS s",
            [schema],
        ).fetchone()
        assert row is not None
        self._temporary, self._schema, beside, self._session = row
        self.possible = bool(self._temporary or beside)

    def name(self, name: str) -> sql.Identifier:
        """A table as it stands in SQL."""
        if self._temporary:
            return sql.Identifier("pg_temp", f"transfuse_{name}")
        return sql.Identifier(self._schema or "", f"transfuse_{name}_{self._session}")

    def create(self, name: str, columns: sql.Composable) -> None:
        """Make an empty table with ``columns`` as in DDL, instead of an earlier one.

        Raises psycopg.errors.InsufficientPrivilege where it isn't ``possible``.
        """
        self._make(name, sql.SQL("({})").format(columns), None)

    def make(self, name: str, query: sql.Composable, values: Mapping[str, Any]) -> int:
        """Make a table of the rows of ``query``, instead of an earlier one; its number of rows.

        Raises psycopg.errors.InsufficientPrivilege where it isn't ``possible``.
        """
        rows = self._make(name, sql.SQL("AS {}").format(query), values).rowcount
        if rows:
            self._connection.execute(sql.SQL("ANALYZE {}").format(self.name(name)))
        return rows

    def close(self) -> None:
        """Drop all of them."""
        for name in tuple(self._made):
            self.drop(name)

    def drop(self, name: str) -> None:
        """Drop a table, unless it wasn't made or that was rolled back."""
        if name in self._made:
            self._connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.name(name)))
            self._made.discard(name)

    def _make(
        self, name: str, content: sql.Composable, values: Mapping[str, Any] | None
    ) -> psycopg.Cursor[Any]:
        self.drop(name)
        kind = sql.SQL("TEMPORARY" if self._temporary else "UNLOGGED")
        statement = sql.SQL("CREATE {} TABLE {} {}").format(kind, self.name(name), content)
        made = self._connection.execute(statement, values)
        self._made.add(name)
        return made
