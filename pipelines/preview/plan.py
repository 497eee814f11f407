"""``plan``: what a migration would do, from a sample of the rows or all. Nothing is written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

import pyarrow as pa

from pipelines.connections.database_errors import translate_errors
from pipelines.connections.patient_connections import retrying_of
from pipelines.databases.lost_sources import run_until_sources_last
from pipelines.databases.open_databases import Databases, open_databases
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.job import stored_job_if_readable
from pipelines.maps.decided_maps import read_decided_maps
from pipelines.maps.run_contexts import (
    begun_loads,
    complete_loads,
    partition_bounds,
    run_context,
    workers_of,
)
from pipelines.planning.load_names import refuse_unknown_loads
from pipelines.planning.load_plans import refuse_repeated_source_keys
from pipelines.preflight.prepared_loads import prepare_loads
from pipelines.preview.plan_scope import PlanScope
from schemas.errors import ExitStatus, Problem, TransfuseError
from schemas.specification.load_order import levels
from schemas.specification.root import Specification
from transforms.ledger.error_budgets import BrokenBudget, broken_budgets_of_load
from transforms.mapping.loaded_maps import new_maps
from transforms.model.field_program import FieldProgram
from transforms.model.program import LoadProgram
from transforms.model.run_context import RunContext
from transforms.postgres.retries import retried
from transforms.postgres.snapshot import SnapshotGone
from transforms.prediction.load_prediction import LoadPredictor, Prediction, ViolationKind
from transforms.prediction.predictable import PredictablePart, predictable_part
from transforms.prediction.predicted_candidates import candidates_of
from transforms.prediction.predicted_parents import ForeseenParents, PredictedParents
from transforms.prediction.predicted_references import settled_fields
from transforms.prediction.target_refusals import TargetRefusals
from transforms.references.check import typed_keys
from transforms.references.parent_lookup import ask_target
from transforms.references.target_parents import ParentIndexes, TargetParents


@dataclass(frozen=True)
class PlannedLoad:
    """A load: how it is divided, and what is predicted of its ``rows`` from ``sampled`` ones.

    ``sampled`` are rows of the source, as ``rows`` are: one may give several candidates, or none.
    ``planning`` are the seconds that dividing it took, ``work`` those that one worker takes
    to read and check all rows. ``not_predicted`` says which of its checks only the migration
    itself makes.
    """

    into: str
    level: int
    rows: int
    partitions: int
    sampled: int
    prediction: Prediction
    planning: float
    work: float
    not_predicted: tuple[str, ...]

    def estimate(self, count: int) -> int:
        """Of all rows, what ``count`` of the sampled ones stand for."""
        if self.sampled == self.rows:
            return count
        return round(count * self.rows / self.sampled) if self.sampled else 0

    @property
    def estimated_kinds(self) -> dict[ViolationKind, int]:
        """Rows by kind of violation, most first, warnings last."""
        kinds = self.prediction.kinds.items()
        ordered = sorted(kinds, key=lambda kind: (kind[0].warning, -kind[1], str(kind[0])))
        return {kind: self.estimate(count) for kind, count in ordered}


@dataclass(frozen=True)
class Plan:
    """What a migration would do. ``seconds`` estimates how long it takes on this machine.

    ``sources`` are the connections that it needs to each source, ``target`` those to the
    target; ``broken`` the error budgets that it would break; ``warnings`` what the servers were
    found to do that doesn't keep it from starting. ``maps`` names the GEMs of its codes, and the
    releases that their targets are held against. ``problems`` are those of loads
    whose rows the source can't give: they have no entry in ``loads``.
    """

    job: str
    levels: tuple[tuple[str, ...], ...]
    loads: Mapping[str, PlannedLoad]
    seconds: float
    sources: Mapping[str, int]
    target: int
    broken: tuple[BrokenBudget, ...]
    maps: Mapping[str, str]
    warnings: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def rows(self) -> int:
        return sum(load.rows for load in self.loads.values())

    @property
    def sampled(self) -> int:
        return sum(load.sampled for load in self.loads.values())

    def by_code(self, warnings: bool) -> dict[str, int]:
        """Violations by code, or warnings."""
        total: Counter[str] = Counter()
        for load in self.loads.values():
            for kind, count in load.estimated_kinds.items():
                if kind.warning is warnings:
                    total[kind.code] += count
        return dict(sorted(total.items()))


START = 3.5
"""Seconds that a migration takes beside its rows: Beam starts, its graph is built."""

WRITING = 2.5
"""What writing takes of processor time, server included, for each second of reading and
checking. Measured: 1.7 for a table with no more than a primary key, 3.9 for the demo's
tables with foreign keys, checks and triggers."""


def make_plan(specification: Specification, scope: PlanScope) -> Plan:
    """Reads the rows of each load that ``scope`` means, and predicts.

    Raises TransfuseError for what would keep the migration from being started, and USER-001 for a
    load in ``scope`` that doesn't exist.
    """
    refuse_unknown_loads(specification, scope.loads)
    return run_until_sources_last(specification, lambda: _made_plan(specification, scope))


def _made_plan(specification: Specification, scope: PlanScope) -> Plan:
    with open_databases(specification) as databases:
        ensure_current_version(databases.target, specification)
        job = stored_job_if_readable(databases.target, specification)
        prepared = prepare_loads(databases, job)
        maps = read_decided_maps(databases, prepared.programs)
        refuse_repeated_source_keys(databases, prepared.programs)
        context = run_context(databases, prepared.programs, maps, prepared.lookups)
        return replace(_Planner(databases, context, scope).plan(), warnings=prepared.warnings)


class _Planner:
    def __init__(self, databases: Databases, context: RunContext, scope: PlanScope) -> None:
        self.databases = databases
        self.specification = databases.specification
        self.context = context
        self.scope = scope
        self.maps = new_maps(context.maps, context.lookups)
        self.loaded = complete_loads(databases.target, self.specification)
        self.begun = begun_loads(databases.target, self.specification)
        self.asked = _asked(context.programs)

    def plan(self) -> Plan:
        order = [
            [name for name in level if self.scope.includes(name)]
            for level in levels(self.specification, self.databases.foreign_keys)
        ]
        predicted: dict[str, PlannedLoad] = {}
        problems: list[Problem] = []
        for number, level in enumerate(order):
            parents = self._parents(predicted)
            for name in level:
                load = self._load_or_problem(number, name, parents)
                if isinstance(load, Problem):
                    problems.append(load)
                else:
                    predicted[name] = load
        workers = workers_of(self.specification)
        seconds = START
        for load in predicted.values():
            seconds += load.planning + load.work * (1 + WRITING) / workers
        return Plan(
            self.specification.job,
            tuple(tuple(level) for level in order if level),
            {name: predicted[name] for name in self.specification.tables if name in predicted},
            seconds,
            dict.fromkeys(self.specification.named_sources, workers + 1),
            workers + 2,
            tuple(self._broken(predicted)),
            {name: use.label for name, use in self.context.maps.items()},
            problems=tuple(problems),
        )

    def _load_or_problem(
        self, level: int, name: str, parents: ForeseenParents
    ) -> PlannedLoad | Problem:
        """The load, or why its source can't give its rows: other loads are foreseen then too."""
        try:
            return self._load(level, name, parents)
        except TransfuseError as error:
            if isinstance(error, SnapshotGone) or error.status is ExitStatus.REFUSED:
                raise
            source = self.context.programs[name].source
            loss = self.databases.sources[source].loss()
            if loss is not None:
                raise SnapshotGone(loss, ExitStatus.INCOMPLETE) from error
            return error.problems[0]

    def _load(self, level: int, name: str, parents: ForeseenParents) -> PlannedLoad:
        program = self.context.programs[name]
        begun = time.monotonic()
        in_source = f"table {name}, in the source"
        source_of_load = self.databases.sources[program.source]
        bounds = partition_bounds(self.specification)
        with translate_errors(in_source):
            partitions = retried(
                retrying_of(self.specification),
                lambda: source_of_load.partitions(program, bounds),
                in_source,
            )
        planned = time.monotonic()
        rows = sum(p.rows for p in partitions)
        sample = self.scope.sample(partitions)
        absent = [
            f.reference
            for f in program.fields
            if f.reference and (f.reference.deferred or not parents.knows(f.reference, f.target))
        ]
        part = predictable_part(program, absent)
        refusals = TargetRefusals(
            self.databases.target, part.program, part.unknown, name in self.begun
        )
        whole = sum(p.rows for p in sample) == rows
        settled = settled_fields(program) if whole else []
        settled = [f for f in settled if f.name in part.unchecked]
        predictor = LoadPredictor(part, self.asked.get(name, ()), refusals, settled, self._standing)
        with closing(self.context.sources[program.source].open()) as source:
            for partition in sample:
                with translate_errors(in_source):
                    found = source.read(program, partition)
                predictor.add(
                    partition.id,
                    candidates_of(found, part.program, partition.id, self.maps, parents),
                )
        prediction = predictor.finish()
        work = time.monotonic() - planned
        return PlannedLoad(
            into=str(program.table),
            level=level,
            rows=rows,
            partitions=len(partitions),
            sampled=prediction.read,
            prediction=prediction,
            planning=planned - begun,
            work=work * rows / prediction.read if prediction.read else 0.0,
            not_predicted=(
                *_not_predicted(
                    program,
                    part,
                    parents,
                    prediction.read < rows,
                    {f.name for f in settled},
                    self.scope,
                ),
                *refusals.not_predicted,
            ),
        )

    def _standing(self, field: FieldProgram, keys: Collection[str]) -> Collection[str]:
        """Which of the keys, as text, stand in the target under the field's reference."""
        reference = field.reference
        if reference is None or reference.by_source_key or not keys:
            return ()
        asked = pa.array(sorted(keys), pa.string())
        column = reference.table.column(reference.column)
        assert column is not None
        stands = ask_target(
            self.databases.target,
            reference.table,
            reference.column,
            typed_keys(asked, column.type),
        )
        return set(asked.filter(stands).to_pylist())

    def _parents(self, predicted: Mapping[str, PlannedLoad]) -> ForeseenParents:
        """What is known of parents when the loads of ``predicted`` have been looked at."""
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

    def _broken(self, predicted: Mapping[str, PlannedLoad]) -> list[BrokenBudget]:
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


