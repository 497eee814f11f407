"""The stages of a load as functions on batches: each takes rows and gives rows and violations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.by_system import SAME, SystemTranslator
from schemas.code_maps.gem import GemMap
from schemas.code_maps.outcomes import SITE
from schemas.code_maps.translation import GemTranslator, Translation
from schemas.column_types import TEXT, ColumnType
from schemas.errors import ErrorCode
from schemas.expressions import quote
from schemas.violations import ORDINAL, Finding, concat_violations, violations_of
from transforms.mapping.conditions import apply_skips, check_rules
from transforms.mapping.engine import evaluate, one_array, with_column
from transforms.mapping.exposure import exposed
from transforms.mapping.field_steps import MISSING
from transforms.mapping.fields import compute_fields
from transforms.mapping.key_text import key_text
from transforms.mapping.program import SKIP, BoundExpression, FieldProgram, LoadProgram, Stage

SOURCE_KEY = "_source_key"


def prepare(
    source: pa.RecordBatch,
    unrepresentable: Mapping[str, pa.Array],
    program: LoadProgram,
    partition_id: str,
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Makes candidates of source rows: adds ``_ordinal``, ``_skip``, and where a field is
    made of it ``_source_key``.

    ``source`` has the columns ``src.NAME``. ``unrepresentable`` marks values by column that
    no column type of a batch can hold; their rows get DATA-003.
    """
    count = source.num_rows
    ordinals = pa.array(np.arange(count, dtype=np.int32))
    rows = source.append_column(ORDINAL, ordinals)
    rows = rows.append_column(SKIP, pa.nulls(count, pa.string()))
    if any(SOURCE_KEY in field.value.sql for field in program.fields):
        rows = rows.append_column(SOURCE_KEY, source_keys(rows, program, partition_id))
    found = []
    for column, mask in unrepresentable.items():
        name = column.removeprefix("src.")
        textual = pa.types.is_string(source.column(column).type)
        reason = "character_not_in_repertoire" if textual else "out_of_range"
        finding = Finding(ErrorCode.DATA_003, f"{name}.type", name, reason)
        found.append(violations_of(ordinals.filter(mask), finding))
    return rows, concat_violations(found)


def source_keys(rows: pa.RecordBatch, program: LoadProgram, partition_id: str) -> pa.Array:
    """The text that identifies each source row: its key, else its place in the table."""
    if program.source_key:
        types = program.column_types()
        text = key_text([(f"src.{c}", types[c]) for c in program.source_key])
        return one_array(evaluate(f"SELECT {text} AS k FROM batch", rows).column("k"), pa.string())
    if program.with_ctid:
        return rows.column("src.ctid")
    ordinals = rows.column(ORDINAL).cast(pa.string())
    return pc.binary_join_element_wise(pa.scalar(partition_id), ordinals, ":")


def types_of(program: LoadProgram) -> dict[str, ColumnType]:
    """The PostgreSQL types of the columns that expressions can read, by batch column."""
    types = {f"src.{name}": kind for name, kind in program.column_types().items()}
    types |= {f"out.{name}": kind for name, kind in program.target_columns().items()}
    for field in program.fields:
        if field.reference is not None:
            types |= {f"take.{alias}": kind for alias, _, kind in field.reference.take}
    return types


def map_fields(rows: pa.RecordBatch, program: LoadProgram) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Applies the skips that read source columns alone, and computes the fields that do."""
    types = types_of(program)
    early = [skip for skip in program.skips if not skip.late]
    rows, first = apply_skips(rows, early, types)
    rows, second = compute_fields(rows, program.stage(Stage.MAP), types)
    return rows, concat_violations([first, second])


def translate_codes(
    rows: pa.RecordBatch, program: LoadProgram, translators: Mapping[str, CodeTranslator]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Computes the fields with a GEM map: a cluster gives its candidate further rows."""
    return _compute_and_translate(rows, program, Stage.TRANSLATE, translators)


