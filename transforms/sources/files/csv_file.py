"""CSV files: everything in them is text until the specification gives it a type."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv

from schemas.catalog import Column
from schemas.column_types import TEXT
from schemas.text_encodings import is_utf8
from transforms.model.slices import PartitionBounds
from transforms.sources.files.csv_batch import read_records
from transforms.sources.files.csv_records import (
    BLOCK,
    TOO_LONG,
    records_of,
)
from transforms.sources.files.csv_structure import Dialect, Places, count_lines
from transforms.sources.files.file_format import (
    EmptyFile,
    FileFormat,
    FileProblem,
    FileRange,
    FileRows,
    OpenFile,
)

_OFFSET = 4
"""Bytes of the offset that Arrow keeps for each text."""

_BLANK = "the file is empty, or has blank lines alone, so it has no header"

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class CsvFormat(FileFormat):
    """Delimited text. ``quote`` is None where no value is quoted; ``encoding`` is UTF-8 or has
    one byte for each character. ``escape`` is as in ``csv_escapes``.

    ``names`` are the columns, instead of those of the ``header``, which there may not be. A
    value that isn't quoted is NULL where it is empty or one of ``nulls``.
    """

    renaming = "name all columns in their order: 'columns: [NAME, ...]'; the header is skipped then"

    delimiter: str = ","
    quote: str | None = '"'
    encoding: str = "utf-8"
    nulls: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    header: bool = True
    escape: str | None = None

    def open(self, stream: IO[bytes]) -> OpenCsv:
        """Read the header, if there is one."""
        stream.seek(0)
        begin = len(_BOM) if stream.read(len(_BOM)) == _BOM and is_utf8(self.encoding) else 0
        if not self.header:
            return OpenCsv(self, stream, self.names, begin, 1)
        _refuse_blank(stream, begin)
        for data, offset, records in records_of(stream, begin, None, 1, self.dialect(None)):
            if len(records):
                end = int(records.ends[0])
                if records.fields[0] == TOO_LONG:
                    message = "the first line is longer than 64 MB, so it is no header"
                    raise FileProblem(message, 1, "see whether the file is text with lines")
                header, line = data[records.begins[0] : end], int(records.lines[0])
                names = self.names or self._names(header, line)
                return OpenCsv(self, stream, names, offset + end, 1 + count_lines(data[:end]))
        raise EmptyFile(_BLANK, 1)

    def _names(self, header: bytes, line: int) -> tuple[str, ...]:
        try:
            text = header.decode(self.encoding)
        except UnicodeDecodeError:
            message = f"the header isn't text in {self.encoding}"
            raise FileProblem(message, line, "name the file's 'encoding'") from None
        quoting = {"quotechar": self.quote} if self.quote else {"quoting": csv.QUOTE_NONE}
        rows = csv.reader([text], delimiter=self.delimiter, escapechar=self.escape, **quoting)
        try:
            names = tuple(name.strip() for name in next(rows))
        except csv.Error:
            raise FileProblem("the first line is no header", line, "name the 'delimiter'") from None
        if "" in names:
            message = f"column {names.index('') + 1} has no name in the header"
            raise FileProblem(message, line, self.renaming)
        return names

    def dialect(self, fields: int | None) -> Dialect:
        """How the records of a file with so many columns are found."""
        quote = None if self.quote is None else ord(self.quote)
        escape = None if self.escape is None else ord(self.escape)
        return Dialect(ord(self.delimiter), quote, fields, escape=escape)

    @property
    def parsing(self) -> pa.csv.ParseOptions:
        """How Arrow takes records apart."""
        return pa.csv.ParseOptions(
            delimiter=self.delimiter,
            quote_char=self.quote or False,
            double_quote=True,
            newlines_in_values=self.quote is not None,
        )


def _refuse_blank(stream: IO[bytes], begin: int) -> None:
    """Raise EmptyFile where nothing but blanks follows; the stream is at ``begin`` then."""
    stream.seek(begin)
    while block := stream.read(BLOCK):
        if block.strip():
            stream.seek(begin)
            return
    raise EmptyFile(_BLANK, 1)


class OpenCsv(OpenFile):
    """A CSV file whose rows begin at the byte ``at``, on ``line``."""

    def __init__(
        self, form: CsvFormat, stream: IO[bytes], names: Sequence[str], at: int, line: int
    ) -> None:
        self._form, self._stream = form, stream
        self._names, self._at, self._line = tuple(names), at, line

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(Column(name, TEXT) for name in self._names)

    @property
    def has_unsure_names(self) -> bool:
        return not self._form.names

    def ranges(self, file: str, bounds: PartitionBounds) -> Iterator[FileRange]:
        dialect = replace(self._form.dialect(len(self._names)), counts_fields=False)
        self._stream.seek(self._at)
        current = FileRange(file, self._at, self._at, self._line, 0)
        for _, offset, records in records_of(self._stream, self._at, None, self._line, dialect):
            first = 0
            while first < len(records):
                begin = int(records.begins[first]) + offset
                if not current.rows:
                    current = FileRange(file, begin, begin, int(records.lines[first]), 0)
                ends = records.ends[first:] + offset
                taken = self._fitting(ends, current, bounds)
                if taken:
                    current = replace(current, end=int(ends[taken - 1]), rows=current.rows + taken)
                    first += taken
                if first < len(records):
                    yield current
                    current = replace(current, rows=0)
        if current.rows:
            yield current

    def read(self, range_: FileRange, columns: Sequence[str]) -> FileRows:
        form, fields = self._form, len(self._names)
        self._stream.seek(range_.begin)
        blocks = records_of(
            self._stream, range_.begin, range_.end, range_.row, form.dialect(fields)
        )
        rows = read_records(
            ((data, records) for data, _, records in blocks),
            fields,
            [(self._names.index(name), name) for name in columns],
            "utf-8" if is_utf8(form.encoding) else form.encoding,
            form.parsing,
            form.nulls,
            form.escape,
        )
        count = len(rows.places) + len(rows.malformed)
        if count != range_.rows:
            raise FileProblem(
                f"{range_.rows} rows were found from line {range_.row} on, and now {count}",
                range_.row,
                "don't write to files while they are read",
            )
        return rows

    def _fitting(self, ends: Places, current: FileRange, bounds: PartitionBounds) -> int:
        """How many of the records that end there still fit into the current range."""
        rows = np.arange(current.rows + 1, current.rows + 1 + len(ends))
        size = ends - current.begin + rows * len(self._names) * _OFFSET
        fits = (rows <= bounds.rows) & (size <= bounds.bytes)
        count = int(np.argmin(fits)) if not fits.all() else len(fits)
        return count or int(current.rows == 0)
