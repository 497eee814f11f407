"""A specification that has changed since its job began: what of it may, and what is refused.

Rows that are written stay as they are, so what decides about rows may only change for loads
of which nothing is committed, or if somebody accepts that the two parts differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table, forget_plan
from pipelines.ledger.reset_scope import command_to_reset
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.ready_rules import READY_RULES
from schemas.ready_rules.rule import GroupRule
from schemas.specification.model import Part
from schemas.specification.root import Specification
from schemas.specification.row_rule import Rule
from schemas.specification.table import Load
from transforms.compare.duplicates import keys_program
from transforms.model.program import LoadProgram
from transforms.sql.function_sources import digest_of_functions

_FUNCTIONS = "sha256 of its Python functions"

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
    _FUNCTIONS,
)
"""Of a field that nothing rests on: how its value comes about."""

_SKIPS = "which rows are skipped"

_LONGEST = 60

Difference = tuple[tuple[str | int, ...], Any, Any]
"""A path in a definition, and what stood and stands there; None for nothing."""


def definition(specification: Specification, program: LoadProgram) -> dict[str, Any]:
    """What of the specification decides how a load's rows come out, as JSON has it.

    ``stored`` is what its children need to be kept of it beside its rows, ``held`` what the
    lookup tables of its fields held, by their labels.
    """
    load = specification.tables[program.name]
    used = {f.map for f in load.fields.values() if f.map is not None}
    into = {"into": specification.target_table(program.name)}
    source = specification.named_sources[program.source]
    relevant = {
        "load": load.model_dump(mode="json", by_alias=True) | into,
        # Where it is doesn't matter: whether it is the same is looked at by itself.
        "source": source.model_dump(mode="json", exclude={"url", "path"}),
        "maps": {
            m: specification.maps[m].model_dump(mode="json", by_alias=True) for m in sorted(used)
        },
        "blank": specification.blank_is_missing(load),
        "identified_by": [*program.source_key, *(["ctid"] if program.with_ctid else [])],
        "stored": {
            "the new keys of its rows": program.with_keys,
            _SKIPS: program.with_skips,
        },
        "held": dict(program.lookups),
    }
    found: dict[str, Any] = json.loads(json.dumps(relevant))
    for rule in program.rules:
        if rule.memberships:
            # A file of codes that has changed changes the rule.
            files = sorted({m.sha256 for m in rule.memberships})
            found["load"]["rules"][rule.name]["sha256 of its codes"] = ", ".join(files)
    for name, spelled in load.fields.items():
        digest = digest_of_functions(spelled.transform, program.python_path)
        if digest is not None:
            found["load"]["fields"][name][_FUNCTIONS] = digest
    return found


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


@dataclass(frozen=True)
class Changes:
    """What has changed and may: loads to be planned anew, and others with their definition."""

    planned_anew: tuple[str, ...] = ()
    taken_over: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def find_changes(
    target: psycopg.Connection[Any],
    specification: Specification,
    programs: Mapping[str, LoadProgram],
    accepted: bool,
) -> Changes:
    """The changes of loads that are planned.

    A load of which nothing is committed is planned anew. Of any other the changes are taken
    over where they are ``accepted`` and nothing that is stored rests on them. Raises
    TransfuseError (USER-003) naming every other change.
    """
    anew, taken = [], {}
    refused: dict[str, Callable[[str], list[Problem]]] = {}
    rows = _read_planned_loads(target, specification)
    for name, stored, begun, complete, without_skips in rows:
        if name not in programs:
            continue
        before, now = json.loads(stored), definition(specification, programs[name])
        if without_skips:
            before["stored"][_SKIPS] = now["stored"][_SKIPS]
        before.setdefault("source", now["source"])
        # A key that the source has lost is a change of the source, which is told as such.
        before["identified_by"] = now["identified_by"]
        if complete or "held" not in before:
            # Nothing is left to be written with what a map holds now.
            now["held"] = before.get("held", now["held"])
            before["held"] = now["held"]
        _leave_functions(before, now, complete)
        differences = list(_differences(before, now))
        if differences and begun:
            taken[name] = now
            fields = before["load"]["fields"]
            find = partial(_refused, specification, programs[name], fields, differences, accepted)
            if find(""):
                refused[name] = find
        elif differences:
            anew.append(name)
    if refused:
        command = command_to_reset(target, specification, refused)
        raise TransfuseError([problem for find in refused.values() for problem in find(command)])
    return Changes(tuple(anew), taken)


def _read_planned_loads(
    target: psycopg.Connection[Any], specification: Specification
) -> list[tuple[Any, ...]]:
    """The planned loads: name, stored definition (JSON), whether something is committed, whether
    all is, and whether no row was skipped."""
    return target.execute(
        sql.SQL(
            "SELECT load, definition, bool_or(p.state = 'done'), bool_and(p.state = 'done'),"
            " coalesce(sum(p.skipped), 0) = 0"
            " FROM {} p JOIN {} l USING (job_id, load) WHERE job_id = %s"
            " GROUP BY load, definition ORDER BY load"
        ).format(
            control_table(specification, "migration_partitions"),
            control_table(specification, "migration_loads"),
        ),
        [specification.job],
    ).fetchall()


def take_changes(
    target: psycopg.Connection[Any], specification: Specification, changes: Changes
) -> None:
    """Forgets the plans of loads to be planned anew, and stores the definitions of others."""
    for name in changes.planned_anew:
        forget_plan(target, specification, name)
    for name, now in changes.taken_over.items():
        target.execute(
            sql.SQL("UPDATE {} SET definition = %s WHERE job_id = %s AND load = %s").format(
                control_table(specification, "migration_loads")
            ),
            [json.dumps(now), specification.job, name],
        )


def _leave_functions(before: dict[str, Any], now: dict[str, Any], complete: bool) -> None:
    """Leaves Python functions out of what has changed where nothing rests on them.

    That is where nothing is left to be written, or their digest wasn't stored by the version that
    planned the load, or the field has no functions any more, which its ``transform`` tells.
    """
    stored = before["load"]["fields"]
    for name, spelled in now["load"]["fields"].items():
        known = stored.get(name)
        if known is None:
            continue
        if _FUNCTIONS not in spelled:
            known.pop(_FUNCTIONS, None)
        elif complete:
            spelled[_FUNCTIONS] = known.setdefault(_FUNCTIONS, spelled[_FUNCTIONS])
        else:
            known.setdefault(_FUNCTIONS, spelled[_FUNCTIONS])


def _differences(before: Any, now: Any, path: tuple[str | int, ...] = ()) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*now, *(key for key in before if key not in now)]:
            yield from _differences(before.get(key), now.get(key), (*path, key))
    elif before != now:
        yield path, before, now


def _refused(
    specification: Specification,
    program: LoadProgram,
    before: Mapping[str, Any],
    differences: list[Difference],
    accepted: bool,
    command: str,
) -> list[Problem]:
    """The changes that can't be taken over; ``command`` resets all loads that have any."""
    found = _refused_changes(specification, program, before, differences, accepted, command)
    return list(found)


