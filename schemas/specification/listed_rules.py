"""Ready rules that a specification lists: ``rules: {use: [ssn, {npi: {field: provider_npi}}]}``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.errors import ErrorCode, Problem
from schemas.specification.document import Document, ValuePath

LIST = "use"
"""The key of ``rules`` under which ready rules are listed; no rule has this name."""


def write_out_listed_rules(document: Document) -> list[Problem]:
    """Gives each listed rule of a document an entry of its own, named after the ready rule.

    Lines of the entries are those of the list. The problems, all SYS-004, are those of lists
    that can't be read and of names that stand there already.
    """
    problems: list[Problem] = []
    tables = document.data.get("tables")
    for name, load in tables.items() if isinstance(tables, dict) else ():
        rules = load.get("rules") if isinstance(load, dict) else None
        if isinstance(rules, dict) and LIST in rules:
            load["rules"] = _written_out(document, ("tables", name, "rules"), rules, problems)
    return problems


def _written_out(
    document: Document, path: ValuePath, rules: dict[str, Any], problems: list[Problem]
) -> dict[str, Any]:
    listed = rules[LIST]
    found = {label: rule for label, rule in rules.items() if label != LIST}
    for position, item in enumerate(listed if isinstance(listed, list) else [listed]):
        place = (*path, LIST, position) if isinstance(listed, list) else (*path, LIST)
        entries = list(_entries(item, place))
        if not entries:
            message = "a ready rule is listed by its name, or as {NAME: {PARAMETER: ...}}"
            problems.append(_problem(document, place, message, "see 'transfuse rules'"))
        for label, rule, where in entries:
            if label in found:
                message = f"a rule '{label}' stands here already"
                remedy = f"give one of them a name of its own: NAME: {{use: {rule['use']}, ...}}"
                problems.append(_problem(document, where, message, remedy))
                continue
            found[label] = rule
            for inner, line in list(document.lines.items()):
                if inner[: len(where)] == where:
                    document.lines.setdefault((*path, label, *inner[len(where) :]), line)
    return found


def _entries(item: object, place: ValuePath) -> Iterator[tuple[str, dict[str, Any], ValuePath]]:
    """Name, rule and place of what an item of the list means; nothing where it is none."""
    if isinstance(item, str):
        yield item, {"use": item}, place
    elif isinstance(item, dict) and isinstance(item.get("use"), str):
        yield item["use"], item, place
    elif isinstance(item, dict) and all(v is None or isinstance(v, dict) for v in item.values()):
        for name, given in item.items():
            yield name, {**(given or {}), "use": name}, (*place, name)


def _problem(document: Document, path: ValuePath, message: str, remedy: str) -> Problem:
    return Problem(ErrorCode.SYS_004, message, str(document.locate(path)), remedy)
