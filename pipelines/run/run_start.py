"""Starts a run in the ledger, unless keys or maps forbid it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipelines.databases.open_databases import Databases
from pipelines.ledger.job_row import RunRecord
from pipelines.ledger.run_rows import RunRequestRecord
from pipelines.maps.changed_maps import decisions_of, refuse_other_maps
from pipelines.maps.contradicting_decisions import refuse_contradictions
from pipelines.maps.run_contexts import run_context
from pipelines.maps.site_decisions import add_site_decisions
from pipelines.planning.changed_specification import Changes, store_changes
from pipelines.planning.load_plans import refuse_repeated_source_keys
from pipelines.planning.stored_plans import forget_plan
from pipelines.preflight.prepared_loads import PreparedLoads
from transforms.model.run_context import GemUse, RunContext


def start_run(
    databases: Databases,
    prepared: PreparedLoads,
    maps: Mapping[str, GemUse],
    changes: Changes,
    request: RunRequestRecord,
    in_process: bool,
) -> RunContext:
    """Store another run of the job, and the changes that come with it.

    Args:
        databases: The connections of the run.
        prepared: The loads, compiled and checked.
        maps: The GEMs of the loads, without the site's decisions.
        changes: The changes of the specification since the previous run.
        request: What the run is asked for.
        in_process: Whether the steps run in this process.

    Returns:
        The context of the run.

    Raises:
        TransfuseError: DATA-004 if source keys are repeated; USER-003 if decisions contradict each
            other, or a load can't go on with other contents of its maps.
    """
    ledger = databases.ledger
    programs, lookups = prepared.programs, prepared.lookups
    refuse_repeated_source_keys(databases, programs)
    labels = {name: use.label for name, use in maps.items()}
    decided = add_site_decisions(ledger, maps)
    refuse_contradictions(ledger, decided)
    replanned = refuse_other_maps(ledger, programs, labels, decided)
    store_changes(ledger, changes)
    for name in replanned:
        forget_plan(ledger, name)
    labels |= {name: table.label for name, table in lookups.items()}
    started_at = prepared.started_at
    decisions = decisions_of(decided)
    record = RunRecord(started_at, request.text, request.digest, labels, decisions)
    with ledger.connection.transaction():
        run = ledger.job.begin_run(record)
        ledger.runs.begin(run, request)
        if changes.definitions:
            ledger.audit.record("accept_changes", ", ".join(changes.definitions))
    referenced = [name for name, program in programs.items() if program.referenced]
    ledger.loads.mark_referenced(referenced)
    context = run_context(databases, programs, decided, lookups, run, started_at)
    return replace(context, in_process=in_process)
