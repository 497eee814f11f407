"""The codes of one field, translated: target codes, further rows of clusters, attributes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.translation import Translation
from schemas.column_types import TEXT, ColumnType
from schemas.conversions import AS_WRITTEN
from schemas.errors import ErrorCode
from schemas.sql.expressions import quote
from schemas.violations import ORDINAL, Violation, concat_violations, violations_of
from transforms.mapping.code_translator import CodeTranslator
from transforms.mapping.field_violations import missing_violations
from transforms.mapping.fields import compute_fields
from transforms.model.bound_expression import BoundExpression
from transforms.model.field_maps import CodeTranslation
from transforms.model.field_origins import ComputedValue
from transforms.model.field_program import FieldProgram
from transforms.sql.duckdb_engine import evaluate_each, one_array, select, with_column
from transforms.sql.exposure import expose


def translate_field(
    rows: pa.RecordBatch,
    field: FieldProgram,
    translator: CodeTranslator,
    types: dict[str, ColumnType],
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Translates the codes of a field and computes its value from them.

    Args:
        rows: candidates with ``raw.NAME``, the codes as the source has them.
        field: the field, with a map.
        translator: that map.
        types: PostgreSQL types of the columns that expressions can read.

    Returns:
        The rows, of which a cluster makes several with the same ``_ordinal``, with ``out.NAME``,
        ``bad.NAME`` and the columns that get attributes of the map; and violations
        (VIOLATION_SCHEMA): TRANS-002 and DATA-005 of the map, DATA-001 for values that are
        missing, and those of the value's type.
    """
    used = field.translation
    assert used is not None
    codes = rows.column(f"raw.{field.name}")
    if translator.by_system is not None and used.revisions:
        translation = translator.by_system.translate(codes, *revisions(rows, used, types))
    else:
        translation = translator.translator.translate(codes)
    violations = _violations_of_translation(rows, field, translation)
    rows = _take_translated(rows, field, translation)
    rows, missing = _set_attributes(rows, field, translator, translation)
    violations += missing
    if _is_plain_text(field):
        codes = rows.column(f"raw.{field.name}")
        rows = with_column(rows, f"out.{field.name}", codes)
        if field.required and codes.null_count:
            violations.append(missing_violations(rows, field.required_rule, field.name))
        return rows, concat_violations(violations)
    rows, failed = compute_fields(rows, [_without_translation(field)], types, {})
    return rows, concat_violations([*violations, failed])


def _violations_of_translation(
    rows: pa.RecordBatch, field: FieldProgram, translation: Translation
) -> list[pa.RecordBatch]:
    ordinals = rows.column(ORDINAL)
    violations = []
    for table, code, warning in (
        (translation.rejected, ErrorCode.TRANS_002, False),
        (translation.warned, ErrorCode.TRANS_002, True),
        (translation.noted, ErrorCode.DATA_005, True),
    ):
        for reason in pc.unique(table.column("reason")).to_pylist():
            violation = Violation(code, f"{field.name}.map", field.name, reason, warning)
            which = table.filter(pc.equal(table.column("reason"), reason)).column("index")
            violations.append(violations_of(ordinals.take(which), violation))
    return violations


def _take_translated(
    rows: pa.RecordBatch, field: FieldProgram, translation: Translation
) -> pa.RecordBatch:
    """Repeats the rows of clusters; target codes replace those of the source."""
    index = translation.column("index")
    mask = np.zeros(rows.num_rows, np.bool_)
    mask[translation.rejected.column("index").to_numpy()] = True
    if len(index) != rows.num_rows:
        rows, mask = rows.take(index), mask[index.to_numpy()]
    bad = f"bad.{field.name}"
    rows = with_column(rows, bad, pc.or_(rows.column(bad), pa.array(mask)))
    return with_column(rows, f"raw.{field.name}", translation.column("target_code"))


def _set_attributes(
    rows: pa.RecordBatch,
    field: FieldProgram,
    translator: CodeTranslator,
    translation: Translation,
) -> tuple[pa.RecordBatch, list[pa.RecordBatch]]:
    """Adds the columns that get attributes of the map, and DATA-001 where one is required."""
    violations = []
    bad = f"bad.{field.name}"
    for one in field.attributes:
        column = one.column
        values = translator.attribute(one.attribute, translation).cast(one.type.arrow)
        rows = with_column(rows, f"out.{column}", values)
        rows = with_column(rows, f"bad.{column}", rows.column(bad))
        if one.required and values.null_count:
            violations.append(missing_violations(rows, f"{column}.required", column))
    return rows, violations


def _is_plain_text(field: FieldProgram) -> bool:
    """Whether a target code is the field's value as it is."""
    return (
        field.target.is_textual
        and field.target.length is None
        and field.declared is None
        and field.default is None
    )


def _without_translation(field: FieldProgram) -> FieldProgram:
    """The steps of a field that follow its translation."""
    return replace(
        field,
        origin=ComputedValue(
            BoundExpression(quote(f"raw.{field.name}"), fields=(field.name,)), TEXT
        ),
        transforms=(),
        map=None,
        reading=AS_WRITTEN,
    )


def revisions(
    rows: pa.RecordBatch, translation: CodeTranslation, types: dict[str, ColumnType]
) -> tuple[pa.Array, pa.Array]:
    """The revisions of the ICD that rows are coded in.

    Args:
        rows: candidates.
        translation: a translation, of which ``coded_in`` and ``coded_on`` are evaluated.
        types: PostgreSQL types of the columns that expressions can read.

    Returns:
        The revision that each row names (int8), and the one that was in force at its date
        (int16), as ``SystemTranslator.translate`` takes them.
    """
    selected = []
    for expression, kind in ((translation.coded_in, "TINYINT"), (translation.coded_on, "SMALLINT")):
        sql = "NULL" if expression is None else expression.sql
        selected.append(f"CAST({sql} AS {kind})")
    named, dated = selected
    source = expose("batch", rows.schema.names, types)
    result = evaluate_each(select([f"{named} AS named", f"{dated} AS dated"], source), rows)
    return one_array(result.column("named"), pa.int8()), one_array(
        result.column("dated"), pa.int16()
    )
