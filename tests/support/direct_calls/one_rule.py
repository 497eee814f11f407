"""Ready rules over rows: compiled and evaluated as in a run, and by the oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.oracle.loads_in_batches import compiled, run_batch
from tests.oracle.rows import LoadRules, run_row
from tests.oracle.values import Type, Value, type_of

STARTED_AT = 1_767_225_600_000_000
"""1 January 2026, midnight in UTC, in microseconds."""

RuleOrName = Mapping[str, Any] | str


def load_with(
    rules: Mapping[str, RuleOrName],
    columns: Mapping[str, str],
    lists: Mapping[str, Mapping[str, Any]],
) -> LoadRules:
    """A load that copies its columns and has these rules."""
    types: dict[str, Type] = {name: type_of(kind) for name, kind in columns.items()}
    return LoadRules(
        name="load",
        spec={
            "from": "legacy",
            "into": "modern",
            "copy": list(columns),
            "defaults": {"blank": "keep"},
            "rules": {
                label: {"use": rule} if isinstance(rule, str) else dict(rule)
                for label, rule in rules.items()
            },
        },
        source=types,
        target=types,
        constants={"started_at": STARTED_AT, "job": "moved"},
        code_lists=lists,
        keep_blank=True,
    )


def broken(
    rules: Mapping[str, RuleOrName],
    columns: Mapping[str, str],
    rows: Sequence[tuple[Value, ...]],
    lists: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[set[str]]:
    """The rules that each row breaks; the oracle must find the same, to code and warning.

    ``lists`` are those of the rules' files, for the oracle.
    """
    load = load_with(rules, columns, lists or {})
    given = [dict(zip(columns, row, strict=True)) for row in rows]
    program = compiled(load, key=())
    found = []
    for row, outcome in zip(given, run_batch(load, program, given), strict=True):
        expected = run_row(load, row, "1").violations
        assert outcome.violations == expected, f"{outcome.violations ^ expected} on {row}"
        found.append({violation.rule for violation in outcome.violations})
    return found


def failing(
    rule: RuleOrName,
    columns: Mapping[str, str],
    rows: Sequence[Any],
    lists: Mapping[str, Any] | None = None,
) -> list[Any]:
    """The rows on which a rule fails. A row is a tuple, or the value of the only column."""
    tuples = [row if isinstance(row, tuple) else (row,) for row in rows]
    name = rule if isinstance(rule, str) else rule["use"]
    found = broken({"RULE": rule}, columns, tuples, {} if lists is None else {name: lists})
    return [row for row, labels in zip(rows, found, strict=True) if labels]
