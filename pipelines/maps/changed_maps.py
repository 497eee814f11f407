"""Maps of codes whose contents have changed since a job began: replanned or refused.

A load that is written in part would go on with other codes: one diagnosis would have two names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.reset_scope import command_to_reset
from schemas.code_maps.outcomes import lacks_codes, map_outcomes, site_outcomes
from schemas.code_maps.target_check import Outdated
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.maps import CodeMap
from schemas.specification.table import Load
from transforms.compare.duplicates import keys_program
from transforms.mapping.loaded_maps import site_table
from transforms.model.program import LoadProgram
from transforms.model.run_context import GemUse

Decisions = Mapping[str, Mapping[str, list[str | None]]]
"""The targets that the site has decided on, by map and source code."""


def decisions_of(maps: Mapping[str, GemUse]) -> Decisions:
    """The decisions of maps that are in force, as the job's row stores them."""
    return {
        name: {
            code: [row.undotted for row in outcome.rows]
            for code, outcome in site_outcomes(
                site_table(use.site), use.gem.source, use.repair.case, use.gem.target
            ).items()
        }
        for name, use in maps.items()
    }


def refuse_other_maps(
    ledger: JobLedger,
    programs: Mapping[str, LoadProgram],
    labels: Mapping[str, str],
    maps: Mapping[str, GemUse],
) -> list[str]:
    """Refuse maps with which a load can't go on, and find the loads to be planned again.

    A load of which rows are written would go on with the codes of another file, or with other
    decisions of the site on codes of which rows may be written. A decision on a code whose rows
    were all rejected changes nothing that is written, unless rows were compared by the map's
    targets. A load of which nothing is committed is planned again, because the results of comparing
    its rows are outdated.

    Args:
        ledger: The job's.
        programs: The loads, compiled.
        labels: The maps of this run by name and content (``GemUse.label``).
        maps: The maps with the decisions that are in force.

    Returns:
        The names of loads of which nothing is committed and whose maps have changed.

    Raises:
        TransfuseError: USER-003, naming every load and map that can't go on.
    """
    specification = ledger.specification
    now = decisions_of(maps)
    earlier_labels, earlier_decisions = ledger.job.read_maps()
    loads = ledger.loads.read_unfinished()
    begun = [load.name for load in loads if load.is_begun]
    command = command_to_reset(ledger, begun) if begun else ""
    problems: list[Problem] = []
    replanned: list[str] = []
    for load in loads:
        if load.name not in programs:
            continue
        for name in _maps_used(specification.tables[load.name], labels):
            before = earlier_decisions.get(name, {})
            label = (_label_before(earlier_labels, maps[name], labels[name]), labels[name])
            if load.is_begun:
                compared = name in _maps_compared(programs[load.name])
                changed = _changed_codes(maps[name], before, now[name], compared)
                part = specification.maps[name]
                problems += _refusals(part, load.name, label, list(changed), compared, command)
            elif before != now[name] or earlier_labels.get(name) != labels[name]:
                replanned.append(load.name)
    if problems:
        raise TransfuseError(problems)
    return list(dict.fromkeys(replanned))


def _label_before(labels: Mapping[str, str], use: GemUse, now: str) -> str:
    """The label of the map in the run before; the present one where both write the same.

    Version 1 held targets against a release only where the specification named one. That made no
    difference if all targets are in the release, or if those that aren't are accepted.
    """
    before = labels.get(use.gem.name, now)
    if before != use.gem.label or use.check is None:
        return before
    decided = [target for _, target, _, _ in use.site]
    outdated = use.check.outdated or any(lacks_codes(use.check, decided, use.gem.target))
    return now if use.check.action is Outdated.ACCEPT or not outdated else before


def _maps_used(load: Load, labels: Mapping[str, str]) -> list[str]:
    used = {field.map for field in load.fields.values()}
    return [name for name in labels if name in used]


def _maps_compared(program: LoadProgram) -> set[str]:
    """The maps of the fields that rows of the load were compared by, before any was written."""
    if not program.compares_rows:
        return set()
    translations = [field.translation for field in keys_program(program).fields]
    return {translation.gem for translation in translations if translation is not None}


def _refusals(
    part: CodeMap,
    load: str,
    label: tuple[str, str],
    changed: Sequence[str],
    compared: bool,
    command: str,
) -> Iterator[Problem]:
    """The changes of a map that keep a load that is written in part from going on; ``label`` is
    that of the map then and now."""
    before, now = label
    if now.startswith(f"{before} and the release "):
        yield part.problem(
            f"rows of {load} are written already with targets that weren't held against a release,"
            f" and now are: {now}",
            "outdated",
            code=ErrorCode.USER_003,
            remedy="write 'outdated: accept' for the map and go on with --accept-changes, or remove"
            f" what is written and start over: {command}",
        )
    elif before != now:
        yield part.problem(
            f"rows of {load} are written already with {before}, and this is {now}",
            code=ErrorCode.USER_003,
            remedy="bring the earlier file back, or remove what is written and start"
            f" over: {command}",
        )
    if changed:
        codes = ", ".join(changed[:_SHOWN])
        if len(changed) > _SHOWN:
            codes += f" and {len(changed) - _SHOWN} more"
        message = f"rows of {load} may be written already with other targets of {codes}"
        if compared:
            message = (
                f"rows of {load} were compared, and some are written, with other targets of {codes}"
            )
        yield part.problem(
            f"{message}, which have been decided on since",
            code=ErrorCode.USER_003,
            remedy="take these decisions back until the load is complete, or remove"
            f" what is written and start over: {command}",
        )


_SHOWN = 5


def _changed_codes(
    use: GemUse,
    before: Mapping[str, list[str | None]],
    now: Mapping[str, list[str | None]],
    with_rejected: bool,
) -> Iterator[str]:
    """The codes that are translated in another way than before; those that were rejected only if
    that decided about other rows too."""
    different = [code for code in {**before, **now} if before.get(code) != now.get(code)]
    by_map = map_outcomes(use.gem, use.policy, use.check) if different else {}
    for code in different:
        outcome = by_map.get(code)
        if code in before:
            rejects = use.check is not None and use.check.action is Outdated.REJECT
            is_written = not (rejects and any(lacks_codes(use.check, before[code], use.gem.target)))
        else:
            is_written = outcome is not None and outcome.rejected is None
        if with_rejected or is_written:
            yield code
