"""Settles the references of a load to itself over all its predicted partitions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.violations import ORDINAL
from transforms.keys.candidate_rows import first_rows
from transforms.keys.source_keys import source_keys
from transforms.model.field_program import FieldProgram
from transforms.model.program import LoadProgram
from transforms.prediction.predicted_partition import PredictedPartition, ordinals_of
from transforms.prediction.predicted_references import SKIPPED, OpenField, SelfReferences
from transforms.references.check import key_texts
from transforms.references.parent_lookup import comparable

ExistingKeys = Callable[[FieldProgram, Collection[str]], Collection[str]]
"""Gives those of the keys that a field refers to which the target had before the job."""

Starts = npt.NDArray[np.int64]
"""The number of the first candidate of each partition, and of all candidates."""


def reference_keys(
    rows: pa.RecordBatch, program: LoadProgram, fields: Collection[FieldProgram], partition_id: str
) -> pa.RecordBatch:
    """The keys of candidates, and the keys that they refer to, as text.

    Args:
        rows: candidates.
        program: their load.
        fields: the fields whose references to the load itself are settled.
        partition_id: their partition.

    Returns:
        A row for each candidate with its ordinal and, for each field, ``key.NAME`` and
        ``ref.NAME``.
    """
    firsts = first_rows(rows)
    columns = {ORDINAL: firsts.column(ORDINAL)}
    for one in fields:
        assert one.reference is not None
        name = one.name
        if one.reference.by_source_key:
            columns[f"key.{name}"] = source_keys(firsts, program, partition_id)
            columns[f"ref.{name}"] = firsts.column(f"out.{name}")
            continue
        parent = program.target_columns()[one.reference.column]
        key = firsts.column(f"out.{one.reference.column}")
        columns[f"key.{name}"] = comparable(key_texts(key, parent), parent, parent)
        kind, values = one.target, firsts.column(f"out.{name}")
        columns[f"ref.{name}"] = comparable(key_texts(values, kind), kind, kind)
    return pa.RecordBatch.from_pydict(columns)


def settle_references(
    partitions: Sequence[PredictedPartition],
    fields: Collection[FieldProgram],
    existing_keys: ExistingKeys,
) -> None:
    """Skips and rejects candidates by what becomes of the candidates that they refer to.

    Args:
        partitions: all partitions of the load, with their ``references``.
        fields: the fields whose references are settled.
        existing_keys: asks for keys that the target had before the job.
    """
    starts = np.cumsum([0, *(p.count for p in partitions)])
    verdicts = np.concatenate([p.verdicts() for p in partitions] or [np.zeros(0, np.int8)])
    # All of them refer to the same rows, by target key or by source key.
    for by_source_key in (False, True):
        group = [f for f in fields if f.reference and f.reference.by_source_key is by_source_key]
        if not group:
            continue
        opened = [_open_field(f, partitions, starts, verdicts, existing_keys) for f in group]
        keys = _referred_keys(group[0].name, partitions, starts, opened)
        settling = SelfReferences(keys, verdicts, opened)
        settling.settle()
        _apply(settling, partitions, starts)


def _open_field(
    field: FieldProgram,
    partitions: Sequence[PredictedPartition],
    starts: Starts,
    verdicts: npt.NDArray[np.int8],
    existing_keys: ExistingKeys,
) -> OpenField:
    references: dict[int, str] = {}
    for start, partition in zip(starts, partitions, strict=False):
        assert partition.references is not None
        places = start + ordinals_of(partition.references)
        texts = partition.references.column(f"ref.{field.name}").to_pylist()
        references |= {
            place: key
            for place, key in zip(places.tolist(), texts, strict=True)
            if key is not None and verdicts[place] != SKIPPED
        }
    existing = set(existing_keys(field, set(references.values())))
    return OpenField(field, references, existing.__contains__)


def _referred_keys(
    name: str,
    partitions: Sequence[PredictedPartition],
    starts: Starts,
    opened: Collection[OpenField],
) -> list[str | None]:
    """The keys of candidates, those alone to which something refers."""
    referred = {key for one in opened for key in one.references.values()}
    keys: list[str | None] = [None] * int(starts[-1])
    for start, partition in zip(starts, partitions, strict=False):
        assert partition.references is not None
        places = start + ordinals_of(partition.references)
        texts = partition.references.column(f"key.{name}").to_pylist()
        for place, key in zip(places.tolist(), texts, strict=True):
            if key in referred:
                keys[place] = key
    return keys


def _apply(
    settled: SelfReferences, partitions: Sequence[PredictedPartition], starts: Starts
) -> None:
    for violation, places in settled.violations:
        for number, ordinals in _by_partition(places, starts).items():
            partitions[number].reject(ordinals, violation)
    for number, ordinals in _by_partition(settled.skipped, starts).items():
        skips = {o: settled.skipped[int(starts[number]) + o] for o in ordinals}
        partitions[number].skip(skips)


def _by_partition(places: Collection[int], starts: Starts) -> dict[int, list[int]]:
    """The ordinals of candidates that are numbered through, by the number of their partition."""
    ordinals: dict[int, list[int]] = {}
    for place in places:
        number = int(np.searchsorted(starts, place, side="right")) - 1
        ordinals.setdefault(number, []).append(place - int(starts[number]))
    return ordinals
