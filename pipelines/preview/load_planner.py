"""Plans one load: divides it, reads a sample of its rows, and predicts what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing

import pyarrow as pa

from pipelines.connections.database_errors import translate_errors
from pipelines.connections.patient_connections import retrying_of
from pipelines.databases.open_databases import Databases
from pipelines.maps.run_contexts import (
    partition_bounds,
)
from pipelines.preview.migration_plan import PlannedLoad
from pipelines.preview.plan_scope import PlanScope
from transforms.mapping.loaded_maps import new_maps
from transforms.model.field_program import FieldProgram
from transforms.model.parent_reference import Reference
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.run_context import RunContext
from transforms.postgres.retries import run_with_retries
from transforms.prediction.load_predictor import LoadPredictor
from transforms.prediction.predictable import PredictablePart, predictable_part
from transforms.prediction.predicted_candidates import candidates_of
from transforms.prediction.predicted_parents import ForeseenParents
from transforms.prediction.predicted_references import settled_fields
from transforms.prediction.target_refusals import TargetRefusals
from transforms.references.check import typed_keys
from transforms.references.parent_lookup import ask_target


class LoadPlanner:
    """Plans loads one by one, parents before their children."""

    def __init__(self, databases: Databases, context: RunContext, scope: PlanScope) -> None:
        self._databases = databases
        self._specification = databases.specification
        self._context = context
        self._scope = scope
        self._maps = new_maps(context.maps, context.lookups)
        self._begun = databases.ledger.loads.read_begun()
        self._parent_columns = _columns_asked_for(context.programs)

    def plan(self, level: int, name: str, parents: ForeseenParents) -> PlannedLoad:
        """Plan a load.

        Args:
            level: The level in which it runs, from 0.
            name: The load.
            parents: Predictions for loads of the levels before.

        Returns:
            The load's partitions, and the prediction.

        Raises:
            TransfuseError: The source can't give its rows.
        """
        program = self._context.programs[name]
        begun = time.monotonic()
        partitions = self._divide(program)
        planned = time.monotonic()
        rows = sum(p.rows for p in partitions)
        sample = self._scope.sample(partitions)
        part = predictable_part(program, _unknown_parents(program, parents))
        refusals = TargetRefusals(
            self._databases.target, part.program, part.unknown, name in self._begun
        )
        is_whole = sum(p.rows for p in sample) == rows
        settled = settled_fields(program) if is_whole else []
        settled = [f for f in settled if f.name in part.unchecked]
        predictor = LoadPredictor(
            part, self._parent_columns.get(name, ()), refusals, settled, self._existing_keys
        )
        self._read(program, part, sample, parents, predictor)
        prediction = predictor.finish()
        work = time.monotonic() - planned
        is_sample = prediction.read < rows
        settled_names = {f.name for f in settled}
        gaps = _not_predicted(program, part, parents, is_sample, settled_names, self._scope)
        return PlannedLoad(
            into=str(program.table),
            level=level,
            rows=rows,
            partitions=len(partitions),
            sampled=prediction.read,
            prediction=prediction,
            planning=planned - begun,
            work=work * rows / prediction.read if prediction.read else 0.0,
            not_predicted=(*gaps, *refusals.not_predicted),
        )

    def _divide(self, program: LoadProgram) -> Sequence[Partition]:
        where = f"table {program.name}, in the source"
        source = self._databases.sources[program.source]
        bounds = partition_bounds(self._specification)
        with translate_errors(where):
            return run_with_retries(
                retrying_of(self._specification),
                lambda: source.partitions(program, bounds),
                where,
            )

    def _read(
        self,
        program: LoadProgram,
        part: PredictablePart,
        sample: Sequence[Partition],
        parents: ForeseenParents,
        predictor: LoadPredictor,
    ) -> None:
        """Read the partitions, and give their candidates to the predictor."""
        address = self._context.sources[program.source]
        with closing(address.open(self._context.reader_name)) as source:
            for partition in sample:
                with translate_errors(f"table {program.name}, in the source"):
                    rows = source.read(program, partition)
                candidates = candidates_of(rows, part.program, partition.id, self._maps, parents)
                predictor.add(partition.id, candidates)

    def _existing_keys(self, field: FieldProgram, keys: Collection[str]) -> Collection[str]:
        """The keys, as text, that exist in the target under the field's reference."""
        reference = field.reference
        if reference is None or reference.by_source_key or not keys:
            return ()
        asked = pa.array(sorted(keys), pa.string())
        column = reference.table.column(reference.column)
        assert column is not None
        exists = ask_target(
            self._databases.target,
            reference.table,
            reference.column,
            typed_keys(asked, column.type),
        )
        return set(asked.filter(exists).to_pylist())


def _unknown_parents(program: LoadProgram, parents: ForeseenParents) -> list[Reference]:
    """The references whose parents can't be foreseen."""
    return [
        f.reference
        for f in program.fields
        if f.reference and (f.reference.deferred or not parents.knows(f.reference, f.target))
    ]


def _columns_asked_for(programs: Mapping[str, LoadProgram]) -> dict[str, set[str]]:
    """For each load the columns that its children ask for."""
    columns: dict[str, set[str]] = {}
    for program in programs.values():
        for field in program.fields:
            if field.reference is None or field.reference.deferred:
                continue
            taken = {column for _, column, _ in field.reference.take}
            for parent in field.reference.parents:
                columns.setdefault(parent, set()).update(taken | {field.reference.column})
    return columns


def _not_predicted(
    program: LoadProgram,
    part: PredictablePart,
    parents: ForeseenParents,
    sampled: bool,
    settled: Collection[str],
    scope: PlanScope,
) -> list[str]:
    gaps = []
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
        gaps.append(f"{field.name}: the reference to {', '.join(reference.parents)}, which {why}")
    gaps += [f"{name}: it depends on such a reference" for name in part.left_out]
    gaps += [f"{rule.name}: it compares rows with each other" for rule in program.group_rules]
    if program.finds_duplicates and not part.knows_keys:
        gaps.append("duplicate keys: they depend on such a reference")
    elif program.finds_duplicates and sampled:
        gaps.append("duplicate keys of which only one is in the sample")
    return gaps
