"""Checks for sequences that can't be moved past what is written: a default computes with them."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.databases.function_sequences import FunctionDefault, find_function_defaults
from pipelines.databases.open_databases import Databases
from pipelines.databases.sequences import numbered_columns, written_sequences
from pipelines.preflight.finding import Finding, warning
from schemas.errors import ErrorCode
from transforms.model.program import LoadProgram


def check_sequence_defaults(
    databases: Databases, programs: Mapping[str, LoadProgram]
) -> list[Finding]:
    """TRANS-004 for defaults that make more of a sequence's number than the number."""
    sequences = written_sequences(programs.values())
    computed = [
        warning(
            ErrorCode.TRANS_004,
            f"target, {column.table}",
            f"the default of {column.column} computes with the sequence {column.sequence}: which"
            " number it has reached can't be distinguished from the values that are written",
            f"after the migration: SELECT setval('{column.sequence}', GREATEST_NUMBER_IN_USE);",
        )
        for column in numbered_columns(databases.target, sequences)
        if not (column.is_plain and column.is_number)
    ]
    defaults = find_function_defaults(databases.target, programs.values())
    return computed + [_of_function(default) for default in defaults if not default.is_plain]


def _of_function(default: FunctionDefault) -> Finding:
    sequence = default.sequence
    unless = "" if sequence else ", if it draws numbers from a sequence"
    named = sequence or "SEQUENCE"
    return warning(
        ErrorCode.TRANS_004,
        f"target, {default.table}",
        f"the default of {default.column} calls {default.function}"
        + (f", which draws from the sequence {sequence}" if sequence else "")
        + ": the sequence isn't advanced, and its next numbers may be in use already",
        f"after the migration{unless}: SELECT setval('{named}', (SELECT max({default.column})"
        f" FROM {default.table}));",
    )
