"""Finds rows that triggers of the target take away, and settings that they change.

A trigger that deletes one row of the job and inserts another leaves every count as it was. So
where a table has triggers, the server's own counts of the transaction (``pg_stat_get_xact_*``)
show what they did to the tables of the job: no row may be deleted, and where further rows
were updated the keys are looked up again. A table without triggers costs one catalogue query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from schemas.catalog import Relation
from transforms.postgres.session_settings import SESSION_SETTINGS, TIMEOUTS
from transforms.target_rows.target_errors import DROPPED, KEY_CHANGED, SETTINGS_CHANGED

LostKeys = Callable[[sql.Composable], sql.Composable]
"""A condition on staged rows to a boolean: the key of one of them isn't in the target."""

_TREE = "(SELECT relid FROM pg_partition_tree({table}) UNION ALL SELECT {table}::oid)"

_HAS_TRIGGERS = (
    "SELECT EXISTS (SELECT FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'"
    " AND t.tgtype & 20 <> 0 AND t.tgrelid IN " + _TREE.format(table="to_regclass(%(table)s)") + ")"
)
# tgtype & 20: on insert (4) or update (16).

_TABLES = (
    "SELECT coalesce(array_agg(DISTINCT p.relid::oid), '{}')"
    " FROM unnest(%s::text[]) AS t(name), LATERAL "
    + _TREE.format(table="to_regclass(t.name)")
    + " AS p(relid) WHERE p.relid IS NOT NULL"
)

_REPLICATION_ROLE = "current_setting('session_replication_role')"


@dataclass(frozen=True)
class Counted:
    """Rows that the transaction has deleted and updated so far."""

    deleted: int
    updated: int


@dataclass(frozen=True)
class TriggerWatch:
    """Watches what triggers do to ``tables`` (OIDs) while rows are written.

    ``replication_role`` is the session's: under another one foreign keys aren't checked.
    """

    tables: tuple[int, ...]
    replication_role: str

    def count(self) -> sql.Composed:
        """SQL of the two numbers of ``Counted``."""
        return sql.SQL("{}, {}").format(self._sum("deleted"), self._sum("updated"))

    def _sum(self, kind: str) -> sql.Composed:
        return sql.SQL(
            "(SELECT coalesce(sum(pg_stat_get_xact_tuples_{}(t)), 0)::int8"
            " FROM unnest({}::oid[]) AS t)"
        ).format(sql.SQL(kind), sql.Literal(list(self.tables)))

    def changes_further_rows(
        self, updated: sql.Composable, own_updates: sql.Composable
    ) -> sql.Composed:
        """SQL that is true where triggers may have updated rows since ``updated`` was counted.

        Args:
            updated: rows updated before the statement.
            own_updates: rows that the statement itself has updated.
        """
        return sql.SQL("({} > {} + {} OR current_setting('track_counts') = 'off')").format(
            self._sum("updated"), updated, own_updates
        )

    def judge(
        self,
        deleted: sql.Composable,
        updated: sql.Composable,
        own_updates: sql.Composable,
        lost_keys: sql.Composable | None,
    ) -> sql.Composed:
        """SQL of the SQLSTATE that stands for what triggers have done, or of NULL.

        Args:
            deleted: rows deleted before the statement.
            updated: rows updated before the statement.
            own_updates: rows that the statement itself has updated.
            lost_keys: whether the key of a written row isn't in the target any more.
        """
        return sql.SQL(
            "CASE WHEN {role} <> {expected} THEN {changed} WHEN {now} > {deleted} THEN {dropped}"
            " WHEN ({updates} > {updated} + {own} OR current_setting('track_counts') = 'off')"
            " AND {lost} THEN {renamed} END"
        ).format(
            role=sql.SQL(_REPLICATION_ROLE),
            expected=sql.Literal(self.replication_role),
            changed=sql.Literal(SETTINGS_CHANGED),
            now=self._sum("deleted"),
            deleted=deleted,
            dropped=sql.Literal(DROPPED),
            updates=self._sum("updated"),
            updated=updated,
            own=own_updates,
            lost=lost_keys or sql.SQL("false"),
            renamed=sql.Literal(KEY_CHANGED),
        )


def watch_triggers(
    connection: psycopg.Connection[Any], table: Relation, tables: Sequence[Relation]
) -> TriggerWatch | None:
    """Prepare to watch the triggers of ``table``; None where it has none.

    Args:
        connection: the target, in a transaction.
        table: the table that is written.
        tables: all tables that the job writes, whose rows no trigger may take away.

    Raises:
        psycopg.Error: the server can't be reached.
    """
    row = connection.execute(_HAS_TRIGGERS, {"table": table.sql.as_string(connection)}).fetchone()
    if row is None or not row[0]:
        return None
    names = sorted({of.sql.as_string(connection) for of in [table, *tables]})
    row = connection.execute(
        f"SELECT ({_TABLES}), {_REPLICATION_ROLE}".encode(), [names]
    ).fetchone()
    assert row is not None
    return TriggerWatch(tuple(row[0]), row[1])


_KEPT = (
    *SESSION_SETTINGS,
    *TIMEOUTS,
    "search_path",
    "row_security",
    "standard_conforming_strings",
    "default_text_search_config",
    "synchronous_commit",
    "session_authorization",
    "role",
)
"""Settings that decide how values are read, which names mean what, and who may do what. The role
comes last, since changing the authorization resets it."""


def read_settings(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """The settings that a trigger mustn't change for what comes later in the session."""
    row = connection.execute(
        sql.SQL("SELECT {}").format(
            sql.SQL(", ").join(
                [sql.SQL("current_setting({}, true)").format(sql.Literal(name)) for name in _KEPT]
            )
        )
    ).fetchone()
    assert row is not None
    return {name: value for name, value in zip(_KEPT, row, strict=True) if value is not None}


def restore_settings(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> None:
    """Set back what has changed since ``read_settings``, for the rest of the session."""
    now = read_settings(connection)
    for name, value in settings.items():
        if now.get(name) != value:
            connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
