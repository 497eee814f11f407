"""A row that a person gives instead of one of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from schemas.catalog import Column
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.model.program import LoadProgram
from transforms.sources.entered_row import unknown_column


def entered_file_row(program: LoadProgram, row: Mapping[str, Any]) -> pa.RecordBatch:
    """The row as a batch of the columns ``src.NAME`` that the load reads, in their types.

    Columns that ``row`` doesn't have are NULL. Raises TransfuseError (USER-001) for columns
    that the file doesn't have and values that they can't hold, all of them at once.
    """
    source = program.relations[0]
    problems = []
    values: dict[str, pa.Array] = {}
    for name, value in row.items():
        column = source.column(name)
        array = None if column is None else _array(column, value)
        if column is None:
            problems.append(unknown_column(source, name))
        elif array is None:
            message = f"{column.type} can't hold the value"
            problems.append(Problem(ErrorCode.USER_001, message, f"column {name}"))
        else:
            values[column.name] = array
    if problems:
        raise TransfuseError(problems)
    types = program.column_types()
    arrays = [values.get(name, pa.nulls(1, types[name].arrow)) for name in program.columns]
    return pa.RecordBatch.from_arrays(arrays, names=[f"src.{name}" for name in program.columns])


def _array(column: Column, value: Any) -> pa.Array | None:
    """The value in the column's type; None where that can't hold it."""
    if isinstance(value, (dict, list)):
        return None
    text = str(value).lower() if isinstance(value, bool) else value
    try:
        return pa.array([text], pa.string()).cast(column.type.arrow)
    except pa.ArrowInvalid:
        return None
