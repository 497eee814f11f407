"""Which changes of a load are refused: those on which rows rest that are written already."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from typing import Any

from pipelines.planning.load_definition import FUNCTIONS, definition
from schemas.errors import ErrorCode, Problem
from schemas.ready_rules import READY_RULES
from schemas.ready_rules.rule import GroupRule
from schemas.specification.model import Part
from schemas.specification.root import Specification
from schemas.specification.row_rule import Rule
from schemas.specification.table import Load
from transforms.compare.duplicates import keys_program
from transforms.model.program import LoadProgram

_FREELY = (
    "transform",
    "map",
    "coded_in",
    "coded_on",
    "type",
    "format",
    "century",
    "zone",
    "on_ambiguous",
    "on_error",
    "default",
    "required",
    "rule",
    "sql",
    "const",
    "from",
    FUNCTIONS,
)
"""Of a field that nothing rests on: how its value comes about."""

_LONGEST = 60

Difference = tuple[tuple[str | int, ...], Any, Any]
"""A path in a definition, and what stood and stands there; None for nothing."""

_OF_ROWS = ("from", "source_key", "into", "key")
"""Of a load: which rows there are, and by what they are known."""


def other_rows(
    specification: Specification, program: LoadProgram, before: Mapping[str, Any], command: str
) -> list[Problem]:
    """Why a source key of an earlier run may mean another row now: USER-003.

    ``before`` is the load's definition as it was stored then, ``command`` what resets it. How
    fields get their values, maps and rules may have changed, but not where rows come from and go,
    nor by what they are known.
    """
    load, now = specification.tables[program.name], definition(specification, program)
    made = {
        name: [f.get("generate") for f in (before["load"]["fields"].get(name) or {}, field)]
        for name, field in now["load"]["fields"].items()
    }
    changed = [part for part in _OF_ROWS if before["load"].get(part) != now["load"].get(part)]
    changed += [f"fields.{name}.generate" for name, (was, is_) in made.items() if was != is_]
    if before.get("identified_by", now["identified_by"]) != now["identified_by"]:
        changed.append("the columns that identify a row")
    if before.get("source", now["source"]) != now["source"]:
        changed.append("the options of the source")
    if not changed:
        return []
    return [
        load.problem(
            f"rows were rejected before {', '.join(changed)} changed, and other ones may be meant"
            " by their source keys now",
            code=ErrorCode.USER_003,
            remedy=_remedy(command),
        )
    ]


def find_differences(
    before: Any, now: Any, path: tuple[str | int, ...] = ()
) -> Iterator[Difference]:
    """Where two definitions differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*now, *(key for key in before if key not in now)]:
            yield from find_differences(before.get(key), now.get(key), (*path, key))
    elif before != now:
        yield path, before, now


def refuse_changes(
    specification: Specification,
    program: LoadProgram,
    before: Mapping[str, Any],
    differences: list[Difference],
    accepted: bool,
    command: str,
) -> list[Problem]:
    """Refuse the changes that can't be taken over.

    Args:
        specification: the specification as it is now.
        program: the load's program.
        before: the fields of its stored definition.
        differences: what has changed in the definition.
        accepted: whether somebody accepts that written and new rows differ.
        command: what resets all loads that have such changes.

    Returns:
        Problems with USER-003.
    """
    load = specification.tables[program.name]
    free = _free_fields(load, program, before)
    refusals = []
    for difference in differences:
        (part, *path), _, _ = difference
        acceptable = _is_acceptable(load, free, difference)
        # A map that comes or goes is reported by the field that uses it.
        if not (accepted and acceptable) and not (part == "maps" and len(path) == 1):
            more = _OR_ACCEPT if acceptable else ""
            refusals.append(
                _REFUSALS.get(str(part), _refuse)(specification, program, difference, command, more)
            )
    return [problem for problem in refusals if problem is not None]


def _refuse_stored(
    specification: Specification,
    program: LoadProgram,
    difference: Difference,
    command: str,
    _more: str,
) -> Problem | None:
    """What children need beside the rows; something that isn't needed any more does no harm."""
    (_, what), _, now = difference
    if not now:
        return None
    return specification.tables[program.name].problem(
        f"rows of {program.name} are written already, without {what}, which is needed now",
        code=ErrorCode.USER_003,
        remedy=_remedy(command),
    )


def _refuse_held(
    specification: Specification,
    program: LoadProgram,
    difference: Difference,
    command: str,
    more: str,
) -> Problem | None:
    """Another content of a lookup table; one that comes or goes is reported by its field."""
    (_, name, *_rest), stood, now = difference
    if stood is None or now is None:
        return None
    return specification.maps[str(name)].problem(
        f"rows of {program.name} are written already with {stood}, and this is {now}",
        code=ErrorCode.USER_003,
        remedy=_remedy(command, "let the map hold what it held") + more,
    )


def _refuse(
    specification: Specification,
    program: LoadProgram,
    difference: Difference,
    command: str,
    more: str,
) -> Problem | None:
    (part, *path), stood, now = difference
    where: Part = specification.tables[program.name]
    message = f"rows of {program.name} are written already, and since then"
    if part == "maps":
        where, path = specification.maps[str(path[0])], path[1:]
    elif part == "source":
        where = specification.named_sources[program.source]
    elif part == "blank":
        message, path = f"{message} 'defaults.blank'", []
    if path:
        message += f" '{'.'.join(map(str, path))}'"
    return where.problem(
        f"{message} has changed from {_shorten(stood)} to {_shorten(now)}",
        *path,
        code=ErrorCode.USER_003,
        remedy=_remedy(command) + more,
    )


_REFUSALS = {"stored": _refuse_stored, "held": _refuse_held}

_OR_ACCEPT = ", or leave what is written as it is with --accept-changes"


def _remedy(command: str, undo: str = "undo the change") -> str:
    return f"{undo}, or remove what is written and start over: {command}"


def _free_fields(load: Load, program: LoadProgram, before: Mapping[str, Any]) -> set[str]:
    """The fields that nothing stored rests on: no key, order of duplicates, skip or reference."""
    rested_on = {field.name for field in keys_program(program).fields}
    return {
        name
        for name, field in load.fields.items()
        if name not in rested_on
        and not _refers(field.model_dump())
        and not _refers(before.get(name) or {})
    }


def _is_acceptable(load: Load, free: Set[str], difference: Difference) -> bool:
    """Whether the change is one of rules, or of how fields that are ``free`` get their values."""
    (part, *path), _, _ = difference
    if part in ("maps", "held"):
        return {name for name, field in load.fields.items() if field.map == path[0]} <= free
    if part != "load" or path[0] == "rules":
        return part == "load" and not _compares(load.rules.get(str(path[1])))
    return path[0] == "fields" and len(path) > 2 and path[1] in free and path[2] in _FREELY


def _compares(rule: Rule | None) -> bool:
    """Whether a rule is over several rows, which were compared before the load began."""
    return rule is not None and isinstance(READY_RULES.get(rule.use or ""), GroupRule)


def _refers(spelled: Mapping[str, Any]) -> bool:
    return bool(spelled.get("ref") or spelled.get("generate") or spelled.get("deferred"))


def _shorten(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
