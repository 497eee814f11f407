"""The start of a run in the ledger, unless keys or maps forbid it."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.databases.open_databases import Databases
from pipelines.ledger.job import begin_run, forget_plan, mark_referenced
from pipelines.maps.changed_maps import decisions_of, refuse_other_maps
from pipelines.maps.contradicting_decisions import refuse_contradictions
from pipelines.maps.run_contexts import run_context, with_site_decisions
from pipelines.planning.changed_specification import Changes, take_changes
from pipelines.planning.load_plans import refuse_repeated_source_keys
from pipelines.preflight.prepared_loads import PreparedLoads
from transforms.model.run_context import GemUse, RunContext


def start_run(
    databases: Databases,
    prepared: PreparedLoads,
    maps: Mapping[str, GemUse],
    changes: Changes,
    text: str,
) -> RunContext:
    """Stores another run of the job, and the changes that it brings.

    Args:
        databases: The connections of the run.
        prepared: The loads, compiled and checked.
        maps: The GEMs of the loads, without the site's decisions.
        changes: What of the specification has changed since the run before.
        text: The specification without passwords.

    Returns:
        The context of the run.

    Raises:
        TransfuseError: Where source keys are repeated, decisions contradict each other, or a load
            can't go on with another content of its maps.
    """
    specification, target = databases.specification, databases.target
    programs, lookups = prepared.programs, prepared.lookups
    refuse_repeated_source_keys(databases, programs)
    labels = {name: use.label for name, use in maps.items()}
    decided = with_site_decisions(target, specification, maps)
    refuse_contradictions(target, specification, decided)
    replanned = refuse_other_maps(target, specification, programs, labels, decided)
    take_changes(target, specification, changes)
    for name in replanned:
        forget_plan(target, specification, name)
    labels |= {name: table.label for name, table in lookups.items()}
    started_at = prepared.started_at
    run = begin_run(target, specification, started_at, text, labels, decisions_of(decided))
    referenced = [name for name, program in programs.items() if program.referenced]
    mark_referenced(target, specification, referenced)
    return run_context(databases, programs, decided, lookups, run, started_at)
