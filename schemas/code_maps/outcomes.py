"""What becomes of each code that a map or a site knows, decided once for all rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.code_system import CodeSystem
from schemas.code_maps.gem import GemCategory, GemMap
from schemas.code_maps.packaged_codes import code_history
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import normalise
from schemas.code_maps.target_check import OUTDATED_TARGET, TargetCheck

SITE = "site"
"""The category of a row that a decision of the site has translated."""


class TargetRow(NamedTuple):
    """One target of a code. ``groups`` are the places of the target among the alternatives:
    scenario and choice list of each of its rows in the map, ``0.0`` where it stands by itself.
    ``decision`` names the site's decision that it is of."""

    undotted: str | None
    dotted: str | None
    flags: str | None
    category: str | None
    groups: str | None = None
    cluster_seq: int = 1
    decision: str | None = None


AMBIGUOUS_CODE, SEVERAL_CODES = "ambiguous_code", "several_codes"
"""Why something isn't a code of the map, though it looks like one or like two."""

UNTRANSLATED = TargetRow(None, None, None, None)


class Outcome(NamedTuple):
    """What the policy makes of one source code: its rows, why if it isn't accepted, and what is
    to be noted if it is."""

    rows: Sequence[TargetRow]
    rejected: str | None = None
    warned: str | None = None
    noted: str | None = None


def map_outcomes(
    gem: GemMap, policy: GemPolicy, check: TargetCheck | None = None
) -> dict[str, Outcome]:
    """The outcome of each source code of a map, in the map's order; ``check`` knows which of its
    targets are outdated."""
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
        outcomes[code] = outcome if check is None else _checked(outcome, check)
    return outcomes


def unknown_outcome(policy: GemPolicy, reason: str = GemCategory.UNKNOWN_CODE.value) -> Outcome:
    """The outcome of what isn't a code of the map; ``reason`` says why not."""
    outcome = _unaccepted(GemCategory.UNKNOWN_CODE, policy)
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
) -> dict[str, Outcome]:
    """The outcome of each code of ``system`` that the site has decided on, in the table's order.

    ``site`` has the columns source_code and target_code (string), and may have ``name``: what a
    decision is called. Where decisions have been taken back by later ones it also has ``decision``
    (integer): of each code the rows with the highest count, however it is spelled; small letters
    are others unless ``case``. A target that any release of the system ``to`` has is written in
    the notation of the map, any other as it stands; so is one whose notation is to be that of the
    source (``as_source``), where the source is no code. ``check`` knows the codes of the release
    that targets are held against, as those of the map are.
    """
    if site is None or not site.num_rows:
        return {}
    sources = normalise(site.column("source_code").cast(pa.string()), system, case).to_pylist()
    targets = site.column("target_code").cast(pa.string()).to_pylist()
    decisions = [0] * len(sources)
    if "decision" in site.column_names:
        decisions = site.column("decision").to_pylist()
    newest: dict[str, int] = {}
    for source, decision in zip(sources, decisions, strict=True):
        newest[source] = max(decision, newest.get(source, decision))
    is_code = re.compile(system.form).fullmatch
    names = [None] * len(sources)
    if "name" in site.column_names:
        names = site.column("name").to_pylist()
    # Two spellings of a source code may repeat a target, and so may two of a target.
    targets_of: dict[str, dict[str | None, TargetRow]] = {}
    lacking = set()
    for source, stored, target, decision, name, lacks in zip(
        sources,
        targets,
        _both_ways(targets, to),
        decisions,
        names,
        lacks_codes(check, targets, to),
        strict=True,
    ):
        if source is not None and decision == newest[source]:
            rows = targets_of.setdefault(source, {})
            undotted, dotted = (stored, stored) if as_source and not is_code(source) else target
            row = TargetRow(undotted, dotted, None, SITE, None, len(rows) + 1, name)
            rows.setdefault(target[0], row)
            if lacks:
                lacking.add(source)
    outcomes = {source: Outcome(list(rows.values())) for source, rows in targets_of.items()}
    if check is not None:
        outcomes |= {source: _outdated(outcomes[source], check) for source in lacking}
    return outcomes


def lacks_codes(
    check: TargetCheck | None, targets: Sequence[str | None], system: CodeSystem | None
) -> list[bool]:
    """Which targets of decisions (codes of ``system``) are no codes of the release."""
    if check is None or system is None:
        return [False] * len(targets)
    bare = normalise(pa.array(targets, pa.string()), system)
    lacking = pc.and_not(bare.is_valid(), pc.is_in(bare, value_set=check.valid))
    return [bool(one) for one in lacking.to_pylist()]


def _both_ways(
    targets: Sequence[str | None], system: CodeSystem | None
) -> list[tuple[str | None, str | None]]:
    """Each target of a decision without its dot and with it, where it is a code of ``system``."""
    if system is None:
        return [(target, target) for target in targets]
    bare = normalise(pa.array(targets, pa.string()), system)
    is_code = pc.is_in(bare, value_set=code_history(system).codes).to_pylist()
    return [
        (code, system.with_dot(code)) if known else (target, target)
        for target, code, known in zip(targets, bare.to_pylist(), is_code, strict=True)
    ]


def _outcome(
    category: GemCategory,
    alternatives: Sequence[tuple[str, str]],
    policy: GemPolicy,
    system: CodeSystem,
) -> Outcome:
    """What ``policy`` makes of a code with these targets of ``system`` and flags, in the map's
    order."""
    unaccepted = _unaccepted(category, policy)
    if unaccepted is not None:
        return unaccepted
    # One target can stand in several scenarios, or by itself and in a combination as well.
    flags_of: dict[str, list[str]] = {}
    for target, flags in alternatives:
        flags_of.setdefault(target, []).append(flags)
    return Outcome(
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


def _checked(outcome: Outcome, check: TargetCheck) -> Outcome:
    """The outcome of a code that has an outdated one among its targets as the check wants it."""
    if any(row.undotted in check.outdated for row in outcome.rows):
        return _outdated(outcome, check)
    return outcome


def _outdated(outcome: Outcome, check: TargetCheck) -> Outcome:
    if check.action == "accept":
        return outcome
    if check.action == "warn":
        return outcome._replace(noted=OUTDATED_TARGET)
    return Outcome([UNTRANSLATED], rejected=OUTDATED_TARGET)


def _unaccepted(category: GemCategory, policy: GemPolicy) -> Outcome | None:
    """The outcome of a category of which ``policy`` writes no targets; None of any other."""
    action = policy.action(category)
    if action == "reject":
        return Outcome([UNTRANSLATED], rejected=category.reason)
    if action == "no_target":
        kept = TargetRow(None, None, None, category.value)
        return Outcome([kept], warned=category.reason)
    return None
