"""The outcome of each code that a map or the site translates, decided once for all rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.code_system import CodeSystem
from schemas.code_maps.gem import GemCategory, GemMap
from schemas.code_maps.packaged_codes import code_history
from schemas.code_maps.policy import CodeAction, GemPolicy
from schemas.code_maps.spelling import normalise
from schemas.code_maps.target_check import OUTDATED_TARGET, Outdated, TargetCheck

SITE = "site"
"""The category of a row that a decision of the site has translated."""


class TargetRow(NamedTuple):
    """A target of a code.

    ``groups`` are the places of the target among the alternatives: scenario and choice list of
    each of its rows in the map, ``0.0`` where it stands by itself. ``decision`` names the site's
    decision.
    """

    undotted: str | None
    dotted: str | None
    flags: str | None
    category: str | None
    groups: str | None = None
    cluster_seq: int = 1
    decision: str | None = None


AMBIGUOUS_CODE, SEVERAL_CODES = "ambiguous_code", "several_codes"
"""The reasons why a text isn't a code of the map though it looks like one or several."""

UNTRANSLATED = TargetRow(None, None, None, None)


class CodeOutcome(NamedTuple):
    """The result of translating one source code by the policy: its rows, and reasons."""

    rows: Sequence[TargetRow]
    rejected: str | None = None
    """The reason why its rows are rejected."""
    warned: str | None = None
    """The reason why its rows are written without a target."""
    noted: str | None = None
    """The reason of a warning about the translation."""


def map_outcomes(
    gem: GemMap, policy: GemPolicy, check: TargetCheck | None = None
) -> dict[str, CodeOutcome]:
    """Decides the outcome of each source code of a map.

    Args:
        gem: The map.
        policy: The action for each category of codes.
        check: The release that targets are compared with; None for no release.

    Returns:
        The outcomes by source code, in the order of the map.
    """
    targets = gem.entries.column("target_code").to_pylist()
    flags = gem.entries.column("flags").to_pylist()
    outcomes = {}
    for code, category, first, count in zip(
        *(gem.codes.column(i).to_pylist() for i in range(4)), strict=True
    ):
        alternatives = range(first, first + count)
        outcome = _outcome(
            GemCategory(category),
            [(targets[i], flags[i]) for i in alternatives],
            policy,
            gem.target,
        )
        outcomes[code] = outcome if check is None else _apply_check(outcome, check)
    return outcomes


def unknown_outcome(policy: GemPolicy, reason: str = GemCategory.UNKNOWN_CODE.value) -> CodeOutcome:
    """The outcome of text that isn't a code of the map, for this reason."""
    outcome = _outcome_without_targets(GemCategory.UNKNOWN_CODE, policy)
    assert outcome is not None, "no policy accepts unknown codes"
    if outcome.rejected is not None:
        return outcome._replace(rejected=reason)
    return outcome._replace(warned=reason)


def site_outcomes(
    site: pa.Table | None,
    system: CodeSystem,
    case: bool = True,
    to: CodeSystem | None = None,
    as_source: bool = False,
    check: TargetCheck | None = None,
) -> dict[str, CodeOutcome]:
    """Decides the outcome of each code that the site has decided on.

    Args:
        site: The decisions: source_code and target_code (string), and optionally name (string)
            of the decision. If later decisions replace earlier ones, there is also decision
            (integer): only the rows with the highest number of each code apply, however the code
            is spelled.
        system: The system of the source codes.
        case: Whether small letters are repaired; otherwise they make another code.
        to: The system of the targets. A code of any of its releases is written in the notation of
            the map, any other target as it is.
        as_source: Whether targets are written in the notation of the source. Then a target is
            also left as it is where the source isn't a code.
        check: The release that targets are compared with, as those of the map are.

    Returns:
        The outcomes by source code, in the order of the table.
    """
    if site is None or not site.num_rows:
        return {}
    is_code = re.compile(system.form).fullmatch
    decisions = _decisions_in_force(site, system, case)
    targets = [decision.target for decision in decisions]
    # Two spellings of a source code may repeat a target, and so may two of a target.
    targets_of: dict[str, dict[str | None, TargetRow]] = {}
    lacking = set()
    for (source, stored, name), target, lacks in zip(
        decisions, _both_ways(targets, to), lacks_codes(check, targets, to), strict=True
    ):
        rows = targets_of.setdefault(source, {})
        undotted, dotted = (stored, stored) if as_source and not is_code(source) else target
        row = TargetRow(undotted, dotted, None, SITE, None, len(rows) + 1, name)
        rows.setdefault(target[0], row)
        if lacks:
            lacking.add(source)
    outcomes = {source: CodeOutcome(list(rows.values())) for source, rows in targets_of.items()}
    if check is not None:
        outcomes |= {source: _outdated_outcome(outcomes[source], check) for source in lacking}
    return outcomes


