"""The file in which somebody has decided on codes: its lines, as spreadsheets write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.code_export import COLUMNS
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification

NO_TARGET = "NONE"
"""What stands for the decision that a code has no target: the row is written without one."""

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
    """The lines of the file, by number; spreadsheets also write semicolons and tabs."""
    try:
        text = file.read_text(encoding="utf-8-sig")
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
            told = f"the file has several columns {' and '.join(twice)}"
            remedy = "leave one of each"
            raise TransfuseError(Problem(ErrorCode.USER_001, told, f"{file}:1", remedy))
        if missing:
            told = f"the file has no column {' and no column '.join(missing)}"
            remedy = f"its columns are: {', '.join(COLUMNS)}"
            raise TransfuseError(Problem(ErrorCode.USER_001, told, f"{file}:1", remedy))
        for cells in reader:
            if any(cell.strip() for cell in cells[len(names) :]):
                told = f"the line has {len(cells)} cells, and the header {len(names)}"
                remedy = "put what holds a delimiter in double quotes"
                where = f"{file}:{reader.line_num}"
                problems.append(Problem(ErrorCode.USER_001, told, where, remedy))
            elif any("\0" in cell for cell in cells):
                where = f"{file}:{reader.line_num}"
                told = "a cell has a NUL character, which no text of PostgreSQL can have"
                problems.append(Problem(ErrorCode.USER_001, told, where, "save the file anew"))
            elif any(cell.strip() for cell in cells):
                row = dict(zip(names, (_bare(cell) for cell in cells), strict=False))
                yield reader.line_num, row
    except csv.Error as error:
        where = f"{file}:{reader.line_num}"
        told = f"the line is no CSV: {error}"
        raise TransfuseError(Problem(ErrorCode.USER_001, told, where, "mend it")) from None


def _bare(cell: str) -> str:
    """A cell without blanks, and without the apostrophe that keeps it from being a formula."""
    return cell.strip().removeprefix("'")


def decisions_of(
    specification: Specification,
    file: Path,
    lines: list[tuple[int, dict[str, str]]],
    problems: list[Problem],
) -> tuple[list[Decision], int]:
    """The lines in which something is decided, and the number of the others."""
    gems = [name for name, entry in specification.maps.items() if entry.is_gem]
    found, undecided = [], 0
    for number, row in lines:
        where = f"{file}:{number}"
        named, _, coded = row.get("key", "").partition(":")
        name = named or row.get("map", "") or (gems[0] if len(gems) == 1 else "")
        code = coded or row.get("source_code", "")
        if not row.get("target_code"):
            undecided += 1
            continue
        if name not in gems:
            told = f"'{name}' is no map of codes" if name else "the line doesn't say of which map"
            remedy = f"the specification has: {', '.join(gems) or 'none'}"
            problems.append(Problem(ErrorCode.USER_001, told, where, remedy))
        elif not code:
            told = "the line has no source_code"
            problems.append(Problem(ErrorCode.USER_001, told, where, "say which code is meant"))
        else:
            target = row["target_code"]
            none = target.upper() == NO_TARGET
            # What is in the key no spreadsheet has taken for a number.
            described = "" if coded else row.get("source_description", "")
            found.append(
                Decision(number, name, code, None if none else target, described, bool(coded))
            )
    return found, undecided
