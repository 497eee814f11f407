"""The counts of a job: sums of its partitions, by load."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class LoadCounts:
    """The counts of a load, in rows where nothing else is said.

    Attributes:
        partitions: How many partitions it has.
        partitions_done: How many of them are committed.
        partitions_failed: How many of them failed.
        planned: Rows that the source counted when it was planned.
        read: Rows that were read.
        empty: Source rows without a candidate.
        candidates: Accepted, rejected and skipped candidates.
        accepted: Candidates that were accepted.
        rejected: Candidates that were rejected.
        skipped: Candidates that were skipped.
        written: Accepted and expanded rows.
        inserted: Written rows that are new in the target.
        expanded: Further rows of clusters of codes.
        skipped_by: Skipped candidates by the name of the skip.
        placeholders: Rows that this load made for parents, by the parents' load.
        violations: Violations by code.
        warnings: Warnings by code.
    """

    partitions: int = 0
    partitions_done: int = 0
    partitions_failed: int = 0
    planned: int = 0
    read: int = 0
    empty: int = 0
    candidates: int = 0
    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    written: int = 0
    inserted: int = 0
    expanded: int = 0
    skipped_by: Mapping[str, int] = field(default_factory=dict)
    placeholders: Mapping[str, int] = field(default_factory=dict)
    violations: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)


class RunProgress(NamedTuple):
    """How far a job is.

    Attributes:
        read: Source rows of committed partitions.
        planned: Source rows of all partitions.
        is_loading: Whether partitions of the present level are open and can be committed.
    """

    read: int
    planned: int
    is_loading: bool


_SUMS = (
    "planned_rows",
    "read",
    "empty",
    "candidates",
    "accepted",
    "rejected",
    "skipped",
    "written",
    "inserted",
    "expanded",
)

_MAPS = ("skipped_by", "placeholders", "violations", "warnings")


@dataclass(frozen=True)
class LedgerCounts:
    """Reads the counts of the session's job."""

    session: LedgerSession

    def read_loads(self) -> dict[str, LoadCounts]:
        """Read the counts of all loads with partitions, by name."""
        selected = ", ".join(f"coalesce(sum({name}), 0)::int8" for name in _SUMS)
        rows = self.session.execute(
            "SELECT load, count(*), count(*) FILTER (WHERE state = 'done'),"
            f" count(*) FILTER (WHERE state = 'failed'), {selected} FROM {{migration_partitions}}"
            " WHERE job_id = %(job)s GROUP BY load"
        ).fetchall()
        maps = [self._read_by_name(column) for column in _MAPS]
        return {
            load: LoadCounts(*sums, *(by_load.get(load, {}) for by_load in maps))
            for load, *sums in rows
        }

    def read_progress(self) -> RunProgress | None:
        """Read how far the job is; None as long as nothing is planned."""
        row = self.session.execute(
            "SELECT coalesce(sum(p.read), 0)::int8, coalesce(sum(p.planned_rows), 0)::int8,"
            " bool_or(p.state <> 'done' AND l.compared AND l.level ="
            "  (SELECT min(level) FROM {migration_loads} u WHERE u.job_id = l.job_id"
            "   AND NOT u.settled))"
            " FROM {migration_partitions} p JOIN {migration_loads} l USING (job_id, load)"
            " WHERE p.job_id = %(job)s"
        ).fetchone()
        return None if row is None or not row[1] else RunProgress(*row)

    def read_added_rows(self) -> dict[str, int]:
        """Read how many rows the job added to the target, by table.

        Those that were inserted, and placeholders, by the table of the load that they are for.
        """
        rows = self.session.execute(
            "SELECT l.target_table, sum(a.rows)::int8 FROM {migration_loads} l JOIN ("
            "  SELECT job_id, load, inserted FROM {migration_partitions}"
            "  UNION ALL SELECT job_id, e.key, e.value::int8"
            "  FROM {migration_partitions}, jsonb_each_text(placeholders) AS e"
            ") AS a(job_id, load, rows) USING (job_id, load)"
            " WHERE job_id = %(job)s AND a.rows IS NOT NULL GROUP BY l.target_table"
        ).fetchall()
        return dict(rows)

    def read_other_jobs(self, tables: Collection[str]) -> list[tuple[str, int]]:
        """Read which other jobs inserted rows into tables since this one began, and how many."""
        return self.session.execute(
            "SELECT p.job_id, sum(p.inserted)::int8 FROM {migration_partitions} p"
            " JOIN {migration_loads} l USING (job_id, load)"
            " WHERE l.target_table = ANY(%(tables)s)"
            " AND job_id <> %(job)s AND p.inserted > 0 AND p.finished_at >="
            "  (SELECT started_at FROM {migration_jobs} WHERE job_id = %(job)s)"
            " GROUP BY 1 ORDER BY 1",
            {"tables": list(tables)},
        ).fetchall()

    def _read_by_name(self, column: str) -> dict[str, dict[str, int]]:
        """The sums of a JSON column of counts, by load and name."""
        rows = self.session.execute(
            "SELECT load, e.key, sum(e.value::int8)::int8"
            f" FROM {{migration_partitions}}, jsonb_each_text({column}) AS e"
            " WHERE job_id = %(job)s AND state = 'done' GROUP BY load, e.key ORDER BY load, e.key"
        ).fetchall()
        counts: dict[str, dict[str, int]] = {}
        for load, name, count in rows:
            counts.setdefault(load, {})[name] = count
        return counts
