"""CSV files of a lookup table: keys and values as text, just as they are written."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.bad_lines import BAD_LINES_NAMED, line_problems
from schemas.code_maps.chains import CircularChains
from schemas.code_maps.lookup_table import ContradictoryKeys, LookupTable
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.messages import message_of
from transforms.model.slices import PartitionBounds
from transforms.sources.files.compression import DAMAGED
from transforms.sources.files.csv_file import CsvFormat
from transforms.sources.files.file_format import FileProblem, OpenFile
from transforms.sources.files.opening import open_file

_REMEDY = "name a CSV file with a header, a column of keys and one of values"

_OWN_NAMES = "compare the file's first line with 'from' and 'to'"


def read_lookup_file(
    name: str, path: Path, keys: Sequence[str] = (), value: str | None = None, chain: bool = False
) -> LookupTable:
    """Read a CSV file (UTF-8, with a header, also compressed as ``.gz``) as a lookup table.

    ``keys`` and ``value`` name its columns; left out, they are the first and the second. All is
    text as it is written: ``007``, ``NA`` and nothing at all stay what they are. Blank lines are
    left out. Raises TransfuseError (SYS-004) with file and line: for a file that can't be read
    or isn't text, a column that isn't there, a malformed line, and a key that stands for two
    values or leads back to itself (the first 20 lines one by one).
    """
    with _report_errors(path), _open(path) as stream:
        file = CsvFormat().open(stream)
        names = _columns(path, [column.name for column in file.columns], keys, value)
        rows = _read(path, file, names)
    *given, values = (rows.texts.column(name).combine_chunks() for name in names)
    if not len(values):
        raise _refusal(path, "the file has no rows below its header", remedy=_REMEDY)
    lines = rows.lines
    try:
        return LookupTable.build(name, given, values, chain)
    except ContradictoryKeys as error:
        faults = [
            (lines[later], f"has the key of line {lines[earlier]} and another value")
            for earlier, later in error.rows
        ]
        raise TransfuseError(line_problems(str(path), sorted(faults))) from None
    except CircularChains as error:
        through = sorted(lines[row] for row in error.rows[:BAD_LINES_NAMED])
        more = " and others" if len(error.rows) > BAD_LINES_NAMED else ""
        raise _refusal(
            path,
            f"chains of keys that have no end: {error.count}, the first of them through the"
            f" lines {', '.join(map(str, through))}{more}",
            through[0],
            "break each circle: a key must lead to a value that stays",
        ) from None


def _open(path: Path) -> IO[bytes]:
    # The specification names this very file, so a link is what its author means.
    return open_file(str(path.parent), path.name, follow_links=True)


class _LookupRows(NamedTuple):
    """The columns that are named, as text, and the line of each row."""

    texts: pa.Table
    lines: list[int]


def _read(path: Path, file: OpenFile, names: Sequence[str]) -> _LookupRows:
    """All rows. Raises TransfuseError naming the malformed lines."""
    wanted = list(dict.fromkeys(names))
    batches, lines, faults = [], [], []
    for range_ in file.ranges(path.name, PartitionBounds()):
        found = file.read(range_, wanted)
        lines += found.numbers.to_pylist()
        faults += [
            (one.row, message_of(one.code.value, one.rule, None, one.reason))
            for one in found.malformed
        ]
        # What isn't there between two delimiters is an empty text in a map.
        texts = [pc.fill_null(column, "") for column in found.batch.columns]
        batches.append(pa.RecordBatch.from_arrays(texts, names=wanted))
    rows = pa.Table.from_batches(batches, pa.schema([(name, pa.string()) for name in wanted]))
    for column in rows.columns:
        nul = pc.match_substring(column, "\0").to_numpy().nonzero()[0]
        faults += [
            (lines[row], "has a character that no PostgreSQL text can have: NUL") for row in nul
        ]
    if faults:
        raise TransfuseError(line_problems(str(path), sorted(set(faults))))
    return _LookupRows(rows, lines)


def _columns(
    path: Path, header: Sequence[str], keys: Sequence[str], value: str | None
) -> list[str]:
    """The key columns and, last, the value column."""
    if value is None and len(header) < 2:
        raise _refusal(path, "the file has one column, and a map needs two", 1, _REMEDY)
    named = [*(keys or header[:1]), header[1] if value is None else value]
    problems: list[Problem] = []
    for name in dict.fromkeys(named):
        if header.count(name) != 1:
            message = "has several columns" if name in header else "has no column"
            # Not all that stands there: where the header is missing, it is data.
            close = [] if name in header else difflib.get_close_matches(name, header, 1)
            remedy = f"did you mean '{close[0]}'?" if close else _OWN_NAMES
            problems += _refusal(path, f"the file {message} '{name}'", 1, remedy).problems
    if not problems and named[-1] in named[:-1]:
        message = "one column would be key and value at once"
        problems += _refusal(path, message, 1, "name the columns with 'from' and 'to'").problems
    if problems:
        raise TransfuseError(problems)
    return named


def _refusal(path: Path, message: str, line: int = 0, remedy: str = "") -> TransfuseError:
    where = f"{path}:{line}" if line else str(path)
    return TransfuseError(Problem(ErrorCode.SYS_004, message, where, remedy))


@contextmanager
def _report_errors(path: Path) -> Iterator[None]:
    """Raise errors of the file as a whole as TransfuseError."""
    try:
        yield
    except FileProblem as fault:
        of_file = fault.remedy if not fault.line else ""
        raise _refusal(path, fault.message, fault.line, of_file or _REMEDY) from None
    except (OSError, *DAMAGED) as error:
        message = getattr(error, "strerror", None)
        raise _refusal(
            path,
            f"the file can't be read: {message or 'it is damaged or cut off'}",
            remedy=_REMEDY
            if message
            else "compress it again, or name the one that isn't compressed",
        ) from None
