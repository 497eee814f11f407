"""The columns of the files of one pattern, as one relation has them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from schemas.catalog import Column
from schemas.column_names import is_name_like
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.wider_types import wider_type
from transforms.sources.files.file_format import EmptyFile
from transforms.sources.files.opening import is_remote

FileColumns = Mapping[str, tuple[Column, ...]]
"""The columns of files by their names, in order."""


def describe_files(
    names: Sequence[str], describe: Callable[[str], tuple[Column, ...]], pattern: str, folder: str
) -> FileColumns:
    """The columns of each file.

    Args:
        names: the files, at least one.
        describe: gives the columns of a file, or raises TransfuseError.
        pattern: what the specification calls the files.
        folder: where they are.

    Returns:
        The columns by file.

    Raises:
        TransfuseError: as ``describe`` does; for files that are empty all of them together.
    """
    columns = {}
    empty: dict[str, TransfuseError] = {}
    for name in names:
        described = _unless_empty(name, describe)
        if isinstance(described, TransfuseError):
            empty[name] = described
        else:
            columns[name] = described
    if not empty:
        return columns
    error = next(iter(empty.values()))
    (problem,) = error.problems
    message = problem.message
    if len(empty) > 1:
        message += f"; so are {len(empty) - 1} others"
    remedy = _way_past(list(empty), pattern, folder, bool(columns))
    raise TransfuseError(replace(problem, message=message, remedy=remedy)) from error.__cause__


def _unless_empty(
    name: str, describe: Callable[[str], tuple[Column, ...]]
) -> tuple[Column, ...] | TransfuseError:
    try:
        return describe(name)
    except TransfuseError as error:
        if not isinstance(error.__cause__, EmptyFile):
            raise
        return error


def _way_past(empty: Sequence[str], pattern: str, folder: str, has_others: bool) -> str:
    """What to do about empty files: whether their transfer was cut off only a person knows."""
    if not has_others:
        return (
            f"export it again; if there are no rows, take '{pattern}' out of 'from', or the load"
            " out of 'tables'"
        )
    if is_remote(folder):
        return f"export again; if there are no rows, delete below {folder}: {' '.join(empty)}"
    paths = " ".join(shlex.quote(str(Path(folder) / name)) for name in empty)
    return f"export again; if there are no rows, remove what is empty: rm {paths}"


def unite_columns(files: FileColumns, has_unsure_names: bool) -> tuple[Column, ...]:
    """The columns of the first file, each of the type that holds the values of all files.

    Args:
        files: the columns of each file.
        has_unsure_names: whether the names may be values of a row.

    Raises:
        TransfuseError: TRANS-004 where a file lacks a column, or no type holds all values.
    """
    first, *others = files
    columns = {column.name: (column, first) for column in files[first]}
    for other in others:
        present = {column.name: column for column in files[other]}
        shares_names = any(name in present for name in columns)
        for place, (name, (column, holder)) in enumerate(columns.items(), 1):
            same = present.get(name)
            if same is None:
                # Where no name is shared, one of the files has no header.
                shown = f"'{name}'"
                if has_unsure_names and not (shares_names and is_name_like(name)):
                    shown = f"named like column {place}"
                raise _unlike(f"the file has no column {shown}, unlike {first}", other)
            wider = wider_type(column.type, same.type)
            if wider is None:
                message = (
                    f"'{name}' is {same.type} there and {column.type} in {holder}, and neither type"
                    " holds all values of the other"
                )
                raise _unlike(message, other)
            united = replace(column, type=wider, nullable=column.nullable or same.nullable)
            columns[name] = (united, holder if wider == column.type else other)
    return tuple(column for column, _ in columns.values())


def _unlike(message: str, file: str) -> TransfuseError:
    remedy = "read it as another load (with 'into': the same table)"
    return TransfuseError(Problem(ErrorCode.TRANS_004, message, file, remedy))
