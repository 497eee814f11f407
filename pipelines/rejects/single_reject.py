"""``rejects show``: one violation, with its row's other violations and its root causes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.recorded_violation import RecordedViolation
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.postgres.connections import connect


@dataclass(frozen=True)
class CurrentSourceRow:
    """A source row as it is now: its columns as text, or None if it is gone."""

    columns: Mapping[str, str | None] | None


@dataclass(frozen=True)
class Reject:
    """A violation and what belongs to it.

    Attributes:
        violation: The violation.
        root_causes: From the violation that it follows from to the first one.
        same_row: The other violations and warnings of its row.
        source: The source row, if it was asked for.
    """

    violation: RecordedViolation
    root_causes: tuple[RecordedViolation, ...]
    same_row: tuple[RecordedViolation, ...]
    source: CurrentSourceRow | None = None


def show_reject(
    specification: Specification, identifier: int | str, with_source: bool = False
) -> Reject:
    """Read everything about a violation.

    Args:
        specification: That of the job.
        identifier: The violation's id, as ``list_rejects`` and ``migration_errors`` have it.
        with_source: Whether to read the source row again. It holds the values of a patient.

    Returns:
        The violation, and what belongs to it.

    Raises:
        TransfuseError: USER-001 if the job has no violation with that id, or if its source row
            can't be looked up; USER-002 if the role may not record who looks at its values; the
            codes of the databases and of compiling if the source is read.
    """
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        violation = _read_violation(ledger, str(identifier))
        root_causes = tuple(ledger.violations.read_root_causes(violation))
        same_row = tuple(ledger.violations.read_same_row(violation))
        if with_source:
            ledger.audit.record("view_values", f"violation {violation.id}")
    source = None
    if with_source:
        # To describe all tables takes a while: only where it is needed.
        from pipelines.rejects.rows_of_violations import read_rejected_row

        source = CurrentSourceRow(read_rejected_row(specification, violation))
    return Reject(violation, root_causes, same_row, source)


def _read_violation(ledger: JobLedger, identifier: str) -> RecordedViolation:
    violation = None
    # The ids are bigint: more digits would be an error of the server.
    is_id = identifier.isascii() and identifier.isdigit() and len(identifier) <= 18
    if is_id and ledger.job.read() is not None:
        violation = ledger.violations.read(int(identifier))
    if violation is None:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"the job '{ledger.specification.job}' has no violation {identifier!r}",
                "ID",
                "'rejects list' gives ids; --job NAME looks at another job",
            )
        )
    return violation
