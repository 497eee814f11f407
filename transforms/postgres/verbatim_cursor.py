"""A cursor to which a percent sign in a composed name or literal is just a character.

psycopg looks for placeholders in the whole text of a statement that has parameters, names of
schemas and tables included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from transforms.postgres.statement_log import is_logging_statements, log_statement


class VerbatimCursor(psycopg.Cursor[Any]):
    """psycopg's cursor, for statements composed with ``psycopg.sql`` and parameters."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> VerbatimCursor:
        """Execute a statement as psycopg does; placeholders stand only in its ``sql.SQL`` parts.

        Args:
            query: the statement.
            params: its parameters, or None for a statement without placeholders.
            options: psycopg's further options.

        Returns:
            The cursor itself.

        Raises:
            psycopg.Error: as psycopg's own cursor.
        """
        if params is not None and isinstance(query, sql.Composed):
            query = self._with_verbatim_names(query)
        if not is_logging_statements():
            return super().execute(query, params, **options)
        with log_statement(lambda: self._text_of(query), self.connection.info.dbname):
            return super().execute(query, params, **options)

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        """Execute a statement once for each of several parameters, as ``execute`` does.

        Args:
            query: the statement.
            params_seq: its parameters, one entry an execution.
            options: psycopg's further options.

        Raises:
            psycopg.Error: as psycopg's own cursor.
        """
        if isinstance(query, sql.Composed):
            query = self._with_verbatim_names(query)
        with log_statement(lambda: self._text_of(query), self.connection.info.dbname):
            super().executemany(query, params_seq, **options)

    @contextmanager
    def copy(self, statement: Any, params: Any = None, **options: Any) -> Iterator[psycopg.Copy]:
        """Start a COPY as psycopg does.

        Args:
            statement: the statement.
            params: its parameters.
            options: psycopg's further options.

        Yields:
            What takes or gives the data.

        Raises:
            psycopg.Error: as psycopg's own cursor.
        """
        with (
            log_statement(lambda: self._text_of(statement), self.connection.info.dbname),
            super().copy(statement, params, **options) as copy,
        ):
            yield copy

    def _text_of(self, query: Any) -> str:
        """The text of a statement, without its parameters."""
        if isinstance(query, sql.Composable):
            return query.as_string(self)
        return query.decode() if isinstance(query, bytes) else str(query)

    def _with_verbatim_names(self, part: sql.Composable) -> sql.Composable:
        if isinstance(part, sql.Composed):
            return sql.Composed([self._with_verbatim_names(inner) for inner in part])
        if isinstance(part, (sql.Identifier, sql.Literal)):
            return sql.SQL(part.as_string(self).replace("%", "%%"))
        return part
