"""The GEM maps that loads use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.databases.open_databases import Databases
from schemas.code_maps.gem import GemMap
from schemas.code_maps.gem_file import packaged_gem, read_gem
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import Repair
from schemas.code_maps.target_check import target_check
from schemas.code_maps.translation import Notation
from schemas.errors import Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.model.program import LoadProgram
from transforms.model.run_context import GemUse


def gem_uses(databases: Databases, programs: Mapping[str, LoadProgram]) -> dict[str, GemUse]:
    """The GEM maps that the loads use, without the site's own decisions.

    Raises TransfuseError (SYS-004) for a file that is missing, isn't a GEM or isn't a release.
    """
    specification = databases.specification
    fields = [f for p in programs.values() for f in p.fields]
    translations = [f.translation for f in fields if f.translation is not None]
    used = {t.gem for t in translations}
    mixed = {t.gem for t in translations if t.revisions}
    uses: dict[str, GemUse] = {}
    problems: list[Problem] = []
    for name in sorted(used):
        entry = specification.maps[name]
        gem: GemMap | None = None
        check = None
        try:
            gem = named_gem(specification, specification.folder, name)
            action = entry.checks_targets(name in mixed)
            if action is not None:
                check = target_check(gem, action, entry.release_in(specification.folder))
        except TransfuseError as error:
            of_map = "packaged" if entry.gem is None else "gem"
            below = of_map if gem is None else "release"
            if getattr(entry, below) is None:
                problems += error.problems
                continue
            for problem in error.problems:
                message = (
                    f"{problem.message} ({problem.where})" if problem.where else problem.message
                )
                problems.append(entry.problem(message, below, remedy=problem.remedy))
            continue
        uses[name] = GemUse(
            gem,
            entry.policy or GemPolicy(),
            entry.notation or Notation.AS_SOURCE,
            entry.repair or Repair(),
            check=check,
        )
    if problems:
        raise TransfuseError(problems)
    return uses


def named_gem(specification: Specification, folder: Path, name: str) -> GemMap:
    """The GEM of an entry of ``maps``, from its file or packaged.

    Raises TransfuseError (SYS-004) as ``read_gem`` and ``packaged_gem`` do.
    """
    entry = specification.maps[name]
    if entry.gem is None:
        return packaged_gem(name, entry.direction)
    return read_gem(name, folder / entry.gem)
