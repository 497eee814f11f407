"""What ``plan`` predicts, against what a migration did."""

from __future__ import annotations

from typing import Any

from schemas.summary import Summary

COUNTS = ("empty", "candidates", "accepted", "rejected", "skipped", "expanded", "written")


def assert_predicted(plan: dict[str, Any], summary: Summary) -> None:
    """Every count of the summary is that of the plan (a document), by load and by code."""
    assert plan["violations"] == summary.violations
    assert plan["warnings"] == summary.warnings
    for name, load in summary.tables.items():
        planned = plan["tables"][name]
        assert planned["rows"] == load.read, name
        assert {n: planned[n] for n in COUNTS} == {n: getattr(load, n) for n in COUNTS}, name
        assert planned["skipped_by"] == load.skipped_by, name
        assert planned["partitions"] == load.partitions, name
