"""A connection to the target, and the job whose control tables are read and written through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

import psycopg
from psycopg import sql


@dataclass(frozen=True)
class LedgerSession:
    """Executes statements on the control tables of one job.

    A statement names control tables in braces (``{migration_jobs}``) and has the name of the job
    as ``%(job)s``, so that neither schema nor job is passed along with every call.

    Attributes:
        connection: To the target; its transactions are those of the caller.
        job: The name of the job.
        control_schema: Where the control tables are; None for the connection's default schema.
        constants: Further values that each statement may refer to by name.
        templates: Further parts that each statement may name in braces; SQL as in a statement.
    """

    connection: psycopg.Connection[Any]
    job: str
    control_schema: str | None
    constants: Mapping[str, Any] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)

    def table(self, name: str) -> sql.Identifier:
        """Return the qualified name of a control table, quoted for SQL."""
        if self.control_schema is None:
            return sql.Identifier(name)
        return sql.Identifier(self.control_schema, name)

    def compose(self, statement: str, **parts: sql.Composable) -> sql.Composed:
        """Fill in the names of control tables, and other parts of a statement.

        Args:
            statement: SQL with names in braces.
            parts: SQL for the names that aren't control tables.

        Returns:
            The statement, to be executed or to be a part of another.
        """
        names = {name for _, name, _, _ in Formatter().parse(statement) if name}
        named = {name: self._part(name) for name in names - parts.keys()}
        return sql.SQL(statement).format(**named, **parts)

    def _part(self, name: str) -> sql.Composable:
        template = self.templates.get(name)
        return self.table(name) if template is None else self.compose(template)

    def execute(
        self,
        statement: str,
        values: Mapping[str, Any] | None = None,
        **parts: sql.Composable,
    ) -> psycopg.Cursor[Any]:
        """Execute a statement on the control tables.

        Args:
            statement: SQL with control tables in braces and values as ``%(name)s``.
            values: The values besides ``job`` and the session's constants.
            parts: As for ``compose``.

        Returns:
            The cursor with the result.

        Raises:
            psycopg.Error: The server can't be reached, or refuses the statement.
        """
        named = {"job": self.job, **self.constants, **(values or {})}
        return self.connection.execute(self.compose(statement, **parts), named)
