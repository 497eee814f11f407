"""Compares what a migration of the demo found with what was put into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import psycopg

GROUPS_SHOWN = 10
"""How many kinds of missed, and of unexpected, violations are printed."""


class Spot(NamedTuple):
    """Where a violation stands: its code, and its row. ``table`` has no schema."""

    error_code: str
    table: str
    source_key: str


class Expected(NamedTuple):
    """A violation that must be found; ``rule`` is None where any name will do."""

    spot: Spot
    rule: str | None
    fault: str


class Found(NamedTuple):
    """A violation as ``migration_errors`` has it."""

    spot: Spot
    rule: str | None


@dataclass(frozen=True)
class Score:
    """How well the violations found match the expected ones.

    ``expected``, ``found`` and ``matched`` count distinct spots by error code. ``missed``
    are expected violations that weren't found, ``unexpected`` found ones that weren't
    expected; among both are those whose rule alone differs.
    """

    expected: Counter[str]
    found: Counter[str]
    matched: Counter[str]
    missed: tuple[Expected, ...]
    unexpected: tuple[Found, ...]

    @property
    def precision(self) -> float:
        """The share of what was found that was put in; 1 where nothing was found."""
        total = sum(self.found.values())
        return sum(self.matched.values()) / total if total else 1.0

    @property
    def recall(self) -> float:
        """The share of what was put in that was found; 1 where nothing was put in."""
        total = sum(self.expected.values())
        return sum(self.matched.values()) / total if total else 1.0

    @property
    def is_perfect(self) -> bool:
        """Whether the same violations were found on the same rows under the same rules."""
        return not self.missed and not self.unexpected

    def lines(self) -> Iterator[str]:
        """The score as text, a line a code."""
        yield f"{'code':<10} {'injected':>9} {'found':>9} {'matched':>9}"
        for code in sorted(self.expected | self.found):
            yield (
                f"{code:<10} {self.expected[code]:>9,} {self.found[code]:>9,}"
                f" {self.matched[code]:>9,}"
            )
        yield f"precision {self.precision:.4f}, recall {self.recall:.4f}"
        missed = _grouped(
            (f"{m.spot.error_code} {m.rule or ''} ({m.fault})", m) for m in self.missed
        )
        for what, spots in missed:
            yield f"missed {len(spots):,} x {what}, such as {spots[0].table} {spots[0].source_key}"
        unexpected = _grouped((f"{u.spot.error_code} {u.rule or ''}", u) for u in self.unexpected)
        for what, spots in unexpected:
            yield (
                f"unexpected {len(spots):,} x {what},"
                f" such as {spots[0].table} {spots[0].source_key}"
            )


def _grouped(labelled: Iterable[tuple[str, Expected | Found]]) -> list[tuple[str, list[Spot]]]:
    """The spots under each label, the largest groups first, ``GROUPS_SHOWN`` of them."""
    groups: dict[str, list[Spot]] = {}
    for label, one in labelled:
        groups.setdefault(label, []).append(one.spot)
    return sorted(groups.items(), key=lambda group: -len(group[1]))[:GROUPS_SHOWN]


def compare(expected: Iterable[Expected], found: Iterable[Found]) -> Score:
    """Scores the violations found. Order and repetition don't matter."""
    wanted, seen = set(expected), set(found)
    seen_spots = {f.spot for f in seen}
    wanted_spots = {e.spot for e in wanted}
    # A spot with an expected violation of any rule takes any rule there.
    any_rule = {e.spot for e in wanted if e.rule is None}
    named_found = {(f.spot, f.rule) for f in seen}
    named_wanted = {(e.spot, e.rule) for e in wanted}
    missed = [
        e
        for e in wanted
        if e.spot not in seen_spots or (e.rule is not None and (e.spot, e.rule) not in named_found)
    ]
    unexpected = [
        f for f in seen if f.spot not in any_rule and (f.spot, f.rule) not in named_wanted
    ]
    return Score(
        expected=Counter(spot.error_code for spot in wanted_spots),
        found=Counter(spot.error_code for spot in seen_spots),
        matched=Counter(spot.error_code for spot in wanted_spots & seen_spots),
        missed=tuple(sorted(missed, key=repr)),
        unexpected=tuple(sorted(unexpected, key=repr)),
    )


def read_expected(legacy_url: str) -> list[Expected]:
    """The truth of a legacy database. Raises psycopg.Error."""
    with psycopg.connect(legacy_url) as connection:
        rows = connection.execute(
            "SELECT error_code, source_table, source_key, rule_id, fault FROM truth.violations"
        ).fetchall()
    return [Expected(Spot(code, table, key), rule, fault) for code, table, key, rule, fault in rows]


def read_found(target_url: str) -> list[Found]:
    """What a migration recorded in the target. Raises psycopg.Error."""
    with psycopg.connect(target_url) as connection:
        rows = connection.execute(
            "SELECT error_code, source_table, source_key, rule_id FROM migration_errors"
        ).fetchall()
    return [
        Found(Spot(code, table.rpartition(".")[2], key), rule) for code, table, key, rule in rows
    ]
