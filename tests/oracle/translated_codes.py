"""ICD-9-CM to ICD-10-CM by the packaged General Equivalence Mappings, one code at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from tests.oracle.damaged_codes import (
    BLANKS,
    ICD10,
    capitals,
    icd10_without_dot,
    is_code,
    packaged,
    read,
    without_dot,
)


class Row(NamedTuple):
    target: str
    approximate: str
    no_map: str
    combination: str
    scenario: str
    choice_list: str

    @property
    def flags(self) -> str:
        return "".join(self[1:])


DEFAULT_POLICY = {
    "approximate": "accept",
    "cluster": "expand",
    "choice": "reject",
    "no_map": "reject",
    "unknown_code": "reject",
}


@dataclass(frozen=True)
class Translated:
    """One target row of a code; ``target`` is None where the source row is kept without one."""

    target: str | None
    category: str | None = None
    flags: str | None = None
    cluster_seq: int = 1
    source_code: str | None = None
    groups: str | None = None


@dataclass(frozen=True)
class Answer:
    """What becomes of a code: its rows, and a reason with whether that is only a warning."""

    rows: tuple[Translated, ...]
    reason: str | None = None
    warning: bool = False
    notes: tuple[str, ...] = ()
    """What is recorded as DATA-005."""


@lru_cache(maxsize=1)
def packaged_map() -> tuple[dict[str, list[Row]], str]:
    """The rows of each source code in the order of the file, and the file's SHA-256."""
    content = packaged("2018_I9gem.txt")
    found: dict[str, list[Row]] = {}
    for line in content.decode().splitlines():
        code, target, flags = line.split()
        found.setdefault(code, []).append(Row(target, *flags))
    return found, hashlib.sha256(content).hexdigest()


def category_of(rows: list[Row]) -> str:
    """Where the rows of one code fall in the table of categories."""
    if any(row.no_map == "1" or row.target == "NoDx" for row in rows):
        return "no_map"
    singles = [row for row in rows if row.combination == "0"]
    together = [row for row in rows if row.combination == "1"]
    if singles and together:
        return "mixed"
    if singles:
        if len(singles) > 1:
            return "choice"
        return "approximate" if singles[0].approximate == "1" else "exact"
    if len({row.scenario for row in together}) > 1:
        return "scenarios"
    lists = [row.choice_list for row in together]
    return "cluster" if len(lists) == len(set(lists)) else "cluster_choice"


@lru_cache(maxsize=1)
def reported_years() -> dict[str, tuple[int, int]]:
    """The first and the last fiscal year in which each code of ICD-10-CM could be reported."""
    lines = (line.split("\t") for line in packaged("icd10cm_years.tsv").decode().splitlines())
    return {code: (int(first), int(last)) for code, first, last in lines}


@lru_cache(maxsize=1)
def billable() -> frozenset[str]:
    """The codes of ICD-10-CM of fiscal year 2026."""
    return frozenset(code for code, (_, last) in reported_years().items() if last == 2026)


@lru_cache(maxsize=64)
def known_codes(site: frozenset[str]) -> frozenset[str]:
    """The source codes of the map, and those that the site has decided on."""
    return frozenset(packaged_map()[0]) | site


def translate(
    code: str | None,
    policy: Mapping[str, str],
    notation: str = "as_source",
    site: Mapping[str, tuple[str | None, ...]] | None = None,
    repair: Mapping[str, bool] | None = None,
    outdated: str = "warn",
) -> Answer:
    """``policy`` by category where it differs from the default; ``site`` by normalised code."""
    if code is None:
        return Answer((Translated(None),))
    looked_up, unclear, notes = read(code, known_codes(frozenset(site or ())), repair or {})
    answer = _translate_known(code, looked_up, unclear, policy, notation, site or {})
    targets = [
        icd10_without_dot(capitals(row.target.strip(BLANKS))) for row in answer.rows if row.target
    ]
    if set(targets) - billable() and outdated == "reject":
        answer = Answer((Translated(None, source_code=looked_up),), "outdated_target")
    elif set(targets) - billable() and outdated == "warn":
        notes = (*notes, "outdated_target")
    return replace(answer, notes=notes)


