"""The codes that a field is given, before any map has translated them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from schemas.sql.expressions import quote
from transforms.mapping.field_translation import revisions
from transforms.mapping.fields import compute_fields
from transforms.mapping.loaded_maps import Maps
from transforms.mapping.stages import prepare, types_of
from transforms.model.bound_expression import BoundExpression
from transforms.model.program import FieldProgram, LoadProgram
from transforms.model.source_rows import SourceRows


class RawCodes(NamedTuple):
    """The code of each row (string), the revision of the ICD that the row names (int8), and what
    was in force at its date (int16), as ``SystemTranslator.translate`` takes them. The date is null
    where only a parent's row or another translation has it."""

    codes: pa.Array
    told: pa.Array
    in_force: pa.Array


def raw_codes(
    source: SourceRows, program: LoadProgram, field: FieldProgram, maps: Maps
) -> RawCodes | None:
    """The code of each row of ``source.batch`` that ``field`` would have translated.

    None where it rests on another translation or on a parent's row.
    """
    # A field's value lists what its judges read as well.
    judges = {name for e in (field.coded_in, field.coded_on) if e is not None for name in e.fields}
    names = [n for n in field.value.fields if n not in judges or _reads(field.value, n)]
    needed = None if '"take.' in field.value.sql else _sources_of(program, names)
    if needed is None:
        return None
    judged_by: list[BoundExpression | None] = []
    for expression in (field.coded_in, field.coded_on):
        if expression is None or '"take.' in expression.sql:
            read = None
        else:
            read = _sources_of(program, expression.fields)
        judged_by.append(None if read is None else expression)
        needed |= read or {}
    told, dated = judged_by
    read_alone = tuple(name for name in field.value.fields if name in needed)
    value = replace(field.value, fields=read_alone)
    known = replace(field, value=value, coded_in=told, coded_on=dated)
    rows, _ = prepare(source, program, "")
    types = types_of(program)
    rows, _ = compute_fields(rows, [*needed.values(), known], types, maps.lookups)
    codes = rows.column(f"raw.{field.name}").cast(pa.string())
    return RawCodes(codes, *revisions(rows, known, types))


def _reads(expression: BoundExpression, name: str) -> bool:
    column = f"out.{name}"
    return any(quote(seen) in expression.sql for seen in (column, f"{column}::value"))


def _sources_of(program: LoadProgram, names: Sequence[str]) -> dict[str, FieldProgram] | None:
    """The fields with these names and all that they are computed from.

    None where one of them rests on a translation or on a parent's row.
    """
    by_name = {field.name: field for field in program.fields}
    found: dict[str, FieldProgram] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        field = by_name.get(name)
        if field is None or '"take.' in field.value.sql:
            return None
        if field.gem is not None or field.reference is not None:
            return None
        found[name] = field
        waiting += [read for read in field.value.fields if read not in found]
    return found
