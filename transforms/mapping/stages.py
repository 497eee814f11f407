"""The stages of a load as functions on batches: each takes rows and gives rows and violations."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from schemas.column_types import ColumnType
from schemas.errors import ErrorCode
from schemas.violations import ORDINAL, Violation, concat_violations, violations_of
from transforms.keys.source_keys import source_keys
from transforms.mapping.conditions import apply_skips, check_rules
from transforms.mapping.field_translation import translate_field
from transforms.mapping.fields import compute_fields, layers_of
from transforms.mapping.loaded_maps import Maps
from transforms.model.field_origins import SOURCE_KEY, SourceKeyText
from transforms.model.field_program import FieldStage
from transforms.model.program import SKIP, LoadProgram
from transforms.model.source_rows import FILE, SourceRows
from transforms.sql.lost_values import mark_lost


def prepare(
    source: SourceRows, program: LoadProgram, partition_id: str
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Makes candidates of source rows.

    Args:
        source: rows as a source has read them.
        program: their load.
        partition_id: their partition.

    Returns:
        The rows with ``_ordinal``, ``_skip``, and ``_source_key`` where a field is made of it; and
        violations (VIOLATION_SCHEMA). Rows with values that no column type of a batch can hold get
        DATA-003, and ``lost.COLUMN``, so that nothing is decided by their NULL. Those that can't be
        read have their violation, and no row.
    """
    count = source.batch.num_rows
    ordinals = source.ordinals
    if ordinals is None:
        ordinals = pa.array(np.arange(count, dtype=np.int32))
    rows = source.batch.append_column(ORDINAL, ordinals)
    rows = rows.append_column(SKIP, pa.nulls(count, pa.string()))
    if any(isinstance(field.origin, SourceKeyText) for field in program.fields):
        rows = rows.append_column(SOURCE_KEY, source_keys(rows, program, partition_id))
    violations = [_of_unread(source.unread)]
    for column, mask in source.unrepresentable.items():
        name = column.removeprefix("src.")
        reason = _why_unrepresentable(name, program)
        if column in source.oversized:
            reason = "too_large"
        violation = Violation(ErrorCode.DATA_003, f"{name}.type", name, reason)
        violations.append(violations_of(ordinals.filter(mask), violation))
        rows = mark_lost(rows, column, mask)
    return rows, concat_violations(violations)


def _why_unrepresentable(name: str, program: LoadProgram) -> str:
    """Why a value of the source can't travel, by the type of its column."""
    kind = program.column_types().get(name)
    if kind is None or kind.is_textual:
        return "character_not_in_repertoire"
    if kind.name in ("json", "union"):
        return "no_json"
    if kind.name == "time":
        return "inexact"
    in_file = program.relations[0].column(FILE) is not None
    return (
        "beyond_time" if in_file and kind.name in ("timestamp", "timestamptz") else "out_of_range"
    )


def _of_unread(unread: pa.RecordBatch) -> pa.RecordBatch:
    """The violations of rows that can't be read."""
    return concat_violations(
        violations_of(
            [row[ORDINAL]], Violation(ErrorCode(row["code"]), row["rule"], None, row["reason"])
        )
        for row in unread.to_pylist()
    )


def types_of(program: LoadProgram) -> dict[str, ColumnType]:
    """The PostgreSQL types of the columns that expressions can read, by batch column."""
    types = {f"src.{name}": kind for name, kind in program.column_types().items()}
    types |= {f"out.{name}": kind for name, kind in program.target_columns().items()}
    for field in program.fields:
        if field.reference is not None:
            types |= {f"take.{alias}": kind for alias, _, kind in field.reference.take}
    return types


def map_fields(
    rows: pa.RecordBatch, program: LoadProgram, maps: Maps
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Applies the skips that read source columns alone, and computes the fields that do."""
    types = types_of(program)
    early = [skip for skip in program.skips if not skip.late]
    rows, first = apply_skips(rows, early, types)
    rows, second = compute_fields(rows, program.stage(FieldStage.MAP), types, maps.lookups)
    return rows, concat_violations([first, second])


def translate_codes(
    rows: pa.RecordBatch, program: LoadProgram, maps: Maps
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Computes the fields with a GEM map: a cluster gives its candidate further rows."""
    return _compute_and_translate(rows, program, FieldStage.TRANSLATE, maps)


def derive_fields(
    rows: pa.RecordBatch, program: LoadProgram, maps: Maps
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Computes the fields that read other target fields."""
    return _compute_and_translate(rows, program, FieldStage.DERIVE, maps)


def validate_rows(
    rows: pa.RecordBatch, program: LoadProgram, maps: Maps
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Computes what reads references, then applies the remaining skips and all rules."""
    types = types_of(program)
    rows, first = _compute_and_translate(rows, program, FieldStage.AFTER_REFERENCES, maps)
    rows, second = apply_skips(rows, [skip for skip in program.skips if skip.late], types)
    third = check_rules(rows, program.rules, types)
    return rows, concat_violations([first, second, third])


def _compute_and_translate(
    rows: pa.RecordBatch,
    program: LoadProgram,
    stage: FieldStage,
    maps: Maps,
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    types = types_of(program)
    violations = []
    # A later layer can read a code of an earlier one, which has to be translated by then.
    for layer in layers_of(program.stage(stage)):
        rows, failed = compute_fields(rows, layer, types, maps.lookups)
        violations.append(failed)
        for field in layer:
            if field.translation is not None:
                translator = maps.translators[field.translation.gem]
                rows, failed = translate_field(rows, field, translator, types)
                violations.append(failed)
    return rows, concat_violations(violations)
