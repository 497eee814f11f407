"""``plan``: what a migration would do, from a sample of the rows or all. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from pipelines.databases.lost_sources import run_until_sources_last
from pipelines.databases.open_databases import Databases, open_databases
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.maps.decided_maps import read_decided_maps
from pipelines.maps.run_contexts import run_context, workers_of
from pipelines.planning.load_names import refuse_unknown_loads
from pipelines.planning.load_plans import refuse_repeated_source_keys
from pipelines.preflight.prepared_loads import prepare_loads
from pipelines.preview.load_planner import LoadPlanner
from pipelines.preview.migration_plan import MigrationPlan, PlannedLoad
from pipelines.preview.plan_scope import PlanScope
from schemas.errors import ExitStatus, Problem, TransfuseError
from schemas.specification.load_order import levels
from schemas.specification.root import Specification
from transforms.ledger.error_budgets import BrokenBudget, broken_budgets_of_load
from transforms.model.run_context import RunContext
from transforms.postgres.snapshot import SnapshotGone
from transforms.prediction.predicted_parents import ForeseenParents, PredictedParents
from transforms.references.target_parents import ParentIndexes, TargetParents

START = 3.5
"""Seconds that a migration takes beside its rows: Beam starts, its graph is built."""

WRITING = 2.5
"""What writing takes of processor time, server included, for each second of reading and
checking. Measured: 1.7 for a table with no more than a primary key, 3.9 for the demo's
tables with foreign keys, checks and triggers."""


def plan(specification: Specification, scope: PlanScope | None = None) -> MigrationPlan:
    """Predict what a migration would do, from a sample of the rows or all; nothing is written.

    Args:
        specification: That of the job.
        scope: The loads and the number of their rows to read; None means a sample of each load.

    Returns:
        The plan.

    Raises:
        TransfuseError: For everything that would keep the migration from being started; USER-001
            for a load in ``scope`` that doesn't exist.
    """
    scope = scope or PlanScope()
    refuse_unknown_loads(specification, scope.loads)
    return run_until_sources_last(specification, lambda: _plan(specification, scope))


def _plan(specification: Specification, scope: PlanScope) -> MigrationPlan:
    with open_databases(specification) as databases:
        ensure_current_version(databases.ledger)
        job = databases.ledger.job.read_if_allowed()
        prepared = prepare_loads(databases, job)
        maps = read_decided_maps(databases, prepared.programs)
        refuse_repeated_source_keys(databases, prepared.programs)
        context = run_context(databases, prepared.programs, maps, prepared.lookups)
        context = replace(context, verb="plan")
        return replace(plan_loads(databases, context, scope), warnings=prepared.warnings)


def plan_loads(databases: Databases, context: RunContext, scope: PlanScope) -> MigrationPlan:
    """Predict what a migration would do with databases that are open and loads that are compiled.

    Args:
        databases: The open databases.
        context: That of a run with the compiled loads.
        scope: The loads, the number of their rows to read, and the time for it.

    Returns:
        The plan, without warnings about the servers.

    Raises:
        TransfuseError: A source has lost its snapshot, or refuses to give rows.
    """
    return _Planner(databases, context, scope).plan()


class _Planner:
    def __init__(self, databases: Databases, context: RunContext, scope: PlanScope) -> None:
        self.databases = databases
        self.specification = databases.specification
        self.context = context
        self.scope = scope
        self.loads = LoadPlanner(databases, context, scope)
        self.loaded = databases.ledger.loads.read_complete()

    def plan(self) -> MigrationPlan:
        order = [
            [name for name in level if self.scope.includes(name)]
            for level in levels(self.specification, self.databases.foreign_keys)
        ]
        predicted: dict[str, PlannedLoad] = {}
        problems: list[Problem] = []
        for number, level in enumerate(order):
            parents = self._parents(predicted)
            for name in level:
                if self.scope.is_over(time.monotonic()):
                    continue
                load = self._load_or_problem(number, name, parents)
                if isinstance(load, Problem):
                    problems.append(load)
                else:
                    predicted[name] = load
        workers = workers_of(self.specification)
        seconds = START
        for load in predicted.values():
            seconds += load.planning + load.work * (1 + WRITING) / workers
        return MigrationPlan(
            self.specification.job,
            tuple(tuple(level) for level in order if level),
            {name: predicted[name] for name in self.specification.tables if name in predicted},
            seconds,
            dict.fromkeys(self.specification.named_sources, workers + 1),
            workers + 2,
            tuple(self._broken_budgets(predicted)),
            {name: use.label for name, use in self.context.maps.items()},
            problems=tuple(problems),
        )

    def _load_or_problem(
        self, level: int, name: str, parents: ForeseenParents
    ) -> PlannedLoad | Problem:
        """The load, or why its source can't give its rows: other loads are planned all the same."""
        try:
            return self.loads.plan(level, name, parents)
        except TransfuseError as error:
            if isinstance(error, SnapshotGone) or error.status is ExitStatus.REFUSED:
                raise
            source = self.context.programs[name].source
            loss = self.databases.sources[source].loss()
            if loss is not None:
                raise SnapshotGone(loss, ExitStatus.INCOMPLETE) from error
            return error.problems[0]

    def _parents(self, predicted: Mapping[str, PlannedLoad]) -> ForeseenParents:
        """The parents that the target has, and those that are predicted for whole loads."""
        whole = {
            name: load.prediction.parents
            for name, load in predicted.items()
            if load.prediction.parents is not None and load.sampled == load.rows
        }
        return ForeseenParents(
            TargetParents(self.context, ParentIndexes()),
            PredictedParents(whole, self.databases.target),
            self.loaded,
        )

    def _broken_budgets(self, predicted: Mapping[str, PlannedLoad]) -> list[BrokenBudget]:
        return [
            broken
            for name, load in predicted.items()
            for broken in broken_budgets_of_load(
                self.context.budget,
                name,
                load.estimate(load.prediction.accepted + load.prediction.rejected),
                load.estimate(load.prediction.rejected),
                {
                    code.value: load.estimate(count)
                    for code, count in load.prediction.rejected_by.items()
                },
            )
        ]
