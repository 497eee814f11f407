"""Python functions as transformations: the escape hatch beside SQL.

A function takes an Arrow array and gives one as long; what it gives is taken as text and
goes on through the strict steps of its field.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from schemas.sql.expressions import quote
from transforms.model.field_program import FieldProgram
from transforms.model.python_function import PythonFunction
from transforms.resources.memory_limits import is_memory_shortage
from transforms.sql.duckdb_engine import evaluate_each, one_array, one_batch, select
from transforms.sql.site_modules import load_module

RAISED = "raised"


def run_python_functions(values: pa.Table, columns: Mapping[str, FieldProgram]) -> pa.Table:
    """Run the transformations of those fields that have a Python function among them.

    Args:
        values: the columns to transform, and ``fail.FIELD`` of their fields.
        columns: the names of the columns to transform, each with its field.

    Returns:
        The table with the transformed columns; ``fail.FIELD`` is ``raised`` in the rows for which
        a function raised, unless it has a reason already.
    """
    for column, field in columns.items():
        if not field.calls_python:
            continue
        for transform in field.transforms:
            array = one_array(values.column(column))
            if isinstance(transform, PythonFunction):
                array, raised = _call(transform, array)
                failures = one_array(values.column(f"fail.{field.name}"))
                failures = pc.if_else(pc.and_(raised, pc.is_null(failures)), RAISED, failures)
                values = _with(values, f"fail.{field.name}", failures)
            else:
                query = select([f"{transform.replace('{}', quote(column))} AS v"])
                array = one_array(evaluate_each(query, one_batch(values)).column("v"))
            values = _with(values, column, array)
    return values


def _call(function: PythonFunction, array: pa.Array) -> tuple[pa.Array, pa.Array]:
    """The function's result as text, and for which rows it raised (its result there is NULL)."""
    called = find_function(function)
    whole = _try_call(called, array)
    if whole is not None:
        return whole, pa.repeat(False, len(array))
    rows = [_try_call(called, array.slice(position, 1)) for position in range(len(array))]
    results = [pa.nulls(1, pa.string()) if row is None else row for row in rows]
    return pa.concat_arrays(results), pa.array([row is None for row in rows])


def _try_call(called: Callable[[pa.Array], object], array: pa.Array) -> pa.Array | None:
    try:
        return _fitting(called(array), array)
    except BaseException as error:  # a fault of the rows that the function was given
        if _is_interrupt(error) or is_memory_shortage(error):
            raise
        return None


def _is_interrupt(error: BaseException) -> bool:
    """Whether the user has pressed Ctrl-C, and not a function or module raised something.

    These may raise what isn't an Exception, as a panic of Rust does, and it must not get
    further: it would be printed with its text, which may hold a value. Leaving the process
    isn't theirs to decide either. Python raises the user's interrupt in the main thread alone.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    return isinstance(error, KeyboardInterrupt) and in_main_thread


def _fitting(result: object, like: pa.Array) -> pa.Array:
    if isinstance(result, pa.ChunkedArray):
        result = result.combine_chunks()
    if not isinstance(result, pa.Array) or len(result) != len(like):
        raise TypeError("the function must give an Arrow array as long as the one it takes")
    return result.cast(pa.string())


def find_function(function: PythonFunction) -> Callable[[pa.Array], object]:
    """Import a function.

    Raises:
        ValueError: the module can't be imported, or has no such function.
    """
    try:
        result = getattr(load_module(function), function.name, None)
    except BaseException as error:
        if _is_interrupt(error) or is_memory_shortage(error):
            raise
        raise ValueError(
            f"the Python module '{function.module}' can't be imported: {type(error).__name__}"
        ) from None
    if not callable(result):
        raise ValueError(f"the Python module '{function.module}' has no function '{function.name}'")
    return cast("Callable[[pa.Array], object]", result)


def _with(table: pa.Table, name: str, array: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, array)
