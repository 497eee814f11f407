"""The keys in ``migration_keys``: which target key each source key got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.row_copy import copy_rows


@dataclass(frozen=True)
class KeyRecords:
    """Adds and reads the keys of written rows and placeholders.

    Attributes:
        session: That of a run.
    """

    session: LedgerSession

    def add(self, load: str, source_keys: pa.Array, target_keys: pa.Array) -> None:
        """Add the keys of written rows.

        Args:
            load: The load of the rows.
            source_keys: Theirs (text).
            target_keys: Theirs (text), in the same order.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        columns = {"load": load, "source_key": source_keys, "target_key": target_keys}
        copy_rows(self.session, "migration_keys", len(source_keys), columns)

    def read_kinds(self, load: str, source_keys: pa.Array) -> list[tuple[str, bool]]:
        """Read which source keys have a target key already.

        Args:
            load: The load.
            source_keys: Those that are looked for (text).

        Returns:
            Source keys, each with whether a placeholder has its target key.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        return self.session.execute(
            "SELECT source_key, placeholder FROM {migration_keys} WHERE job_id = %(job)s"
            " AND load = %(load)s AND source_key = ANY(%(keys)s)",
            {"load": load, "keys": source_keys.to_pylist()},
        ).fetchall()

    def read_target_keys(self, load: str, source_keys: pa.Array) -> dict[str, str]:
        """Read the target keys of source keys (text) of a load, by source key."""
        rows = self.session.execute(
            "SELECT source_key, target_key FROM {migration_keys} WHERE job_id = %(job)s"
            " AND load = %(load)s AND source_key = ANY(%(keys)s)",
            {"load": load, "keys": source_keys.to_pylist()},
        ).fetchall()
        return dict(rows)

    def reserve(self, load: str, source_keys: pa.Array, target_keys: pa.Array) -> list[str]:
        """Add the keys of placeholders, as far as their source keys have no target key.

        A second transaction that reserves the same waits until the first has ended.

        Args:
            load: The load of the parents.
            source_keys: Theirs (text).
            target_keys: Those that they get (text), in the same order.

        Returns:
            The target keys that were added.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        rows = self.session.execute(
            "INSERT INTO {migration_keys} (job_id, load, source_key, target_key, placeholder)"
            " SELECT %(job)s, %(load)s, s, t, true"
            " FROM unnest(%(sources)s::text[], %(targets)s::text[]) AS u(s, t) ORDER BY s"
            " ON CONFLICT DO NOTHING RETURNING target_key",
            {
                "load": load,
                "sources": source_keys.to_pylist(),
                "targets": target_keys.to_pylist(),
            },
        ).fetchall()
        return [key for (key,) in rows]

    def release(self, load: str, target_keys: Sequence[str], kept: Sequence[str]) -> None:
        """Remove reserved keys whose placeholders the target refused.

        Args:
            load: The load of the parents.
            target_keys: The keys that were reserved.
            kept: Those among them that are in the target.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        self.session.execute(
            "DELETE FROM {migration_keys} WHERE job_id = %(job)s AND load = %(load)s"
            " AND target_key = ANY(%(keys)s) AND target_key <> ALL(%(kept)s)",
            {"load": load, "keys": list(target_keys), "kept": list(kept)},
        )
