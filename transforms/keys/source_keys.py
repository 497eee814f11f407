"""What identifies a source row, as a text: in the error sink, and wherever a row is asked for."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from schemas.violations import ORDINAL
from transforms.keys.key_text import key_text
from transforms.model.program import LoadProgram
from transforms.sql.duckdb_engine import evaluate_each, one_array, select


def source_keys(rows: pa.RecordBatch, program: LoadProgram, partition_id: str) -> pa.Array:
    """The text that identifies each source row: its key, else its place in the table."""
    if program.source_key:
        types = program.column_types()
        text = key_text([(f"src.{c}", types[c]) for c in program.source_key])
        keys = evaluate_each(select([f"{text} AS k"]), rows)
        return one_array(keys.column("k"), pa.string())
    if program.with_ctid:
        return rows.column("src.ctid")
    ordinals = rows.column(ORDINAL).cast(pa.string())
    return pc.binary_join_element_wise(pa.scalar(partition_id), ordinals, ":")
