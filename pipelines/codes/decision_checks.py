"""Checks of ``codes import``: do rows have such a code, and are they written already?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from pipelines.databases.open_databases import open_databases
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.violation_filter import ViolationFilter
from pipelines.maps.gem_maps import named_gem
from pipelines.maps.stored_decisions import DecidedMap, DecisionRow, Targets, decisions_in_force
from pipelines.rejects.untranslated_codes import untranslated_codes
from schemas.code_maps.gem import GemCategory, GemMap
from schemas.code_maps.policy import CodeAction, GemPolicy
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.postgres.connections import connect

CODES_NAMED = 20
"""How many codes are named one by one."""


def refuse_unknown_sources(
    specification: Specification,
    file: Path,
    rows: Mapping[DecisionRow, int],
    maps: Mapping[str, DecidedMap],
) -> None:
    """Refuses decisions on what is no code of the map and no value of a rejected row: a decision on
    it would never be used, and is a mistake. ``rows`` have their lines of ``file``.

    The source is read only if there are such decisions, and no earlier one on the same code.

    Raises:
        TransfuseError: USER-001 naming their lines; what reading the source raises.
    """
    sources = {name: set(m.gem.codes.column("source_code").to_pylist()) for name, m in maps.items()}
    doubtful = [row for row in rows if row.looked_up not in sources[row.map]]
    if doubtful:
        with connect(specification.target.url) as target:
            existing = decisions_in_force(JobLedger(target, specification), maps)
        doubtful = [row for row in doubtful if row.shared_by(maps) not in existing]
    if not doubtful:
        return
    with open_databases(specification) as databases:
        codes = untranslated_codes(databases, ViolationFilter())
    rejected = {(code.map, code.looked_up) for code in codes if code.is_decidable}
    wrong = [row for row in doubtful if (row.map, row.looked_up) not in rejected]
    problems = [
        Problem(
            ErrorCode.USER_001,
            f"{row.source!r} is no code of the map '{row.map}', and no rejected row has it",
            f"{file}:{rows[row]}",
            f"write it as 'transfuse rejects export {specification.file}' does, or leave the line"
            " out",
        )
        for row in wrong[:CODES_NAMED]
    ]
    if len(wrong) > CODES_NAMED:
        message = f"and {len(wrong) - CODES_NAMED} more source codes that don't exist"
        problems.append(Problem(ErrorCode.USER_001, message, str(file), "leave them out"))
    if problems:
        raise TransfuseError(problems)


def codes_written_before(
    ledger: JobLedger,
    fresh: Iterable[tuple[str, str, str]],
    before: Targets,
) -> dict[str, tuple[str, ...]]:
    """The codes among ``fresh`` (``DecisionRow.decided``) whose rows may be written already with
    other targets, by load. ``before`` are the decisions that were in force until now."""
    specification = ledger.specification
    decided = list(fresh)
    by_load: dict[str, tuple[str, ...]] = {}
    for load, name in _maps_of_begun_loads(ledger):
        gem = named_gem(specification, specification.folder, name)
        policy = specification.maps[name].policy or GemPolicy()
        systems = (gem.source.names[0], gem.target.names[0])
        of_map = [one for one in decided if one[:2] == systems]
        codes = [one[2] for one in of_map if one in before or _is_written(gem, policy, one[2])]
        if codes:
            message = (gem.source.with_dot(code) for code in codes)
            by_load[load] = tuple(dict.fromkeys((*by_load.get(load, ()), *message)))
    return by_load


def _maps_of_begun_loads(ledger: JobLedger) -> Iterator[tuple[str, str]]:
    """Each load of the job of which rows may be written, with each GEM that its fields use."""
    specification = ledger.specification
    for load in sorted(ledger.loads.read_begun()):
        if load in specification.tables:
            used = {field.map for field in specification.tables[load].fields.values()}
            for name, entry in specification.maps.items():
                if name in used and entry.is_gem:
                    yield load, name


def _is_written(gem: GemMap, policy: GemPolicy, code: str) -> bool:
    """Whether rows with ``code`` are written by what the map says of it."""
    place = pa.compute.index(gem.codes.column("source_code"), code).as_py()
    category = GemCategory.UNKNOWN_CODE
    if place >= 0:
        category = GemCategory(gem.codes.column("category")[place].as_py())
    return policy.action(category) is not CodeAction.REJECT
