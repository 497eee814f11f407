"""The codes of a field before its map translates them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from transforms.mapping.field_translation import revisions
from transforms.mapping.fields import compute_fields
from transforms.mapping.loaded_maps import Maps
from transforms.mapping.stages import prepare, types_of
from transforms.model.bound_expression import BoundExpression
from transforms.model.field_program import FieldProgram
from transforms.model.program import LoadProgram
from transforms.model.source_rows import SourceRows


class RawCodes(NamedTuple):
    """Codes as ``SystemTranslator.translate`` takes them.

    Attributes:
        codes: the code of each row (string).
        named: the revision of the ICD that the row names (int8).
        in_force: the revision that was in force at its date (int16); NULL where only a parent's
            row or another translation has the date.
    """

    codes: pa.Array
    named: pa.Array
    in_force: pa.Array


def raw_codes(
    source: SourceRows, program: LoadProgram, field: FieldProgram, maps: Maps
) -> RawCodes | None:
    """Computes the codes that a field would have translated.

    Args:
        source: rows of the source.
        program: their load.
        field: a field with a GEM map.
        maps: the maps of the load.

    Returns:
        The code of each row; None where it rests on another translation or on a parent's row.
    """
    translation = field.translation
    if translation is None:
        return None
    value = field.origin.value
    needed = None if '"take.' in value.sql else _sources_of(program, value.fields)
    if needed is None:
        return None
    judged_by: list[BoundExpression | None] = []
    for expression in (translation.coded_in, translation.coded_on):
        if expression is None or '"take.' in expression.sql:
            read = None
        else:
            read = _sources_of(program, expression.fields)
        judged_by.append(None if read is None else expression)
        needed |= read or {}
    named, dated = judged_by
    readable = replace(translation, coded_in=named, coded_on=dated)
    computed = [*needed.values(), replace(field, map=readable)]
    rows, _ = prepare(source, program, "")
    types = types_of(program)
    rows, _ = compute_fields(rows, computed, types, maps.lookups)
    codes = rows.column(f"raw.{field.name}").cast(pa.string())
    return RawCodes(codes, *revisions(rows, readable, types))


def _sources_of(program: LoadProgram, names: Sequence[str]) -> dict[str, FieldProgram] | None:
    """The fields with these names and all that they are computed from.

    None where one of them rests on a translation or on a parent's row.
    """
    by_name = {field.name: field for field in program.fields}
    sources: dict[str, FieldProgram] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        field = by_name.get(name)
        if field is None or '"take.' in field.origin.value.sql:
            return None
        if field.translation is not None or field.reference is not None:
            return None
        sources[name] = field
        waiting += [read for read in field.fields_read if read not in sources]
    return sources