def translate_by_system(
    code: str | None,
    named: int | None,
    in_force: int | None,
    policy: Mapping[str, str],
    notation: str,
    site: Mapping[str, tuple[str | None, ...]],
    repair: Mapping[str, bool] | None,
    outdated: str,
) -> Answer:
    """``named`` is the revision that the row tells (0: something else), ``in_force`` what was in
    force on its date: 9, or of ICD-10 the fiscal year."""
    if code is None:
        return Answer((Translated(None),))
    if named == 0:
        return Answer((Translated(None),), "unknown_code_system")
    capital = (repair or {}).get("case", True)
    stripped = code.strip(BLANKS)
    bare = capitals(stripped) if capital else stripped
    nine = without_dot(bare) in known_codes(frozenset(site))
    ten = icd10_without_dot(bare) in reported_years()
    era = in_force if in_force in (None, 9) else 10
    revision = named
    if revision is None:
        revision = (era or 9) if nine and ten else 10 if ten else 9
    # What only the site knows is of neither system.
    published = without_dot(bare) in packaged_map()[0]
    if era not in (None, revision) and (named or published or ten):
        reason = "icd9_after_cutover" if revision == 9 else "icd10_before_cutover"
        return Answer((Translated(None),), reason)
    if revision == 9:
        return translate(code, policy, notation, site, repair, outdated)
    same = _same(code, in_force, policy, notation, repair, outdated)
    # The site can decide on what is no code of its system, unless it decided on a code of ICD-9.
    decided = without_dot(bare) in site and not published
    if decided and (not ten or same.reason == "code_not_in_force"):
        return translate(code, policy, notation, site, repair, outdated)
    return same


def _same(
    code: str,
    in_force: int | None,
    policy: Mapping[str, str],
    notation: str,
    repair: Mapping[str, bool] | None,
    outdated: str,
) -> Answer:
    """A code of ICD-10-CM as it is."""
    ever = frozenset(reported_years())
    looked_up, unclear, notes = read(code, ever, repair or {}, ICD10)
    if unclear is None and looked_up not in ever:
        unclear = "unknown_code"
    elif unclear is None and in_force is not None:
        first, last = reported_years()[looked_up]
        # The year may be the earlier one of two.
        if not first - 1 <= in_force <= (9999 if last == 2026 else last):
            unclear = "code_not_in_force"
    if unclear is not None:
        keeps = policy.get("unknown_code") == "keep_source"
        category = "unknown_code" if keeps else None
        kept = Translated(None, category, None, 1, looked_up)
        return Answer((kept,), unclear, keeps, notes)
    # With a date the code is one of its time.
    if looked_up not in billable() and (in_force or 0) < 2016:
        if outdated == "reject":
            return Answer((Translated(None),), "outdated_target", False, notes)
        if outdated == "warn":
            notes = (*notes, "outdated_target")
    dotted = "." in code if notation == "as_source" else notation == "dotted"
    written = _dotted(looked_up) if dotted else looked_up
    return Answer((Translated(written, "same", None, 1, looked_up),), None, False, notes)


def _translate_known(
    code: str,
    looked_up: str,
    unclear: str | None,
    policy: Mapping[str, str],
    notation: str,
    site: Mapping[str, tuple[str | None, ...]],
) -> Answer:
    if looked_up in site and unclear is None:
        dotted = "." in code if notation == "as_source" else notation == "dotted"
        stands = notation == "as_source" and not is_code(looked_up)
        kept: dict[str | None, str | None] = {}
        for target in site[looked_up]:
            kept.setdefault(_decided(target, False), target if stands else _decided(target, dotted))
        targets = tuple(kept.values())
        return Answer(
            tuple(
                Translated(target, "site", None, position, looked_up)
                for position, target in enumerate(targets, 1)
            )
        )
    rows = packaged_map()[0].get(looked_up, []) if unclear is None else []
    category = category_of(rows) if rows else "unknown_code"
    reason = "choice" if category in ("cluster_choice", "scenarios", "mixed") else category
    told = {**DEFAULT_POLICY, **policy}
    action = told.get(category, told.get(reason, "accept"))
    reason = unclear or reason
    if action == "reject":
        return Answer((Translated(None, source_code=looked_up),), reason)
    if action == "keep_source":
        unmapped = Translated(None, category, None, 1, looked_up)
        return Answer((unmapped,), reason, warning=True)
    dotted = "." in code if notation == "as_source" else notation == "dotted"
    ordered: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.scenario, row.choice_list)):
        # A target that stands there by itself and in a combination counts once.
        if row.target not in [other.target for other in ordered]:
            ordered.append(row)
    return Answer(
        tuple(
            Translated(
                _dotted(r.target) if dotted else r.target,
                category,
                r.flags,
                n,
                looked_up,
                _groups(rows, r.target),
            )
            for n, r in enumerate(ordered, 1)
        )
    )


def _decided(target: str | None, dotted: bool) -> str | None:
    """The target of a decision: a code in the notation of the map, anything else as it stands."""
    bare = icd10_without_dot(capitals((target or "").strip(BLANKS)))
    if bare not in reported_years():
        return target
    return _dotted(bare) if dotted else bare


def _groups(rows: list[Row], target: str) -> str:
    """Scenario and choice list of each row with that target, from the first scenario on."""
    return " ".join(sorted(f"{r.scenario}.{r.choice_list}" for r in rows if r.target == target))


def _dotted(code: str) -> str:
    return f"{code[:3]}.{code[3:]}" if len(code) > 3 else code
