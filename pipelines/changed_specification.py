"""A specification that has changed since its job began: what of it may, and what is refused.

Rows that are written stay as they are, so what decides about rows may only change for loads
of which nothing is committed, or if somebody accepts that the two parts differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

from pipelines.job import control_table, forget_plan
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.model import Part
from schemas.specification.root import Specification

_NEVER = ("from", "source", "into", "partition", "source_key", "key", "duplicates")
"""What the stored partitions, their duplicates and the children's references rest on."""

_LONGEST = 60

Difference = tuple[tuple[str | int, ...], Any, Any]
"""A path in a definition, and what stood and stands there; None for nothing."""


def definition(specification: Specification, name: str) -> dict[str, Any]:
    """What of the specification decides how a load's rows come out, as JSON has it."""
    load = specification.tables[name]
    used = {f.map for f in load.fields.values() if f.map is not None}
    relevant = {
        "load": load.model_dump(mode="json", by_alias=True),
        "into": specification.target_table(name),
        "maps": {
            m: specification.maps[m].model_dump(mode="json", by_alias=True) for m in sorted(used)
        },
        "blank": specification.blank_is_missing(load),
    }
    found: dict[str, Any] = json.loads(json.dumps(relevant))
    return found


def take_changes(
    target: psycopg.Connection[Any], specification: Specification, accepted: bool
) -> None:
    """Takes over the changes of loads that are planned, or refuses them.

    A load of which nothing is committed is planned anew. Of any other the changes are taken
    over where they are ``accepted`` and its partitions still mean the same. Raises
    TransfuseError (USER-003) naming every other change.
    """
    rows = target.execute(
        sql.SQL(
            "SELECT load, definition, EXISTS (SELECT FROM {} p WHERE p.job_id = l.job_id"
            " AND p.load = l.load AND p.state = 'done') FROM {} l WHERE job_id = %s ORDER BY load"
        ).format(
            control_table(specification, "migration_partitions"),
            control_table(specification, "migration_loads"),
        ),
        [specification.job],
    ).fetchall()
    changed = []
    problems: list[Problem] = []
    for name, stored, begun in rows:
        if name not in specification.tables:
            continue
        differences = list(_differences(json.loads(stored), definition(specification, name)))
        if differences:
            changed.append((name, begun))
            if begun:
                problems += _refused(specification, name, differences, accepted)
    if problems:
        raise TransfuseError(problems)
    for name, begun in changed:
        if begun:
            target.execute(
                sql.SQL("UPDATE {} SET definition = %s WHERE job_id = %s AND load = %s").format(
                    control_table(specification, "migration_loads")
                ),
                [json.dumps(definition(specification, name)), specification.job, name],
            )
        else:
            forget_plan(target, specification, name)


def refuse_other_maps(
    target: psycopg.Connection[Any], specification: Specification, labels: Mapping[str, str]
) -> None:
    """Raises TransfuseError (USER-003) where a load would go on with the codes of another file.

    ``labels`` tell the maps of this run by name and content, as ``GemMap.label`` does.
    """
    rows = target.execute(
        sql.SQL(
            "SELECT j.maps, p.load FROM {} j JOIN {} p USING (job_id) WHERE job_id = %s"
            " GROUP BY 1, 2 HAVING bool_or(p.state = 'done') AND bool_or(p.state <> 'done')"
            " ORDER BY 2"
        ).format(
            control_table(specification, "migration_jobs"),
            control_table(specification, "migration_partitions"),
        ),
        [specification.job],
    ).fetchall()
    problems = [
        specification.maps[name].problem(
            f"rows of {load} are written already with {known[name]}, and this is {label}",
            code=ErrorCode.USER_003,
            remedy="bring the former file back, or start another job with --job NAME",
        )
        for known, load in rows
        if load in specification.tables
        for name, label in labels.items()
        if any(f.map == name for f in specification.tables[load].fields.values())
        and known.get(name, label) != label
    ]
    if problems:
        raise TransfuseError(problems)


def _differences(before: Any, now: Any, path: tuple[str | int, ...] = ()) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*now, *(key for key in before if key not in now)]:
            yield from _differences(before.get(key), now.get(key), (*path, key))
    elif before != now:
        yield path, before, now


def _refused(
    specification: Specification, name: str, differences: list[Difference], accepted: bool
) -> Iterator[Problem]:
    load = specification.tables[name]
    for (part, *path), before, now in differences:
        never = part == "into" or (part == "load" and path[0] in _NEVER)
        if accepted and not never:
            continue
        if path == ["into"] or (part == "maps" and len(path) == 1):
            # Told by the table that is meant, or by the field that uses the map.
            continue
        told = f"rows of {name} are written already, and since then"
        remedy = "undo the change, or start another job with --job NAME"
        if not never:
            remedy += ", or leave what is written as it is with --accept-changes"
        where: Part = load
        if part == "maps":
            where, path = specification.maps[str(path[0])], path[1:]
        elif part == "blank":
            told, path = f"{told} 'defaults.blank'", []
        elif part == "into":
            path = ["into"]
        spelled = ".".join(map(str, path))
        told += f" '{spelled}'" if spelled else ""
        yield where.problem(
            f"{told} has changed from {_shown(before)} to {_shown(now)}",
            *path,
            code=ErrorCode.USER_003,
            remedy=remedy,
        )


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
