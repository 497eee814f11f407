"""The stages of a load one after the other, on one batch in this process.

``try`` and ``plan`` look at candidates so; the graph runs the same stages as its steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.violations import concat_violations
from transforms.mapping.loaded_maps import Maps
from transforms.mapping.stages import (
    derive_fields,
    map_fields,
    prepare,
    translate_codes,
    validate_rows,
)
from transforms.model.program import LoadProgram
from transforms.model.source_rows import SourceRows
from transforms.references.check import Parents, check_references


@dataclass(frozen=True)
class Candidates:
    """The rows of a partition as they would reach the commit, and their violations.

    ``rows`` has the columns that ``transforms.model.program`` describes, ``violations``
    those of ``schemas.violations``; the candidates have the ordinals 0 to ``count`` - 1. They come
    from ``read`` rows of the source, of which ``empty`` gave none.
    """

    rows: pa.RecordBatch
    violations: pa.RecordBatch
    count: int
    read: int
    empty: int


def candidates_of(
    source: SourceRows,
    program: LoadProgram,
    partition_id: str,
    maps: Maps,
    parents: Parents,
) -> Candidates:
    """Takes source rows through all stages but the search for duplicates.

    Args:
        source: rows of the source.
        program: their load.
        partition_id: their partition.
        maps: the maps of the load.
        parents: answers about the parents of references.
    """
    rows, violations = prepare(source, program, partition_id)
    collected = [violations]
    rows, violations = map_fields(rows, program, maps)
    collected.append(violations)
    rows, violations = translate_codes(rows, program, maps)
    collected.append(violations)
    rows, violations = derive_fields(rows, program, maps)
    collected.append(violations)
    rows, violations = check_references(rows, program, parents)
    collected.append(violations)
    rows, violations = validate_rows(rows, program, maps)
    collected.append(violations)
    return Candidates(
        rows, concat_violations(collected), source.count, source.rows_read, source.empty
    )
