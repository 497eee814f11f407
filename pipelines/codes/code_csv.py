"""The file in which codes are handed to a person who knows the coding: CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.terminal.private_files import write_private
from schemas.errors import ErrorCode, Problem, TransfuseError


@dataclass(frozen=True)
class ExportedCode:
    """A line of the file: a code that no map translates.

    Attributes:
        key: Map and code in one text, because a spreadsheet takes 098.31 for a number, and 98.31 is
            another code.
        map: The map.
        source_code: The code.
        source_description: Its description in the source's system.
        reason: Why it isn't translated.
        rows: How many rejected rows have it.
        candidates: The targets that the map has for it, with their descriptions.
        target_code: Empty, to be filled in.
    """

    key: str
    map: str
    source_code: str
    source_description: str
    reason: str
    rows: int
    candidates: str
    target_code: str = ""


COLUMNS = tuple(ExportedCode.__dataclass_fields__)
"""The columns of the file; the last is the one to fill in."""

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "'")
"""The characters that a spreadsheet takes for the beginning of a formula, or of a text."""


def code_csv(codes: Iterable[ExportedCode]) -> str:
    """The text of the file, with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(
        {name: _plain(value) for name, value in asdict(code).items()} for code in codes
    )
    return text.getvalue()


def write_code_csv(output: Path, codes: Iterable[ExportedCode]) -> None:
    """Write the file, readable for its owner alone.

    Args:
        output: Its path.
        codes: Its lines.

    Raises:
        TransfuseError: SYS-005 if it can't be written.
    """
    try:
        # Spreadsheets take a file for UTF-8 only if it begins with a byte order mark.
        write_private(output, code_csv(codes).encode("utf-8-sig"))
    except OSError as error:
        message = f"the file can't be written: {error.strerror}"
        remedy = "name another file with --output"
        raise TransfuseError(Problem(ErrorCode.SYS_005, message, str(output), remedy)) from None


def _plain(value: Any) -> Any:
    """The value; a text in a form that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
