"""Decisions on codes that contradict themselves: a target, and that there is none.

``codes import`` takes none of them. Those that somebody writes into ``code_mappings`` by SQL are
refused before a row is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from pipelines.ledger.decision_rows import DecisionPlace
from pipelines.ledger.job_ledger import JobLedger
from schemas.code_maps.spelling import normalise
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.model.run_context import GemUse

_SHOWN = 5


def refuse_contradictions(ledger: JobLedger, maps: Mapping[str, GemUse]) -> None:
    """Refuse a decision that a code has a target and has none.

    Args:
        ledger: The job's.
        maps: The maps with the site's decisions.

    Raises:
        TransfuseError: USER-003 with two statements, of which one has to be run.
    """
    codes: dict[str, None] = {}
    with_target: dict[DecisionPlace, None] = {}
    without: dict[DecisionPlace, None] = {}
    for use in maps.values():
        for code, rows in _decisions_in_force(use):
            if len({row.target_code is None for row in rows}) > 1:
                codes.setdefault(use.gem.source.with_dot(code))
                for row in rows:
                    (without if row.target_code is None else with_target).setdefault(row)
    if not codes:
        return
    more = f" and {len(codes) - _SHOWN} more" if len(codes) > _SHOWN else ""
    removal = ledger.decisions.removal
    raise TransfuseError(
        Problem(
            ErrorCode.USER_003,
            "one decision says of a code that it has a target, and that it has none:"
            f" {', '.join(list(codes)[:_SHOWN])}{more}",
            ledger.decisions.place,
            f"keep the targets: {removal(without)};"
            f" or keep that there is none: {removal(with_target)};",
        )
    )


def _decisions_in_force(use: GemUse) -> Iterator[tuple[str, list[DecisionPlace]]]:
    """The codes, each with the rows of its last decision."""
    written = pa.array([source for source, *_ in use.site], pa.string())
    codes = normalise(written, use.gem.source, use.repair.case).to_pylist()
    newest: dict[str, int] = {}
    for code, (_, _, decision, _) in zip(codes, use.site, strict=True):
        newest[code] = max(decision, newest.get(code, decision))
    in_force: dict[str, list[DecisionPlace]] = {}
    for code, (source, target, decision, name) in zip(codes, use.site, strict=True):
        if decision == newest[code]:
            row = DecisionPlace(use.gem.source, use.gem.target, source, target, name)
            in_force.setdefault(code, []).append(row)
    yield from in_force.items()
