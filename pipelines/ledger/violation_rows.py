"""The violations of a job in ``migration_errors``: counted, read, discarded and reopened."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.rows import class_row

from pipelines.ledger.recorded_violation import RecordedViolation
from pipelines.ledger.violation_filter import MATCHING, ROWS, ViolationFilter, ViolationStatus
from transforms.ledger.ledger_session import LedgerSession


class ViolationCounts(NamedTuple):
    """Numbers of rows, of their violations, and of warnings."""

    rows: int
    violations: int
    warnings: int


class ViolationGroup(NamedTuple):
    """The violations of one code, rule and load that match a filter.

    Attributes:
        is_warning: Whether they are warnings.
        code: Their error code.
        rule: Their rule.
        load: Their load.
        source_table: What the load reads.
        target_table: The table that it writes.
        reasons: The reasons that occur.
        rows: How many rows have one.
        violations: How many there are.
        example: The lowest of their ids.
    """

    is_warning: bool
    code: str
    rule: str
    load: str
    source_table: str
    target_table: str
    reasons: list[str]
    rows: int
    violations: int
    example: int


class FieldViolation(NamedTuple):
    """A field of a rejected row, and the reason of its violation."""

    load: str
    partition: str
    source_key: str
    field: str
    reason: str


_COUNTS = (
    f"{ROWS} FILTER (WHERE NOT warning),"
    " count(*) FILTER (WHERE NOT warning), count(*) FILTER (WHERE warning)"
)

_DISCARD = f"""
WITH chosen AS MATERIALIZED
  (SELECT id, load, partition_id, source_key, warning FROM {MATCHING}),
gone AS (UPDATE {{migration_errors}} e SET status = 'discarded', note = %(note)s,
   changed_at = now(), changed_by = session_user
  WHERE job_id = %(job)s AND status = 'open' AND (id IN (SELECT id FROM chosen)
    OR (load, partition_id, source_key) IN
      (SELECT load, partition_id, source_key FROM chosen WHERE NOT warning))
  RETURNING id, load, partition_id, source_key, warning),
settled AS (DELETE FROM {{migration_deferred}} WHERE job_id = %(job)s
  AND (load, partition_id, source_key) IN
    (SELECT load, partition_id, source_key FROM gone WHERE NOT warning))
SELECT {_COUNTS} FROM gone
"""

_REOPEN = f"""
WITH chosen AS MATERIALIZED
  (SELECT id, load, partition_id, source_key, warning FROM {MATCHING}),
-- Each replay counts an attempt of all that is open of a row.
judged AS MATERIALIZED (SELECT load, partition_id, source_key,
    max(attempts) FILTER (WHERE status = 'open') AS attempts,
    max(changed_at) FILTER (WHERE status = 'replayed') AS replayed_at
  FROM {{migration_errors}} WHERE job_id = %(job)s AND status <> 'discarded' AND
    (load, partition_id, source_key) IN
      (SELECT load, partition_id, source_key FROM chosen WHERE warning)
  GROUP BY 1, 2, 3),
back AS (UPDATE {{migration_errors}} e SET status = 'open', changed_at = now(),
   changed_by = session_user
  WHERE job_id = %(job)s AND status = 'discarded' AND (id IN (SELECT id FROM chosen)
    OR (load, partition_id, source_key) IN
      (SELECT load, partition_id, source_key FROM chosen WHERE NOT warning))
  AND NOT (warning AND EXISTS (SELECT FROM judged j
    WHERE (j.load, j.partition_id, j.source_key) = (e.load, e.partition_id, e.source_key)
    AND (j.attempts > e.attempts OR j.replayed_at > e.changed_at)))
  RETURNING id, load, partition_id, source_key, warning)