class _Decision(NamedTuple):
    """A target that the site has chosen; ``source`` is in the form in which it is looked up."""

    source: str
    target: str | None
    name: str | None


def _decisions_in_force(site: pa.Table, system: CodeSystem, case: bool) -> list[_Decision]:
    """The decisions that no later one has replaced, in the order of the table."""
    sources = normalise(site.column("source_code").cast(pa.string()), system, case).to_pylist()
    targets = site.column("target_code").cast(pa.string()).to_pylist()
    numbers, names = [0] * len(sources), [None] * len(sources)
    if "decision" in site.column_names:
        numbers = site.column("decision").to_pylist()
    if "name" in site.column_names:
        names = site.column("name").to_pylist()
    newest: dict[str, int] = {}
    for source, number in zip(sources, numbers, strict=True):
        newest[source] = max(number, newest.get(source, number))
    return [
        _Decision(source, target, name)
        for source, target, number, name in zip(sources, targets, numbers, names, strict=True)
        if source is not None and number == newest[source]
    ]


def lacks_codes(
    check: TargetCheck | None, targets: Sequence[str | None], system: CodeSystem | None
) -> list[bool]:
    """Finds the targets of decisions that aren't codes of the release.

    Returns:
        Whether the release lacks each target; False for all without a check or a system.
    """
    if check is None or system is None:
        return [False] * len(targets)
    bare = normalise(pa.array(targets, pa.string()), system)
    lacking = pc.and_not(bare.is_valid(), pc.is_in(bare, value_set=check.valid))
    return [bool(one) for one in lacking.to_pylist()]


def _both_ways(
    targets: Sequence[str | None], system: CodeSystem | None
) -> list[tuple[str | None, str | None]]:
    """Each target without and with its dot; twice unchanged if it isn't a code of ``system``."""
    if system is None:
        return [(target, target) for target in targets]
    bare = normalise(pa.array(targets, pa.string()), system)
    is_code = pc.is_in(bare, value_set=code_history(system).codes).to_pylist()
    return [
        (code, system.with_dot(code)) if is_one else (target, target)
        for target, code, is_one in zip(targets, bare.to_pylist(), is_code, strict=True)
    ]


def _outcome(
    category: GemCategory,
    alternatives: Sequence[tuple[str, str]],
    policy: GemPolicy,
    system: CodeSystem,
) -> CodeOutcome:
    """Applies the policy to a code with these targets and their flags."""
    unaccepted = _outcome_without_targets(category, policy)
    if unaccepted is not None:
        return unaccepted
    # One target can stand in several scenarios, or by itself and in a combination as well.
    flags_of: dict[str, list[str]] = {}
    for target, flags in alternatives:
        flags_of.setdefault(target, []).append(flags)
    return CodeOutcome(
        [
            TargetRow(
                target,
                system.with_dot(target),
                flags[0],
                category.value,
                " ".join(f"{f[3]}.{f[4]}" for f in flags),
                seq,
            )
            for seq, (target, flags) in enumerate(flags_of.items(), 1)
        ]
    )


def _apply_check(outcome: CodeOutcome, check: TargetCheck) -> CodeOutcome:
    """Applies the check to the outcome of a code with an outdated target."""
    if any(row.undotted in check.outdated for row in outcome.rows):
        return _outdated_outcome(outcome, check)
    return outcome


def _outdated_outcome(outcome: CodeOutcome, check: TargetCheck) -> CodeOutcome:
    if check.action is Outdated.ACCEPT:
        return outcome
    if check.action is Outdated.WARN:
        return outcome._replace(noted=OUTDATED_TARGET)
    return CodeOutcome([UNTRANSLATED], rejected=OUTDATED_TARGET)


def _outcome_without_targets(category: GemCategory, policy: GemPolicy) -> CodeOutcome | None:
    """The outcome of a category of which the policy writes no targets; None for others."""
    action = policy.action(category)
    if action is CodeAction.REJECT:
        return CodeOutcome([UNTRANSLATED], rejected=category.reason)
    if action is CodeAction.NO_TARGET:
        kept = TargetRow(None, None, None, category.value)
        return CodeOutcome([kept], warned=category.reason)
    return None
