"""The GEM maps that loads use."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.connected import Connected
from schemas.code_maps.gem_file import packaged_gem, read_gem
from schemas.code_maps.translation import GemPolicy
from schemas.errors import Problem, TransfuseError
from transforms.mapping.program import LoadProgram
from transforms.run_context import GemUse


def gem_uses(databases: Connected, programs: Mapping[str, LoadProgram]) -> dict[str, GemUse]:
    """The GEM maps that the loads use, with the site's own decisions.

    Raises TransfuseError (SYS-004) for a file that is missing or isn't a GEM.
    """
    specification = databases.specification
    used = {f.gem for p in programs.values() for f in p.fields if f.gem is not None}
    uses: dict[str, GemUse] = {}
    problems: list[Problem] = []
    for name in sorted(used):
        entry = specification.maps[name]
        try:
            gem = (
                packaged_gem(name)
                if entry.gem is None
                else read_gem(name, databases.folder / entry.gem)
            )
        except TransfuseError as error:
            for problem in error.problems:
                told = f"{problem.message} ({problem.where})"
                problems.append(entry.problem(told, "gem", remedy=problem.remedy))
            continue
        uses[name] = GemUse(gem, entry.policy or GemPolicy(), entry.notation or "as_source")
    if problems:
        raise TransfuseError(problems)
    return uses
