"""The verb ``rules``: which ready rules there are, and what each of them takes."""

from __future__ import annotations

import difflib
from typing import Any

from pipelines.terminal.console import print_json, stdout, table_of
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.ready_rules import READY_RULES
from schemas.ready_rules.rule import ReadyRule


def show_rules(name: str | None, as_json: bool) -> None:
    """Prints a table of all ready rules, or everything about one.

    Raises TransfuseError (USER-001) where there is none of that name.
    """
    if name is None:
        if as_json:
            print_json({"rules": [_described(rule) for rule in READY_RULES.values()]})
        else:
            _print_all()
        return
    rule = READY_RULES.get(name)
    if rule is None:
        close = difflib.get_close_matches(name, READY_RULES, 1)
        remedy = f"did you mean '{close[0]}'?" if close else "'transfuse rules' lists them"
        raise TransfuseError(
            Problem(ErrorCode.USER_001, f"there is no ready rule '{name}'", remedy=remedy)
        )
    if as_json:
        print_json(_described(rule))
    else:
        _print_one(rule)


def _described(rule: ReadyRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "checks": rule.checks,
        "parameters": [
            {"name": p.name, "meaning": p.told, "required": p.is_required, "default": p.default}
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


def _print_all() -> None:
    rows = [
        (
            rule.name,
            rule.checks,
            "\n".join(f"{p.name}: {p.default}" for p in rule.parameters),
            f"{rule.error.value}\n{_on_fail(rule)}",
            rule.source,
        )
        for rule in READY_RULES.values()
    ]
    columns = ("rule", "what it checks", "parameters: defaults", "if not", "source")
    table = table_of("Ready rules", columns, (), rows)
    table.show_lines = True
    # A name that is cut in two can't be copied.
    for column in (table.columns[0], table.columns[3]):
        column.no_wrap = True
    stdout().print(table)


def _print_one(rule: ReadyRule) -> None:
    out = stdout()
    out.print(f"{rule.name}: {rule.error.value}, {_on_fail(rule)}\n")
    for paragraph in rule.paragraphs:
        out.print(f"{paragraph}\n")
    rows = [(p.name, p.told, p.default) for p in rule.parameters]
    out.print(table_of("Parameters", ("parameter", "meaning", "default"), (), rows))
    out.print(f"\nrules:\n  {rule.example}", soft_wrap=True)
