"""Changes of a specification since its job began: taken over, or refused.

Rows that are written stay as they are, so the definition of a load may only change if nothing of
it is committed, or if somebody accepts that the two parts differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.reset_scope import command_to_reset
from pipelines.planning.load_definition import FUNCTIONS, SKIPS, definition
from pipelines.planning.refused_changes import find_differences, refuse_changes
from pipelines.planning.stored_plans import forget_plan
from schemas.errors import Problem, TransfuseError
from transforms.model.program import LoadProgram


@dataclass(frozen=True)
class Changes:
    """The changes of a specification that may be taken over.

    Attributes:
        replanned: Loads to be planned again.
        definitions: The new definitions of other loads.
    """

    replanned: tuple[str, ...] = ()
    definitions: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def find_changes(ledger: JobLedger, programs: Mapping[str, LoadProgram], accepted: bool) -> Changes:
    """Find the changes of planned loads.

    A load of which nothing is committed is planned again. Of any other the changes are taken
    over if they are accepted and nothing that is stored rests on them.

    Args:
        ledger: The job's.
        programs: The loads, compiled.
        accepted: Whether somebody accepts that written and new rows differ.

    Returns:
        The changes that may be taken over.

    Raises:
        TransfuseError: USER-003, naming every other change.
    """
    specification = ledger.specification
    replanned, definitions = [], {}
    refused: dict[str, Callable[[str], list[Problem]]] = {}
    for load in ledger.loads.read_definitions():
        name, before = load.load, load.definition
        if name not in programs:
            continue
        now = definition(specification, programs[name])
        if load.is_without_skips:
            before["stored"][SKIPS] = now["stored"][SKIPS]
        before.setdefault("source", now["source"])
        # A key that the source has lost is a change of the source, which is reported as such.
        before["identified_by"] = now["identified_by"]
        if load.is_done or "held" not in before:
            # No row is left to be written with the present contents of a map.
            now["held"] = before.get("held", now["held"])
            before["held"] = now["held"]
        _leave_functions(before, now, load.is_done)
        differences = list(find_differences(before, now))
        if differences and load.is_begun:
            definitions[name] = now
            fields = before["load"]["fields"]
            find = partial(
                refuse_changes, specification, programs[name], fields, differences, accepted
            )
            if find(""):
                refused[name] = find
        elif differences:
            replanned.append(name)
    if refused:
        command = command_to_reset(ledger, refused)
        raise TransfuseError([problem for find in refused.values() for problem in find(command)])
    return Changes(tuple(replanned), definitions)


def store_changes(ledger: JobLedger, changes: Changes) -> None:
    """Delete the plans of loads to be planned again, and store the definitions of others.

    Args:
        ledger: The job's.
        changes: As ``find_changes`` returns them.

    Raises:
        TransfuseError: As ``forget_plan`` does.
    """
    for name in changes.replanned:
        forget_plan(ledger, name)
    for name, new in changes.definitions.items():
        ledger.loads.store_definition(name, new)


def _leave_functions(before: dict[str, Any], now: dict[str, Any], complete: bool) -> None:
    """Leave Python functions out of the differences where nothing rests on them.

    That is if nothing is left to be written, if the version that planned the load didn't store
    their digest, or if the field has no functions any more, which its ``transform`` shows.
    """
    stored = before["load"]["fields"]
    for name, spelled in now["load"]["fields"].items():
        earlier = stored.get(name)
        if earlier is None:
            continue
        if FUNCTIONS not in spelled:
            earlier.pop(FUNCTIONS, None)
        elif complete:
            spelled[FUNCTIONS] = earlier.setdefault(FUNCTIONS, spelled[FUNCTIONS])
        else:
            earlier.setdefault(FUNCTIONS, spelled[FUNCTIONS])
