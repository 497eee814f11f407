"""The codes that a field is given, before any map has translated them."""

from __future__ import annotations

import pyarrow as pa

from transforms.mapping.fields import compute_fields
from transforms.mapping.maps import Maps
from transforms.mapping.program import FieldProgram, LoadProgram
from transforms.mapping.stages import prepare, types_of
from transforms.sources.source_rows import SourceRows


def raw_codes(
    source: SourceRows, program: LoadProgram, field: FieldProgram, maps: Maps
) -> pa.Array | None:
    """The code of each row of ``source.batch`` (string) that ``field`` would have translated.

    None where it rests on another translation or on a parent's row.
    """
    needed = _needed(program, field)
    if needed is None:
        return None
    rows, _ = prepare(source, program, "")
    rows, _ = compute_fields(rows, needed, types_of(program), maps.lookups)
    return rows.column(f"raw.{field.name}").cast(pa.string())


def _needed(program: LoadProgram, field: FieldProgram) -> list[FieldProgram] | None:
    """The fields that its code comes from, and itself."""
    by_name = {other.name: other for other in program.fields}
    found: dict[str, FieldProgram] = {}
    waiting = [field.name]
    while waiting:
        name = waiting.pop()
        other = by_name.get(name)
        if other is None or '"take.' in other.value.sql:
            return None
        if other is not field and (other.gem is not None or other.reference is not None):
            return None
        found[name] = other
        waiting += [read for read in other.value.fields if read not in found]
    return list(found.values())