SELECT {_COUNTS} FROM back
"""


@dataclass(frozen=True)
class ViolationRows:
    """Reads and changes the violations of the session's job."""

    session: LedgerSession

    def has_match(
        self, wanted: ViolationFilter, status: ViolationStatus, rejected_only: bool
    ) -> bool:
        """Whether any violation of a status matches, any warning too unless ``rejected_only``."""
        condition = " AND NOT warning" if rejected_only else ""
        query = f"SELECT FROM {MATCHING}{condition} LIMIT 1"
        return self.session.execute(query, wanted.values(status)).fetchone() is not None

    def read_rules(self) -> list[str]:
        """Read the rules of all violations of the job, whatever their status."""
        rows = self.session.execute(
            "SELECT DISTINCT rule_id FROM {migration_errors} WHERE job_id = %(job)s ORDER BY 1"
        ).fetchall()
        return [rule for (rule,) in rows if rule is not None]

    def count(self, wanted: ViolationFilter) -> ViolationCounts:
        """Count the open violations that match, and their rows."""
        return self._counts(f"SELECT {_COUNTS} FROM {MATCHING}", wanted.values())

    def count_recent(self, hours: int) -> dict[str, int]:
        """Count the open violations of the last hours by code, warnings left out."""
        rows = self.session.execute(
            "SELECT error_code, count(*) FROM {migration_errors} WHERE job_id = %(job)s"
            " AND status = 'open' AND NOT warning"
            " AND created_at > now() - make_interval(hours => %(hours)s)"
            " GROUP BY error_code ORDER BY error_code",
            {"hours": hours},
        ).fetchall()
        return dict(rows)

    def read_groups(self, wanted: ViolationFilter) -> list[ViolationGroup]:
        """Read the open violations that match, by code, rule and load."""
        rows = self.session.execute(
            "SELECT warning, error_code, rule_id, load, source_table, target_table,"
            f" array_remove(array_agg(DISTINCT reason), NULL), {ROWS}, count(*), min(id)"
            f" FROM {MATCHING}"
            " GROUP BY warning, error_code, rule_id, load, source_table, target_table",
            wanted.values(),
        ).fetchall()
        return [ViolationGroup(*row) for row in rows]

    def read_fields(
        self, wanted: ViolationFilter, code: str, reasons: Collection[str]
    ) -> list[FieldViolation]:
        """Read the fields with open violations that match, of rows that have a source key.

        Args:
            wanted: The filter.
            code: The error code that they must have besides.
            reasons: The reasons of which one must be theirs.

        Returns:
            Each field of a row and each reason once, ordered by load, partition and source key.
        """
        rows = self.session.execute(
            f"SELECT DISTINCT load, partition_id, source_key, field, reason FROM {MATCHING}"
            " AND NOT warning AND error_code = %(only)s AND reason = ANY(%(reasons)s)"
            " AND source_key IS NOT NULL ORDER BY 1, 2, 3, 4",
            {**wanted.values(), "only": code, "reasons": list(reasons)},
        ).fetchall()
        return [FieldViolation(*row) for row in rows]

    def read(self, identifier: int) -> RecordedViolation | None:
        """Read the violation with an id; None where the job has none."""
        rows = self._violations("id = %(id)s", {"id": identifier})
        return rows[0] if rows else None

    def read_same_row(self, violation: RecordedViolation) -> list[RecordedViolation]:
        """Read the other violations and warnings of a violation's row."""
        return self._violations(
            "load = %(load)s AND partition_id = %(partition)s AND source_key = %(key)s"
            " AND id <> %(id)s",
            {
                "load": violation.load,
                "partition": violation.partition_id,
                "key": violation.source_key,
                "id": violation.id,
            },
        )

    def read_root_causes(self, violation: RecordedViolation) -> list[RecordedViolation]:
        """Read the violations that a violation follows from, the first cause last."""
        causes: list[RecordedViolation] = []
        seen = {violation.id}
        following = violation.root_cause_id
        while following is not None and following not in seen:
            seen.add(following)
            cause = self.read(following)
            if cause is None:
                break
            causes.append(cause)
            following = cause.root_cause_id
        return causes

    def discard(self, wanted: ViolationFilter, note: str) -> ViolationCounts:
        """Discard the rows that match, each with all of its open violations and warnings.

        A warning that matches is discarded without its row. The references of the rows need no
        longer be settled.

        Args:
            wanted: The filter, of open violations.
            note: The reason, which is stored with each of them.

        Returns:
            How many were discarded.
        """
        return self._counts(_DISCARD, {**wanted.values(), "note": note})

    def reopen(self, wanted: ViolationFilter) -> ViolationCounts:
        """Reopen the discarded rows that match, each as it was discarded.

        A warning that was discarded without its row stays discarded if the row has been judged
        again since: the replay has recorded it again if it still holds.

        Args:
            wanted: The filter, of discarded violations.

        Returns:
            How many were reopened.
        """
        return self._counts(_REOPEN, wanted.values("discarded"))

    def _counts(self, query: str, values: Mapping[str, Any]) -> ViolationCounts:
        row = self.session.execute(query, values).fetchone()
        assert row is not None
        return ViolationCounts(*row)

    def _violations(self, condition: str, values: Mapping[str, Any]) -> list[RecordedViolation]:
        columns = sql.SQL(", ").join(sql.Identifier(f.name) for f in fields(RecordedViolation))
        query = self.session.compose(
            f"SELECT {{columns}} FROM {{migration_errors}} WHERE job_id = %(job)s AND {condition}"
            " ORDER BY id",
            columns=columns,
        )
        with self.session.connection.cursor(row_factory=class_row(RecordedViolation)) as cursor:
            return cursor.execute(query, {"job": self.session.job, **values}).fetchall()
