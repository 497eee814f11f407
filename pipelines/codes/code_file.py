"""Reads the file in which a person has decided on codes, as spreadsheets write it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.codes.code_csv import COLUMNS
from schemas.blanks import INVISIBLE
from schemas.bounded_files import DECISIONS_AT_MOST, read_at_most
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification

NO_TARGET = "NONE"
"""What stands for the decision that a code has no target: the row is written without one."""

MOST_DECISIONS = 200_000
"""More than any code system has codes."""

PROBLEMS_NAMED = 100
"""How many lines that can't be taken are named one by one."""

MOST_PROBLEMS = 10_000
"""With more of them the file isn't read any further."""

_NEEDED = (("key", "source_code"), ("target_code",))
"""The columns that there must be, one of each."""


@dataclass(frozen=True)
class Decision:
    """A line of the file in which a target is filled in; ``target`` None for NO_TARGET, and
    ``described`` what the line says of the source code (empty: nothing). ``keyed``: the code is
    written as the source does it."""

    line: int
    map: str
    source: str
    target: str | None
    described: str
    keyed: bool


def read_lines(file: Path, problems: list[Problem]) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of the file, by number; spreadsheets also write semicolons and tabs.

    Raises TransfuseError (USER-001) where it can't be read, is larger than any list of decisions,
    or isn't CSV.
    """
    try:
        text = read_at_most(file, DECISIONS_AT_MOST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it isn't UTF-8"
        remedy = "name the CSV that 'rejects export' has written, saved as UTF-8"
        raise TransfuseError(
            Problem(ErrorCode.USER_001, f"the file can't be read: {why}", str(file), remedy)
        ) from None
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    # strict: a quote that is opened and not closed would swallow the lines behind it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        missing = [needed[-1] for needed in _NEEDED if not {*needed} & {*names}]
        twice = [name for name in COLUMNS if names.count(name) > 1]
        if twice:
            message = f"the file has several columns {' and '.join(twice)}"
            remedy = "leave one of each"
            raise TransfuseError(Problem(ErrorCode.USER_001, message, f"{file}:1", remedy))
        if missing:
            message = f"the file has no column {' and no column '.join(missing)}"
            remedy = f"its columns are: {', '.join(COLUMNS)}"
            raise TransfuseError(Problem(ErrorCode.USER_001, message, f"{file}:1", remedy))
        for cells in reader:
            if any(cell.strip() for cell in cells[len(names) :]):
                message = f"the line has {len(cells)} cells, and the header {len(names)}"
                remedy = "put what holds a delimiter in double quotes"
                where = f"{file}:{reader.line_num}"
                _note(problems, message, where, remedy, file)
            elif any("\0" in cell for cell in cells):
                where = f"{file}:{reader.line_num}"
                message = "a cell has a NUL character, which no text of PostgreSQL can have"
                _note(problems, message, where, "save the file again", file)
            elif any(cell.strip() for cell in cells):
                row = dict(zip(names, (_bare(cell) for cell in cells), strict=False))
                yield reader.line_num, row
    except csv.Error as error:
        where = f"{file}:{reader.line_num}"
        message = f"the line is not CSV: {error}"
        raise TransfuseError(
            Problem(ErrorCode.USER_001, message, where, "correct the line")
        ) from None


def _bare(cell: str) -> str:
    """A cell without blanks, and without the apostrophe that keeps it from being a formula."""
    return cell.strip(INVISIBLE).removeprefix("'")


def _note(problems: list[Problem], message: str, where: str, remedy: str, file: Path) -> None:
    """Adds a problem. Raises TransfuseError where there are too many to be mistakes."""
    problems.append(Problem(ErrorCode.USER_001, message, where, remedy))
    if len(problems) > MOST_PROBLEMS:
        raise TransfuseError(some_of(problems, file))


def some_of(problems: list[Problem], file: Path) -> list[Problem]:
    """The first problems, and how many more there are."""
    if len(problems) <= PROBLEMS_NAMED:
        return problems
    more = f"and {len(problems) - PROBLEMS_NAMED:,} more lines that can't be taken"
    return [*problems[:PROBLEMS_NAMED], Problem(ErrorCode.USER_001, more, str(file))]


def decisions_of(
    specification: Specification,
    file: Path,
    lines: Iterable[tuple[int, dict[str, str]]],
    problems: list[Problem],
) -> tuple[list[Decision], int]:
    """The lines in which something is decided, and the number of the others."""
    gems = [name for name, entry in specification.maps.items() if entry.is_gem]
    decisions: list[Decision] = []
    undecided = 0
    for number, row in lines:
        where = f"{file}:{number}"
        named, _, coded = row.get("key", "").partition(":")
        name = named or row.get("map", "") or (gems[0] if len(gems) == 1 else "")
        code = coded or row.get("source_code", "")
        if not row.get("target_code"):
            undecided += 1
            continue
        if name not in gems:
            message = (
                f"'{name}' is not a map of codes" if name else "the line doesn't say of which map"
            )
            remedy = f"the specification has: {', '.join(gems) or 'none'}"
            _note(problems, message, where, remedy, file)
        elif not code:
            _note(problems, "the line has no source_code", where, "say which code is meant", file)
        else:
            target = row["target_code"]
            none = target.upper() == NO_TARGET
            # What is in the key no spreadsheet has taken for a number.
            described = "" if coded else row.get("source_description", "")
            if len(decisions) == MOST_DECISIONS:
                message = f"more than {MOST_DECISIONS:,} lines have a target"
                remedy = (
                    "no code system has as many codes; name the file that 'rejects export' wrote"
                )
                raise TransfuseError(Problem(ErrorCode.USER_001, message, where, remedy))
            decisions.append(
                Decision(number, name, code, None if none else target, described, bool(coded))
            )
    return decisions, undecided
