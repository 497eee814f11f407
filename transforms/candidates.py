"""The stages of a load one after the other, on one batch in this process.

``try`` and ``plan`` look at candidates so; the graph runs the same stages as its steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from schemas.violations import concat_violations
from transforms.mapping.program import LoadProgram
from transforms.mapping.stages import (
    CodeTranslator,
    derive_fields,
    map_fields,
    prepare,
    translate_codes,
    validate_rows,
)
from transforms.partition_reader import SourceRows
from transforms.references import Parents, check_references


@dataclass(frozen=True)
class Candidates:
    """The rows of a partition as they would come to be committed, and their violations.

    ``rows`` has the columns that ``transforms.mapping.program`` describes, ``violations``
    those of ``schemas.violations``; the candidates have the ordinals 0 to ``count`` - 1.
    """

    rows: pa.RecordBatch
    violations: pa.RecordBatch
    count: int


def candidates_of(
    source: SourceRows,
    program: LoadProgram,
    partition_id: str,
    translators: Mapping[str, CodeTranslator],
    parents: Parents,
) -> Candidates:
    """Takes source rows through all stages but the search for duplicates."""
    rows, first = prepare(source.batch, source.unrepresentable, program, partition_id)
    found = [first]
    for stage in (
        lambda rows: map_fields(rows, program),
        lambda rows: translate_codes(rows, program, translators),
        lambda rows: derive_fields(rows, program, translators),
        lambda rows: check_references(rows, program, parents),
        lambda rows: validate_rows(rows, program, translators),
    ):
        rows, violations = stage(rows)
        found.append(violations)
    return Candidates(rows, concat_violations(found), len(source.batch))
