"""The GEMs of a job's loads together with the decisions of the site."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.databases.open_databases import Databases
from pipelines.maps.contradicting_decisions import refuse_contradictions
from pipelines.maps.gem_maps import gem_uses
from pipelines.maps.site_decisions import add_site_decisions
from transforms.model.program import LoadProgram
from transforms.model.run_context import GemUse


def read_decided_maps(
    databases: Databases, programs: Mapping[str, LoadProgram]
) -> dict[str, GemUse]:
    """Reads the GEMs that the loads use, and the site's decisions on their codes.

    Args:
        databases: The open sources and the target.
        programs: The compiled loads by name.

    Returns:
        The maps by name, with the decisions that are in force.

    Raises:
        TransfuseError: SYS-004 for a file that can't be used, else as ``add_site_decisions`` and
            ``refuse_contradictions`` do.
    """
    maps = add_site_decisions(databases.ledger, gem_uses(databases, programs))
    refuse_contradictions(databases.ledger, maps)
    return maps