def derive_fields(
    rows: pa.RecordBatch, program: LoadProgram, translators: Mapping[str, CodeTranslator]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Computes the fields that read other target fields."""
    return _compute_and_translate(rows, program, Stage.DERIVE, translators)


def validate_rows(
    rows: pa.RecordBatch, program: LoadProgram, translators: Mapping[str, CodeTranslator]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Computes what reads references, then applies the remaining skips and all rules."""
    types = types_of(program)
    rows, first = _compute_and_translate(rows, program, Stage.AFTER_REFERENCES, translators)
    rows, second = apply_skips(rows, [skip for skip in program.skips if skip.late], types)
    third = check_rules(rows, program.rules, types)
    return rows, concat_violations([first, second, third])


class CodeTranslator:
    """A GEM map in use, and how its rows are labelled; ``by_system`` for columns with codes of
    both systems."""

    def __init__(
        self,
        gem: GemMap,
        translator: GemTranslator,
        by_system: SystemTranslator | None = None,
    ) -> None:
        self.gem = gem
        self.translator = translator
        self.by_system = by_system

    def attribute(self, name: str, translation: Translation) -> pa.Array:
        """A column of ``into`` for the rows of a translation; NULL where nothing was translated."""
        constants = {
            "map": self.gem.label,
            "map_name": self.gem.name,
            "map_version": self.gem.version,
            "map_sha256": self.gem.sha256,
        }
        if name not in constants:
            return translation.column(name)
        category = translation.column("category")
        by_map = pc.if_else(pc.equal(category, SITE), "code_mappings", constants[name])
        by_map = pc.if_else(pc.equal(category, SAME), SAME, by_map)
        return pc.if_else(pc.is_valid(category), by_map, pa.scalar(None, pa.string()))


def _compute_and_translate(
    rows: pa.RecordBatch,
    program: LoadProgram,
    stage: Stage,
    translators: Mapping[str, CodeTranslator],
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    types = types_of(program)
    fields = program.stage(stage)
    rows, violations = compute_fields(rows, fields, types)
    found = [violations]
    for field in fields:
        if field.gem is not None:
            rows, more = _translate(rows, field, translators[field.gem], types)
            found.append(more)
    return rows, concat_violations(found)


def _translate(
    rows: pa.RecordBatch,
    field: FieldProgram,
    translator: CodeTranslator,
    types: dict[str, ColumnType],
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    codes = rows.column(f"raw.{field.name}")
    if translator.by_system is not None and field.is_coded_by_row:
        translation = translator.by_system.translate(codes, *_revisions(rows, field, types))
    else:
        translation = translator.translator.translate(codes)
    ordinals = rows.column(ORDINAL)
    found = []
    for table, code, warning in (
        (translation.rejected, ErrorCode.TRANS_002, False),
        (translation.warned, ErrorCode.TRANS_002, True),
        (translation.noted, ErrorCode.DATA_005, True),
    ):
        for reason in pc.unique(table.column("reason")).to_pylist():
            finding = Finding(code, f"{field.name}.map", field.name, reason, warning)
            which = table.filter(pc.equal(table.column("reason"), reason)).column("index")
            found.append(violations_of(ordinals.take(which), finding))
    index = translation.column("index")
    mask = np.zeros(rows.num_rows, np.bool_)
    mask[translation.rejected.column("index").to_numpy()] = True
    if len(index) != rows.num_rows:
        rows, mask = rows.take(index), mask[index.to_numpy()]
    rejected = pa.array(mask)
    bad = f"bad.{field.name}"
    rows = with_column(rows, bad, pc.or_(rows.column(bad), rejected))
    rows = with_column(rows, f"raw.{field.name}", translation.column("target_code"))
    for column, attribute, kind in field.into:
        values = translator.attribute(attribute, translation).cast(kind.arrow)
        rows = with_column(
            with_column(rows, f"out.{column}", values), f"bad.{column}", rows.column(bad)
        )
        if column in field.into_required and values.null_count:
            found.append(_missing(rows, f"{column}.required", column))
    typed = replace(
        field,
        value=BoundExpression(quote(f"raw.{field.name}"), fields=(field.name,)),
        given=TEXT,
        transforms=(),
        values=None,
        gem=None,
        coded_in=None,
        coded_on=None,
        into=(),
        formats=(),
    )
    if (
        field.target.is_textual
        and field.target.length is None
        and field.declared is None
        and field.default is None
    ):
        codes = rows.column(f"raw.{field.name}")
        rows = with_column(rows, f"out.{field.name}", codes)
        if field.required and codes.null_count:
            found.append(_missing(rows, field.required_rule, field.name))
        return rows, concat_violations(found)
    rows, violations = compute_fields(rows, [typed], types)
    return rows, concat_violations([*found, violations])


def _revisions(
    rows: pa.RecordBatch, field: FieldProgram, types: dict[str, ColumnType]
) -> tuple[pa.Array, pa.Array]:
    """The revision of the ICD that each row names, and the one in force at its date (int8)."""
    selected = []
    for expression in (field.coded_in, field.coded_on):
        sql = "NULL" if expression is None else expression.sql
        selected.append(f"CAST({sql} AS TINYINT)")
    told, dated = selected
    source = exposed("batch", rows.schema.names, types)
    found = evaluate(f"SELECT {told} AS told, {dated} AS dated FROM {source}", rows)
    return one_array(found.column("told"), pa.int8()), one_array(found.column("dated"), pa.int8())


def _missing(rows: pa.RecordBatch, rule: str, column: str) -> pa.RecordBatch:
    """DATA-001 for the rows in which a required column is NULL though it hasn't failed."""
    missing = pc.and_(
        pc.is_null(rows.column(f"out.{column}")), pc.invert(rows.column(f"bad.{column}"))
    )
    finding = Finding(ErrorCode.DATA_001, rule, column, MISSING)
    return violations_of(rows.column(ORDINAL).filter(missing), finding)
