"""The target keys of parents in ``migration_keys``, looked up by their source keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from psycopg import sql

from schemas.column_types import TEXT
from transforms.keys.parent_question import Question
from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class ParentKeyRecords:
    """Looks up parents for the values of children.

    Attributes:
        session: That of a run.
    """

    session: LedgerSession

    @property
    def table_name(self) -> str:
        """The qualified name of the table, quoted for SQL."""
        return self.session.table("migration_keys").as_string()

    def look_up(
        self, loads: Sequence[str], is_shared: bool, source_keys: pa.Array
    ) -> tuple[pa.Array, pa.BooleanArray]:
        """Look up the target keys of source keys.

        Args:
            loads: The loads of the parents.
            is_shared: Whether several candidates may have one source key; then a key that a
                rejected one has as well has no target key.
            source_keys: The keys (text).

        Returns:
            The target keys (text), NULL for a key that is NULL, absent or has several; and whether
            it has several.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        return self._ask(self._keys(loads, is_shared), loads, source_keys)

    def look_up_written(
        self, loads: Sequence[str], source_keys: pa.Array
    ) -> tuple[pa.Array, pa.BooleanArray]:
        """Look up the target keys of source keys as ``look_up`` does, without placeholders."""
        written = self.session.compose(
            "(SELECT * FROM {migration_keys} WHERE NOT placeholder) AS written"
        )
        return self._ask(written, loads, source_keys)

    def compose_pairs(self, loads: Sequence[str], is_shared: bool) -> sql.Composed:
        """Compose the query of all source keys and target keys of loads, as ``look_up`` has them.

        Returns:
            A query without parameters, for another driver.
        """
        return self.session.compose(
            "SELECT source_key::text, target_key::text FROM {keys} WHERE job_id = {job}"
            " AND load = ANY({loads}::text[])",
            keys=self._keys(loads, is_shared),
            job=sql.Literal(self.session.job),
            loads=sql.Literal(list(loads)),
        )

    def _keys(self, loads: Sequence[str], is_shared: bool) -> sql.Composable:
        """The keys whose source key no rejected candidate has as well.

        A child of that one must not go to another's row.
        """
        if not is_shared:
            return self.session.table("migration_keys")
        return self.session.compose(
            "(SELECT * FROM {migration_keys} AS k WHERE k.placeholder OR NOT EXISTS"
            " (SELECT FROM {migration_errors} AS x WHERE x.referenced AND NOT x.warning"
            " AND x.status <> 'replayed'"
            " AND x.job_id = k.job_id AND x.load = ANY({loads}::text[])"
            " AND x.source_key = k.source_key)) AS unambiguous",
            loads=sql.Literal(list(loads)),
        )

    def _ask(
        self, keys: sql.Composable, loads: Sequence[str], source_keys: pa.Array
    ) -> tuple[pa.Array, pa.BooleanArray]:
        question = Question.of([source_keys], [TEXT])
        rows = question.ask(
            self.session.connection,
            "SELECT {ordinal}, _key.low::text, _key.low <> _key.high FROM {asked}"
            " CROSS JOIN LATERAL (SELECT min(target_key) AS low, max(target_key) AS high"
            " FROM {keys} WHERE job_id = $2 AND load = ANY($3) AND source_key = _asked.k0) AS _key"
            " WHERE _key.low IS NOT NULL",
            [self.session.job, list(loads)],
            keys=keys,
        )
        target = [None if several else key for _, key, several in rows]
        several = [row for row in rows if row[2]]
        return question.answers(rows, pa.array(target, pa.string())), question.matches(several)
