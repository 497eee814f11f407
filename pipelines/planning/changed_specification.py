"""A specification that has changed since its job began: what of it may, and what is refused.

Rows that are written stay as they are, so what decides about rows may only change for loads
of which nothing is committed, or if somebody accepts that the two parts differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table, forget_plan
from pipelines.ledger.reset_scope import command_to_reset
from pipelines.planning.load_definition import FUNCTIONS, SKIPS, definition
from pipelines.planning.refused_changes import find_differences, refuse_changes
from schemas.errors import Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.model.program import LoadProgram


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
            before["stored"][SKIPS] = now["stored"][SKIPS]
        before.setdefault("source", now["source"])
        # A key that the source has lost is a change of the source, which is told as such.
        before["identified_by"] = now["identified_by"]
        if complete or "held" not in before:
            # Nothing is left to be written with what a map holds now.
            now["held"] = before.get("held", now["held"])
            before["held"] = now["held"]
        _leave_functions(before, now, complete)
        differences = list(find_differences(before, now))
        if differences and begun:
            taken[name] = now
            fields = before["load"]["fields"]
            find = partial(
                refuse_changes, specification, programs[name], fields, differences, accepted
            )
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
        if FUNCTIONS not in spelled:
            known.pop(FUNCTIONS, None)
        elif complete:
            spelled[FUNCTIONS] = known.setdefault(FUNCTIONS, spelled[FUNCTIONS])
        else:
            known.setdefault(FUNCTIONS, spelled[FUNCTIONS])
