"""The violations in ``migration_errors``, as a commit adds them and a replay updates them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.errors import ErrorCode
from schemas.messages import message_of
from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.lost_keys import REASON_AS_JUDGED
from transforms.ledger.open_violation import OpenViolation
from transforms.ledger.row_copy import copy_rows
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.rejected_rows import RejectedRows


@dataclass(frozen=True)
class ViolationRecords:
    """Adds, reads and updates violations of rows.

    Attributes:
        session: That of a run.
    """

    session: LedgerSession

    def add(
        self,
        program: LoadProgram,
        partition_id: str,
        violations: pa.RecordBatch,
        source_keys: pa.Array,
        target_keys: pa.Array,
        attempts: pa.Array,
    ) -> None:
        """Add a row for each violation.

        Args:
            program: That of the load.
            partition_id: The partition of the rows.
            violations: As in ``schemas.violations``.
            source_keys: The source key of each one's row (text).
            target_keys: The target key of each one's row (text).
            attempts: How often each one's row has been tried (int32).

        Raises:
            psycopg.Error: The server can't be reached.
        """
        columns = {
            **_describe(violations),
            "load": program.name,
            "source_table": program.source_name,
            "target_table": str(program.table),
            "partition_id": partition_id,
            "source_key": source_keys,
            "target_key": target_keys,
            "root_cause_id": violations.column("root_cause").cast(pa.int64()),
            "warning": violations.column("warning"),
            "referenced": pa.repeat(program.referenced, len(violations)),
            "attempts": attempts,
            "first_attempt": attempts,
        }
        copy_rows(self.session, "migration_errors", len(violations), columns)

    def read_rejected_keys(self, rows: RejectedRows) -> list[str]:
        """Read the source keys of rejected rows, each once and in order.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        keys = self.session.execute(
            "SELECT DISTINCT source_key FROM {migration_errors} WHERE job_id = %(job)s"
            " AND load = %(load)s AND partition_id = %(id)s AND status = 'open' AND NOT warning"
            " AND source_key IS NOT NULL"
            " AND (%(code)s::text IS NULL OR error_code = %(code)s)"
            " AND (%(rule)s::text IS NULL OR rule_id = %(rule)s) ORDER BY source_key",
            {
                "load": rows.partition.load,
                "id": rows.partition.id,
                "code": rows.code,
                "rule": rows.rule,
            },
        ).fetchall()
        return [key for (key,) in keys]

    def lock_open(self, partition: Partition, source_keys: Sequence[str]) -> list[OpenViolation]:
        """Read the open violations of rows, warnings too, and lock them.

        Args:
            partition: The partition of the rows.
            source_keys: Those of the rows.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        rows = self.session.execute(
            "SELECT id, source_key, target_key, attempts, error_code, rule_id, field,"
            f" {REASON_AS_JUDGED}, warning FROM {{migration_errors}} WHERE job_id = %(job)s"
            " AND load = %(load)s AND partition_id = %(id)s AND source_key = ANY(%(keys)s)"
            " AND status = 'open' ORDER BY id FOR UPDATE",
            {"load": partition.load, "id": partition.id, "keys": list(source_keys)},
        ).fetchall()
        return [
            OpenViolation(number, key, target_key, (code, rule, field, reason, warning), attempts)
            for number, key, target_key, attempts, code, rule, field, reason, warning in rows
        ]

    def count_attempt(self, violations: Sequence[OpenViolation]) -> None:
        """Count an attempt of rows about which nothing new was learned."""
        self.session.execute(
            "UPDATE {migration_errors} SET attempts = attempts + 1, changed_at = now(),"
            " changed_by = session_user WHERE id = ANY(%(ids)s)",
            {"ids": [violation.id for violation in violations]},
        )

    def repeat(self, causes: Mapping[int, int | None]) -> None:
        """Count an attempt that led to the same violations.

        Args:
            causes: The root cause of each violation, by its id.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        self.session.execute(
            "UPDATE {migration_errors} e SET attempts = attempts + 1, root_cause_id = u.cause,"
            " changed_at = now(), changed_by = session_user"
            " FROM unnest(%(ids)s::int8[], %(causes)s::int8[]) AS u(id, cause) WHERE e.id = u.id",
            {"ids": list(causes), "causes": list(causes.values())},
        )

    def close_replayed(self, written: Mapping[int, Sequence[str]]) -> None:
        """Close violations that a replay didn't find again.

        Args:
            written: The digests of the keys under which the row of each violation was written,
                by the id of the violation.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        self.session.execute(
            "UPDATE {migration_errors} e SET status = 'replayed', changed_at = now(),"
            " changed_by = session_user, written_keys = string_to_array(u.digests, ' ')"
            " FROM unnest(%(ids)s::int8[], %(digests)s::text[]) AS u(id, digests)"
            " WHERE e.id = u.id",
            {
                "ids": list(written),
                # Arrays of several lengths can't travel in an array.
                "digests": [" ".join(digests) or None for digests in written.values()],
            },
        )

    def read_first_target_keys(
        self, partition: Partition, source_keys: pa.Array
    ) -> dict[str, str | None]:
        """Read the target keys with which rows were recorded when they were first rejected.

        Args:
            partition: The partition of the rows.
            source_keys: Those of the rows (text).

        Returns:
            The target key by source key.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        rows = self.session.execute(
            "SELECT DISTINCT ON (source_key) source_key, target_key FROM {migration_errors}"
            " WHERE job_id = %(job)s AND load = %(load)s AND partition_id = %(id)s"
            " AND source_key = ANY(%(keys)s) ORDER BY source_key, id",
            {"load": partition.load, "id": partition.id, "keys": source_keys.to_pylist()},
        ).fetchall()
        return dict(rows)

    def read_holders(
        self, program: LoadProgram, digests: Sequence[str]
    ) -> dict[str, set[str | None]]:
        """Read which rows earlier replays have written under target keys.

        Args:
            program: That of the load.
            digests: Those of the keys.

        Returns:
            The source keys by digest; None for a row of another load.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        written = self.session.execute(
            "SELECT DISTINCT w.digest, load = %(load)s, source_key FROM {migration_errors}"
            " CROSS JOIN LATERAL unnest(written_keys) AS w(digest) WHERE job_id = %(job)s"
            " AND target_table = %(table)s AND written_keys && %(digests)s::text[]",
            {"load": program.name, "table": str(program.table), "digests": list(digests)},
        ).fetchall()
        holders: dict[str, set[str | None]] = {}
        for digest, is_own, holder in written:
            holders.setdefault(digest, set()).add(holder if is_own else None)
        return holders


_KIND = ("code", "rule", "field", "reason")


def _describe(violations: pa.RecordBatch) -> dict[str, pa.Array]:
    """The columns that depend on the kind of a violation; a batch has few kinds."""
    columns = [violations.column(name).dictionary_encode("encode") for name in _KIND]
    number = np.zeros(len(violations), np.int64)
    for column in columns:
        number = number * len(column.dictionary) + column.indices.to_numpy()
    _, first, kind = np.unique(number, return_index=True, return_inverse=True)
    kinds = violations.select(_KIND).take(pa.array(first)).to_pylist()
    codes = [ErrorCode(one["code"]) for one in kinds]
    of_kind = {
        "error_code": [one["code"] for one in kinds],
        "error_type": [code.error_type for code in codes],
        "category": [code.category.value for code in codes],
        "severity": [code.severity.label for code in codes],
        "rule_id": [one["rule"] for one in kinds],
        "reason": [one["reason"] for one in kinds],
        "field": [one["field"] for one in kinds],
        "message": [message_of(*one.values()) for one in kinds],
    }
    places = pa.array(kind)
    return {name: pa.array(texts, pa.string()).take(places) for name, texts in of_kind.items()}
