"""CSV files of a lookup table: keys and values as text, just as they are written."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from schemas.code_maps.bad_lines import BAD_LINES_NAMED, line_problems
from schemas.code_maps.chains import Circular
from schemas.code_maps.lookup_table import Contradictory, LookupTable
from schemas.errors import ErrorCode, Problem, TransfuseError

_LARGEST = 2**31 - 2**20
"""Bytes of a file: what one block of the parser takes."""

_SENTINEL = "end"
"""A last row of our own: where it isn't read as one, a quote before it was never closed."""

_Lines = Iterator[tuple[int, list[str]]]


def read_lookup_file(
    name: str, path: Path, keys: Sequence[str] = (), value: str | None = None, chain: bool = False
) -> LookupTable:
    """Reads a CSV file (UTF-8, with a header, also compressed as ``.gz``) as a lookup table.

    ``keys`` and ``value`` name its columns; left out, they are the first and the second. All is
    text as it is written: ``007``, ``NA`` and nothing at all stay what they are. Blank lines are
    left out. Raises TransfuseError (SYS-004) with file and line: for a file that can't be read
    or isn't text, a column that isn't there, a line with too few or too many fields, and a key
    that stands for two values or leads back to itself (the first 20 lines one by one).
    """
    file = _File(path)
    header = file.header()
    columns = file.columns(header, keys, value)
    table = file.rows(len(header))
    *given, values = (table.column(place).combine_chunks() for place in columns)
    if not len(values):
        raise file.refusal("the file has no rows below its header", remedy=_REMEDY)
    try:
        return LookupTable.build(name, given, values, chain)
    except Contradictory as error:
        rows = [row for pair in error.rows for row in pair]
        lines = file.lines_of(rows)
        raise file.faulty(
            [
                (lines[later], f"has the key of line {lines[earlier]} and another value")
                for earlier, later in error.rows
            ]
        ) from None
    except Circular as error:
        lines = file.lines_of(error.rows[:BAD_LINES_NAMED])
        told = ", ".join(str(line) for line in sorted(lines.values()))
        more = " and others" if len(error.rows) > BAD_LINES_NAMED else ""
        raise file.refusal(
            f"chains of keys that have no end: {error.count}, the first of them through the"
            f" lines {told}{more}",
            line=min(lines.values()),
            remedy="break each circle: a key must lead to a value that stays",
        ) from None


_REMEDY = "name a CSV file with a header, a column of keys and one of values"

_OWN_NAMES = "compare the file's first line with 'from' and 'to'"


class _File:
    """A file in memory, and how what is wrong with it is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = self._read().removeprefix(b"\xef\xbb\xbf")
        if len(self.content) > _LARGEST:
            raise self.refusal("the file has more than 2 GB", remedy="read it with a query")
        self._refuse_what_is_no_text()

    def refusal(self, message: str, line: int | None = None, remedy: str = "") -> TransfuseError:
        where = str(self.path) if line is None else f"{self.path}:{line}"
        return TransfuseError(Problem(ErrorCode.SYS_004, message, where, remedy))

    def faulty(self, faults: Sequence[tuple[int, str]]) -> TransfuseError:
        """What is wrong with single lines, the first of them one by one."""
        return TransfuseError(line_problems(str(self.path), sorted(faults)))

    def _read(self) -> bytes:
        try:
            content = self.path.read_bytes()
            return gzip.decompress(content) if self.path.suffix == ".gz" else content
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise self.refusal(
                "the file can't be unpacked: it is no whole gzip file",
                remedy="compress it again, or name the file that isn't compressed",
            ) from None
        except OSError as error:
            raise self.refusal(
                f"the file can't be read: {error.strerror}", remedy=_REMEDY
            ) from None

    def _refuse_what_is_no_text(self) -> None:
        try:
            self.content.decode()
            place, told = self.content.find(b"\0"), "no PostgreSQL text can have: NUL"
        except UnicodeDecodeError as error:
            place, told = error.start, "isn't UTF-8"
        if place >= 0:
            line = self.content.count(b"\n", 0, place) + 1
            raise self.refusal(
                f"this line has a character that {told}", line, "save the file as UTF-8 text"
            )

    def header(self) -> list[str]:
        """The names of its columns."""
        _, names = next(self._lines(), (1, []))
        if not names:
            raise self.refusal("the file is empty", remedy=_REMEDY)
        return names

    def columns(self, header: Sequence[str], keys: Sequence[str], value: str | None) -> list[int]:
        """The places of the key columns and, last, of the value column."""
        if value is None and len(header) < 2:
            raise self.refusal("the file has one column, and a map needs two", 1, _REMEDY)
        named = [*(keys or header[:1]), header[1] if value is None else value]
        problems: list[Problem] = []
        for name in dict.fromkeys(named):
            if header.count(name) != 1:
                told = "has several columns" if name in header else "has no column"
                # Not all that stands there: where the header is missing, it is data.
                close = [] if name in header else difflib.get_close_matches(name, header, 1)
                remedy = f"did you mean '{close[0]}'?" if close else _OWN_NAMES
                problems += self.refusal(f"the file {told} '{name}'", 1, remedy).problems
        if not problems and named[-1] in named[:-1]:
            told = "one column would be key and value at once"
            problems += self.refusal(told, 1, "name the columns with 'from' and 'to'").problems
        if problems:
            raise TransfuseError(problems)
        return [header.index(name) for name in named]

    def rows(self, width: int) -> pa.Table:
        """All columns as text. Raises TransfuseError naming the lines that don't fit."""
        names = [str(place) for place in range(width)]
        misfits = []

        def misfit(row: pyarrow.csv.InvalidRow) -> str:
            misfits.append(row.actual_columns)
            return "skip"

        ended = b"%s\n%s\n" % (self.content, ",".join([_SENTINEL] * width).encode())
        table = pyarrow.csv.read_csv(
            pa.BufferReader(ended),
            # One block, since a value in quotes must not go beyond one.
            pyarrow.csv.ReadOptions(
                column_names=names, block_size=max(2**20, len(ended) + 1), use_threads=False
            ),
            pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=misfit),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[],
                strings_can_be_null=False,
            ),
        )
        last = table.slice(len(table) - 1).to_pylist()
        if last != [dict.fromkeys(names, _SENTINEL)]:
            *_, (line, _) = self._lines()
            told = "a quote that is opened here, or further down, is never closed"
            raise self.refusal(told, line, "close it; a quote within quotes is written twice")
        if misfits:
            raise self.faulty(
                [
                    (line, f"has {len(cells)} fields, and the header has {width}")
                    for line, cells in self._lines()
                    if len(cells) != width
                ]
            )
        return table.slice(1, len(table) - 2)

    def lines_of(self, rows: Sequence[int]) -> dict[int, int]:
        """The lines on which rows (from 0, below the header) begin."""
        wanted = set(rows)
        return {row: line for row, (line, _) in enumerate(self._lines(), -1) if row in wanted}

    def _lines(self) -> _Lines:
        """The records that aren't blank and their first lines: slow, for what is to be told."""
        reader = csv.reader(io.StringIO(self.content.decode(), newline=""))
        begun = 1
        try:
            for cells in reader:
                if cells:
                    yield begun, cells
                begun = reader.line_num + 1
        except csv.Error:
            told = "a value that begins on this line is far too long"
            raise self.refusal(told, begun, "close its quote") from None
