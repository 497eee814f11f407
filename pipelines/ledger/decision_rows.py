"""The site's decisions on codes in ``code_mappings``, a table that the site may have made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from psycopg import sql

from schemas.code_maps.code_system import CodeSystem
from transforms.ledger.ledger_session import LedgerSession


class DecisionLine(NamedTuple):
    """A row of ``code_mappings`` as it is read.

    Attributes:
        source_system: Its name in capitals, without other characters than letters and digits.
        target_system: The same of the target's.
        source: The code.
        target: Its target; None for a blank one.
        decision: The number of the decision; rows of a code with the highest one are in force.
        name: The row's ``id``, else when it was decided.
    """

    source_system: str
    target_system: str
    source: str
    target: str | None
    decision: int
    name: str | None


class DecisionPlace(NamedTuple):
    """A row of ``code_mappings`` that is to be removed; ``name`` as ``DecisionLine`` has it."""

    source: CodeSystem
    target: CodeSystem
    code: str
    target_code: str | None
    name: str | None


class NewDecision(NamedTuple):
    """A row to be inserted into ``code_mappings``."""

    source_system: str
    target_system: str
    source: str
    target: str | None
    description: str | None


@dataclass(frozen=True)
class DecisionRows:
    """Reads and writes ``code_mappings``, which all jobs of a control schema share."""

    session: LedgerSession

    @property
    def place(self) -> str:
        """The table as problems name it."""
        return f"table {self.table}"

    @property
    def table(self) -> str:
        """The table as SQL writes it."""
        return self.session.table("code_mappings").as_string()

    def has_table(self) -> bool:
        """Whether there is such a table."""
        row = self.session.execute("SELECT to_regclass(%(table)s)", {"table": self.table})
        return row.fetchone() != (None,)

    def read_columns(self) -> dict[str, bool]:
        """Read the columns, and whether each is of dates."""
        rows = self.session.execute(
            "SELECT attname::text, atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype,"
            " 'date'::regtype) FROM pg_attribute WHERE attrelid = to_regclass(%(table)s)"
            " AND attnum > 0 AND NOT attisdropped",
            {"table": self.table},
        ).fetchall()
        return dict(rows)

    def read(self, is_dated: bool) -> list[DecisionLine]:
        """Read all rows with a source code.

        Args:
            is_dated: Whether ``decided_at`` distinguishes decisions; else all are one decision.
        """
        decision = "dense_rank() OVER (ORDER BY m.decided_at NULLS FIRST)" if is_dated else "1"
        rows = self.session.execute(
            "SELECT upper(regexp_replace(source_system, '[^A-Za-z0-9]', '', 'g')),"
            " upper(regexp_replace(target_system, '[^A-Za-z0-9]', '', 'g')),"
            f" source_code, CASE WHEN target_code ~ '\\S' THEN target_code END, {decision},"
            " coalesce(to_jsonb(m) ->> 'id', to_jsonb(m) ->> 'decided_at')"
            " FROM {code_mappings} AS m"
            " WHERE source_code IS NOT NULL ORDER BY CASE WHEN to_jsonb(m) ->> 'id' ~ '^[0-9]+$'"
            " THEN (to_jsonb(m) ->> 'id')::numeric END, ctid"
        ).fetchall()
        return [DecisionLine(*row) for row in rows]

    def insert(self, decisions: Iterable[NewDecision]) -> None:
        """Insert rows that are decided now, in the caller's transaction.

        Raises:
            psycopg.IntegrityError: The site's own table refuses one.
            psycopg.DataError: The same.
        """
        with self.session.connection.cursor() as cursor:
            cursor.executemany(
                self.session.compose(
                    "INSERT INTO {code_mappings} (source_system, target_system, source_code,"
                    " target_code, description, decided_at) VALUES (%s, %s, %s, %s, %s, now())"
                ),
                list(decisions),
            )

    def removal(self, rows: Iterable[DecisionPlace]) -> str:
        """The statement that removes rows: by ``id``, else by the columns that distinguish them."""
        columns = self.read_columns()
        begin = self.session.compose("DELETE FROM {code_mappings} WHERE ")
        if "id" in columns and not self._lacks_ids():
            names = sql.SQL(", ").join(sql.Literal(row.name) for row in rows)
            statement = begin + sql.SQL("id IN ({})").format(names)
        else:
            is_dated = "decided_at" in columns and "id" not in columns
            statement = begin + sql.SQL(" OR ").join(_condition(row, is_dated) for row in rows)
        return statement.as_string(self.session.connection)

    def _lacks_ids(self) -> bool:
        row = self.session.execute("SELECT FROM {code_mappings} WHERE id IS NULL LIMIT 1")
        return row.fetchone() is not None


def _condition(row: DecisionPlace, is_dated: bool) -> sql.Composed:
    terms = [
        _is_system("source_system", row.source),
        _is_system("target_system", row.target),
        sql.SQL("source_code = {}").format(sql.Literal(row.code)),
        sql.SQL("coalesce(target_code, '') !~ '\\S'")
        if row.target_code is None
        else sql.SQL("target_code = {}").format(sql.Literal(row.target_code)),
    ]
    if is_dated:
        dated = sql.SQL("decided_at IS NOT DISTINCT FROM {}").format(sql.Literal(row.name))
        terms.append(dated)
    return sql.SQL("({})").format(sql.SQL(" AND ").join(terms))


def _is_system(column: str, system: CodeSystem) -> sql.Composed:
    return sql.SQL("upper(regexp_replace({}, '[^A-Za-z0-9]', '', 'g')) IN ({})").format(
        sql.Identifier(column), sql.SQL(", ").join(map(sql.Literal, system.names))
    )