def _refused_changes(
    specification: Specification,
    program: LoadProgram,
    before: Mapping[str, Any],
    differences: list[Difference],
    accepted: bool,
    command: str,
) -> Iterator[Problem]:
    name = program.name
    load = specification.tables[name]
    free = _free_fields(load, program, before)
    for difference in differences:
        (part, *path), stood, now = difference
        acceptable = _is_acceptable(load, free, difference)
        if accepted and acceptable:
            continue
        if part == "maps" and len(path) == 1:
            # Told by the field that uses the map.
            continue
        if part == "stored":
            # What was stored and isn't needed any more does no harm.
            if now:
                told = f"rows of {name} are written already, without {path[0]}, which is needed now"
                yield load.problem(told, code=ErrorCode.USER_003, remedy=_remedy(command))
            continue
        where: Part = load
        if part == "held":
            if stood is None or now is None:
                # Told by the field that uses the map, or doesn't any more.
                continue
            told = f"rows of {name} are written already with {stood}, and this is {now}"
            remedy = _remedy(command, "let the map hold what it held")
            if acceptable:
                remedy += _OR_ACCEPT
            yield specification.maps[str(path[0])].problem(
                told, code=ErrorCode.USER_003, remedy=remedy
            )
            continue
        told = f"rows of {name} are written already, and since then"
        if part == "maps":
            where, path = specification.maps[str(path[0])], path[1:]
        elif part == "source":
            where = specification.named_sources[program.source]
        elif part == "blank":
            told, path = f"{told} 'defaults.blank'", []
        spelled = ".".join(map(str, path))
        told += f" '{spelled}'" if spelled else ""
        remedy = _remedy(command)
        if acceptable:
            remedy += _OR_ACCEPT
        yield where.problem(
            f"{told} has changed from {_shown(stood)} to {_shown(now)}",
            *path,
            code=ErrorCode.USER_003,
            remedy=remedy,
        )


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


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
