"""What the error sink knows of rejected rows, and how it is kept when they are judged again."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from schemas.violations import ORDINAL
from transforms.commit.row_records import RowRecords
from transforms.ledger.counts import Counts
from transforms.ledger.lost_keys import REASON_AS_JUDGED
from transforms.model.batch import CandidateBatch
from transforms.model.partition import Partition
from transforms.model.rejected_rows import RejectedRows
from transforms.model.run_context import RunContext

Kind = tuple[str, str, str | None, str | None, bool]
"""Code, rule, field, reason, and whether it is a warning."""


@dataclass(frozen=True)
class OpenViolation:
    """A violation of a row that is still open."""

    id: int
    source_key: str
    target_key: str | None
    kind: Kind
    attempts: int

    @property
    def rejects(self) -> bool:
        return not self.kind[4]


def rejected_keys(
    connection: psycopg.Connection[Any], context: RunContext, rows: RejectedRows
) -> list[str]:
    """The source keys of rejected rows, each once and in order."""
    found = connection.execute(
        sql.SQL(
            "SELECT DISTINCT source_key FROM {} WHERE job_id = %(job)s AND load = %(load)s"
            " AND partition_id = %(id)s AND status = 'open' AND NOT warning"
            " AND source_key IS NOT NULL"
            " AND (%(code)s::text IS NULL OR error_code = %(code)s)"
            " AND (%(rule)s::text IS NULL OR rule_id = %(rule)s) ORDER BY source_key"
        ).format(context.table("migration_errors")),
        {
            "job": context.job,
            "load": rows.partition.load,
            "id": rows.partition.id,
            "code": rows.code,
            "rule": rows.rule,
        },
    ).fetchall()
    return [key for (key,) in found]


def open_violations(
    connection: psycopg.Connection[Any],
    context: RunContext,
    partition: Partition,
    source_keys: Sequence[str],
) -> list[OpenViolation]:
    """The open violations, warnings too, of the rows with these source keys; locks them."""
    rows = connection.execute(
        sql.SQL(
            "SELECT id, source_key, target_key, attempts, error_code, rule_id, field,"
            f" {REASON_AS_JUDGED}, warning FROM {{}} WHERE job_id = %s AND load = %s"
            " AND partition_id = %s AND source_key = ANY(%s) AND status = 'open'"
            " ORDER BY id FOR UPDATE"
        ).format(context.table("migration_errors")),
        [context.job, partition.load, partition.id, list(source_keys)],
    ).fetchall()
    return [
        OpenViolation(identifier, source_key, target_key, (code, rule, field, reason, warning), n)
        for identifier, source_key, target_key, n, code, rule, field, reason, warning in rows
    ]


def rejected_counts(violations: Sequence[OpenViolation]) -> Counts:
    """How rejected rows with these violations are counted."""
    rejecting = [v for v in violations if v.rejects]
    return Counts(
        rejected=len({v.source_key for v in rejecting}),
        violations=dict(Counter(v.kind[0] for v in rejecting)),
        warnings=dict(Counter(v.kind[0] for v in violations if not v.rejects)),
        rejected_by=dict(
            Counter(code for _, code in {(v.source_key, v.kind[0]) for v in rejecting})
        ),
    )


class ReplayedRecords(RowRecords):
    """Keeps what is found of rows now beside what was ``known`` of them.

    A violation that is found again stays open with one more attempt; one that isn't is closed as
    replayed; and a new one counts the attempts of its row.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        context: RunContext,
        batch: CandidateBatch,
        known: Sequence[OpenViolation],
    ) -> None:
        super().__init__(connection, context, batch)
        self.known = known
        self.written: dict[str, list[str]] = {}

    def keep_keys(self, written: pa.RecordBatch, skipped: dict[int, str]) -> None:
        super().keep_keys(written, skipped)
        keys, targets = self.source_keys(written), self.target_keys(written)
        for key, target in zip(keys.to_pylist(), targets.to_pylist(), strict=True):
            if target is not None:
                self.written.setdefault(key, []).append(digest_of(target))

    def keep_violations(self, violations: pa.RecordBatch) -> None:
        key_of = self._keys_by_ordinal()
        attempts: dict[str, int] = defaultdict(int)
        known: dict[tuple[str, Kind], OpenViolation] = {}
        for violation in self.known:
            attempts[violation.source_key] = max(attempts[violation.source_key], violation.attempts)
            known[violation.source_key, violation.kind] = violation
        again: dict[int, int | None] = {}
        fresh, tried = [], []
        for place, found in enumerate(violations.to_pylist()):
            key, cause = key_of[found[ORDINAL]], found["root_cause"]
            kind = (
                found["code"], found["rule"], found["field"], found["reason"], found["warning"],
            )  # fmt: skip
            former = known.get((key, kind))
            if former is not None and former.id not in again:
                again[former.id] = None if cause is None else int(cause)
            else:
                fresh.append(place)
                tried.append(attempts[key] + 1)
        self._update(again)
        places = pa.array(fresh, pa.int64())
        self.copy_violations(violations.take(places), pa.array(tried, pa.int32()))

    def _keys_by_ordinal(self) -> Mapping[int, str]:
        unread = self.batch.unread
        rows = zip(
            self.rows.column(ORDINAL).to_pylist(),
            self.source_keys(self.rows).to_pylist(),
            strict=True,
        )
        others = zip(*(unread.column(n).to_pylist() for n in (ORDINAL, "source_key")), strict=True)
        return {**dict(rows), **dict(others)}

    def _update(self, again: Mapping[int, int | None]) -> None:
        """Counts an attempt of the violations ``again`` (id: root cause), closes the others."""
        closed = [violation for violation in self.known if violation.id not in again]
        self.connection.execute(
            sql.SQL(
                "UPDATE {} e SET attempts = attempts + 1, root_cause_id = u.cause,"
                " changed_at = now(), changed_by = session_user"
                " FROM unnest(%s::int8[], %s::int8[]) AS u(id, cause) WHERE e.id = u.id"
            ).format(self.context.table("migration_errors")),
            [list(again), list(again.values())],
        )
        self.connection.execute(
            sql.SQL(
                "UPDATE {} e SET status = 'replayed', changed_at = now(),"
                " changed_by = session_user, written_keys = string_to_array(u.digests, ' ')"
                " FROM unnest(%s::int8[], %s::text[]) AS u(id, digests) WHERE e.id = u.id"
            ).format(self.context.table("migration_errors")),
            [
                [violation.id for violation in closed],
                # Arrays of several lengths can't travel in an array.
                [" ".join(self.written.get(v.source_key, ())) or None for v in closed],
            ],
        )


def digest_of(target_key: str) -> str:
    """What stands for a target key in ``written_keys``: of no key an index entry is too long."""
    return hashlib.md5(target_key.encode(), usedforsecurity=False).hexdigest()


def still_unknown(
    connection: psycopg.Connection[Any], context: RunContext, violations: Sequence[OpenViolation]
) -> None:
    """Counts an attempt of violations of whose rows nothing new is known."""
    connection.execute(
        sql.SQL(
            "UPDATE {} SET attempts = attempts + 1, changed_at = now(),"
            " changed_by = session_user WHERE id = ANY(%s)"
        ).format(context.table("migration_errors")),
        [[violation.id for violation in violations]],
    )
