"""Output of ``rejects show``: everything about one violation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipelines.ledger.recorded_violation import RecordedViolation
from pipelines.rejects.single_reject import Reject
from pipelines.terminal.console import print_json, printable, stderr, stdout, table_of


def print_reject(reject: Reject, as_json: bool) -> None:
    """Print a violation, the violations that belong to it, and its source row if it was read."""
    if as_json:
        print_json(_document(reject))
        return
    _print_violation(reject)
    if reject.source is not None:
        _print_source(reject.source.columns)


def _document(reject: Reject) -> dict[str, Any]:
    document = {
        **_violation_document(reject.violation),
        "root_causes": [_violation_document(cause) for cause in reject.root_causes],
        "same_row": [_violation_document(other) for other in reject.same_row],
    }
    if reject.source is not None:
        document["source"] = reject.source.columns
    return document


def _violation_document(violation: RecordedViolation) -> dict[str, Any]:
    return {
        **asdict(violation),
        "created_at": violation.created_at.isoformat(),
        "description": violation.description,
        "remedy": violation.remedy,
    }


def _print_violation(reject: Reject) -> None:
    console = stdout()
    violation = reject.violation
    kind = "warning" if violation.warning else "violation"
    console.print(f"{violation.error_code} {violation.description}, {kind} {violation.id}")
    facts = {
        "message": violation.message,
        "what to do": violation.remedy,
        "severity": f"{violation.severity}, category {violation.category}",
        "rule": violation.rule_id,
        "field": violation.field,
        "reason": violation.reason,
        "source": f"{violation.source_table}, source key {violation.source_key}",
        "load": f"{violation.load}, partition {violation.partition_id}",
        "target": f"{violation.target_table}, key {violation.target_key or 'unknown'}",
        "status": f"{violation.status}, attempts {violation.attempts}",
        "recorded": violation.created_at.isoformat(timespec="seconds"),
    }
    for name, value in facts.items():
        if value is not None:
            console.print(f"  {name:<10}  {value}")
    for title, others in (
        ("Follows from", reject.root_causes),
        ("Also found on this row", reject.same_row),
    ):
        if others:
            console.print(f"{title}:")
        for other in others:
            check = f"{other.error_code} {other.rule_id}{' (warning)' if other.warning else ''}"
            where = f"{other.load} {other.source_key}"
            console.print(f"  {other.id}: {check}, {where}: {other.message}")
            if title == "Follows from":
                console.print(f"    -> {other.remedy}")


def _print_source(row: Mapping[str, str | None] | None) -> None:
    if row is None:
        stderr().print("The source has no row with this source key any more.")
        return
    rows = [(name, printable(value)) for name, value in row.items()]
    stdout().print(table_of("The source row as it is now", ("column", "value"), (), rows))
