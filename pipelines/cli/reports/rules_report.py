"""Output of ``rules``: a table of the ready rules, or everything about one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.terminal.console import print_json, stdout, table_of
from schemas.ready_rules.rule import ReadyRule


def print_rules(rules: Sequence[ReadyRule], as_json: bool) -> None:
    """Print a table of ready rules."""
    if as_json:
        print_json({"rules": [_document(rule) for rule in rules]})
        return
    rows = [
        (
            rule.name,
            rule.checks,
            "\n".join(f"{p.name}: {p.default}" for p in rule.parameters),
            f"{rule.error.value}\n{_on_fail(rule)}",
            rule.source,
        )
        for rule in rules
    ]
    columns = ("rule", "what it checks", "parameters: defaults", "if not", "source")
    table = table_of("Ready rules", columns, (), rows)
    table.show_lines = True
    # A name that is cut in two can't be copied.
    for column in (table.columns[0], table.columns[3]):
        column.no_wrap = True
    stdout().print(table)


def print_rule(rule: ReadyRule, as_json: bool) -> None:
    """Print everything about one ready rule."""
    if as_json:
        print_json(_document(rule))
        return
    out = stdout()
    out.print(f"{rule.name}: {rule.error.value}, {_on_fail(rule)}\n")
    for paragraph in rule.paragraphs:
        out.print(f"{paragraph}\n")
    rows = [(p.name, p.meaning, p.default) for p in rule.parameters]
    out.print(table_of("Parameters", ("parameter", "meaning", "default"), (), rows))
    out.print(f"\nrules:\n  {rule.example}", soft_wrap=True)


def _document(rule: ReadyRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "checks": rule.checks,
        "parameters": [
            {"name": p.name, "meaning": p.meaning, "required": p.is_required, "default": p.default}
            for p in rule.parameters
        ],
        "error": rule.error.value,
        "on_fail": _on_fail(rule),
        "description": rule.paragraphs,
        "source": rule.source,
        "example": rule.example,
    }


def _on_fail(rule: ReadyRule) -> str:
    return "warn" if rule.warns else "reject"