def _asked(programs: Mapping[str, LoadProgram]) -> dict[str, set[str]]:
    """For each load the columns that its children ask for."""
    asked: dict[str, set[str]] = {}
    for program in programs.values():
        for field in program.fields:
            if field.reference is None or field.reference.deferred:
                continue
            taken = {column for _, column, _ in field.reference.take}
            for parent in field.reference.parents:
                asked.setdefault(parent, set()).update(taken | {field.reference.column})
    return asked


def _not_predicted(
    program: LoadProgram,
    part: PredictablePart,
    parents: ForeseenParents,
    sampled: bool,
    settled: Collection[str],
    scope: PlanScope,
) -> list[str]:
    told = []
    for field in program.fields:
        reference = field.reference
        if reference is None or field.name not in part.unchecked or field.name in settled:
            continue
        if reference.deferred:
            why = "is settled in a second pass"
        elif parents.has(reference):
            why = "only the target can compare"
        elif all(map(scope.includes, reference.parents)):
            why = "was read in part"
        else:
            why = "this plan leaves out: name it with --table too"
        told.append(f"{field.name}: the reference to {', '.join(reference.parents)}, which {why}")
    told += [f"{name}: it depends on such a reference" for name in part.left_out]
    told += [f"{rule.name}: it compares rows with each other" for rule in program.group_rules]
    if program.finds_duplicates and not part.knows_keys:
        told.append("duplicate keys: they depend on such a reference")
    elif program.finds_duplicates and sampled:
        told.append("duplicate keys of which only one is in the sample")
    return told
