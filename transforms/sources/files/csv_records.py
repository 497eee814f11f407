"""Where the records of a CSV file begin: exactly, also if there are newlines between quotes.

A line ends with LF, CR LF or CR. Blank lines are no records; in a file with one column they are
malformed, since PostgreSQL writes a NULL in this way.

A quote that is opened and not closed would swallow the lines after it. So a record of several
lines is one malformed line, the first, if it has another number of fields than the header or if
text follows a quote that closes; the lines after it are read again. On a single line that
text makes it malformed too, since a reader would have to alter the value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO

import numpy as np

from transforms.sources.files.csv_structure import (
    CR,
    LF,
    Bytes,
    Dialect,
    Flags,
    Places,
    Structure,
    count_lines,
    line_ends,
    read_structure,
)

BLOCK = 1 << 20
"""Bytes that are looked at together: with ten times as many, a block with many malformed lines
takes long, and with a tenth the calls count."""

LONGEST_RECORD = 64 << 20
"""Bytes after which a quote counts as not closed, and a line as too long to be read at all."""

UNCLOSED, LOOSE, TOO_LONG, UNKNOWN_ESCAPE, BLANK = 0, -1, -2, -3, -4
"""In place of the number of fields: a quote isn't closed, text follows one that closes, a line has
no end, an escape means nothing, or a line is blank and may be a row without a value."""

_WINDOW = 4096
"""Bytes that are looked at after a malformed line: another may follow, and then most of what was
looked at is looked at again."""


@dataclass(frozen=True)
class Records:
    """The records of a block, in their order.

    ``begins`` and ``ends`` are offsets in bytes, the ends after the line's own; ``lines`` the
    numbers of their first lines; ``fields`` how many each has if they are counted, or
    ``UNCLOSED`` or ``LOOSE``.
    """

    begins: Places
    ends: Places
    lines: Places
    fields: Places

    def __len__(self) -> int:
        return len(self.begins)


def records_of(
    stream: IO[bytes], begin: int, end: int | None, line: int, dialect: Dialect
) -> Iterator[tuple[bytes, int, Records]]:
    """The records from ``begin``, where one begins on ``line``, to ``end`` or the file's end.

    ``stream`` stands at ``begin``, and ``end`` is where a record ends. Gives blocks of whole
    lines: their bytes, where they begin in the file, and their records, whose offsets are
    within the block. Of a line that is too long there is a record, and no bytes.
    """
    rest = b""
    while True:
        # Twice as many as before, since all that has no end so far is looked at again.
        wanted = min(max(BLOCK, len(rest)), LONGEST_RECORD + BLOCK)
        if end is not None:
            wanted = min(wanted, end - begin - len(rest))
        read = stream.read(wanted) if wanted else b""
        data = rest + read
        last = not read or (end is not None and begin + len(data) >= end)
        if last and not data:
            return
        records, used, lines = _split_block(data, line, last, dialect)
        if used:
            records.fields[records.ends - records.begins > LONGEST_RECORD] = TOO_LONG
            yield data[:used], begin, records
        begin, line, rest = begin + used, line + lines, data[used:]
        if last:
            return
        if len(rest) > LONGEST_RECORD:
            length, rest = _skip_line(rest, stream, None if end is None else end - begin)
            yield b"", begin, _one_record(length, line, TOO_LONG)
            begin, line = begin + length, line + 1


def _skip_line(rest: bytes, stream: IO[bytes], most: int | None) -> tuple[int, bytes]:
    """Read up to the end of a line of which ``rest`` is the beginning.

    Gives the bytes of the line, and what was read behind it. It has ``most`` bytes at most.
    """
    length = 0
    while True:
        places = [place for place in (rest.find(b"\n"), rest.find(b"\r")) if place >= 0]
        end = min(places, default=len(rest))
        after = end + (2 if rest[end : end + 2] == b"\r\n" else 1)
        # A CR at the end may be half of CR LF.
        if after < len(rest) or rest[end:after] in (b"\n", b"\r\n"):
            return length + after, rest[after:]
        kept = rest[end:]
        length += len(rest) - len(kept)
        wanted = BLOCK if most is None else min(BLOCK, most - length - len(kept))
        read = stream.read(wanted) if wanted else b""
        if not read:
            return length + len(kept), b""
        rest = kept + read


def _one_record(length: int, line: int, fields: int) -> Records:
    """The record of ``length`` bytes that begins a block."""
    columns = ([0], [length], [line], [fields])
    return Records(*(np.array(column, np.int64) for column in columns))


def _split_block(data: bytes, line: int, last: bool, dialect: Dialect) -> tuple[Records, int, int]:
    """The records of ``data``, the bytes and the lines that they take up.

    ``last``: nothing comes after ``data`` that could close a quote or end a line.
    """
    parts: list[Records] = []
    start = lines = 0
    window = len(data)
    while start < len(data):
        piece = data[start : start + window]
        whole = start + len(piece) == len(data)
        part, used, broken = _split_piece(piece, line + lines, last and whole, dialect)
        if used:
            parts.append(replace(part, begins=part.begins + start, ends=part.ends + start))
            lines += count_lines(piece[:used])
            start += used
        if whole and not broken:
            break
        window = _WINDOW if broken else 2 * window
    if not parts:
        none = np.zeros(0, np.int64)
        return Records(none, none, none, none), 0, 0
    joined = [np.concatenate([getattr(p, name) for p in parts]) for name in _COLUMNS]
    return Records(*joined), start, lines


_COLUMNS = ("begins", "ends", "lines", "fields")


def _split_piece(data: bytes, line: int, last: bool, dialect: Dialect) -> tuple[Records, int, bool]:
    """The records of ``data`` up to the first malformed line that others follow, the bytes that
    they take up, and whether there is such a line."""
    ends = line_ends(np.frombuffer(data, np.uint8), last)
    structure = read_structure(data, dialect)
    goes_on = structure.is_within(ends - 1) | np.isin(ends - 1, structure.escaped)
    last_lines = np.flatnonzero(~goes_on)
    boundaries = ends[last_lines]
    begins = np.concatenate([[0], boundaries[:-1]])[: len(boundaries)]
    # How many lines end before a record begins.
    before = np.concatenate([[0], last_lines[:-1] + 1])[: len(boundaries)]
    has_several = last_lines > before
    fields, malformed = _count_fields(structure, boundaries, dialect, bool(has_several.any()))
    wrong = has_several & (malformed | ((dialect.fields is not None) & (fields != dialect.fields)))
    records = Records(begins, boundaries, line + before, fields)
    broken = int(np.flatnonzero(wrong)[0]) if wrong.any() else None
    used = int(boundaries[-1]) if len(boundaries) else 0
    if broken is None and len(ends) and ends[-1] > used:
        # The rest are lines within a quote that isn't closed so far.
        broken = len(records) if last or len(data) - used > LONGEST_RECORD else None
    if broken is not None:
        records = _cut_to_line(records, broken, ends, line)
        used = int(records.ends[-1])
    return _mark_blanks(structure.plain, records, dialect), used, broken is not None


def _count_fields(
    structure: Structure, boundaries: Places, dialect: Dialect, several: bool
) -> tuple[Places, Flags]:
    """The fields of the records that end at ``boundaries``, and which records are malformed.

    Fields are counted if the dialect asks for it or a record has ``several`` lines.
    """
    fields: Places = np.zeros(len(boundaries), np.int64)
    if dialect.counts_fields or several:
        fields = 1 + _count_between(structure.delimiters(dialect), boundaries)
    malformed: Flags = _count_between(structure.loose_quotes(dialect), boundaries) > 0
    fields[malformed] = LOOSE
    if len(structure.unknown):
        is_unknown = _count_between(structure.unknown, boundaries) > 0
        fields[is_unknown] = UNKNOWN_ESCAPE
        malformed |= is_unknown
    return fields, malformed


def _count_between(places: Places, boundaries: Places) -> Places:
    """How many of ``places`` lie before each boundary and after the one before."""
    return np.diff(np.searchsorted(places, boundaries), prepend=0)


def _cut_to_line(records: Records, broken: int, ends: Places, line: int) -> Records:
    """The records before ``broken``, and its first line as a record that isn't closed."""
    begin = int(records.ends[broken - 1]) if broken else 0
    number = int(np.searchsorted(ends, begin, side="right"))
    return Records(
        np.append(records.begins[:broken], begin),
        np.append(records.ends[:broken], ends[number]),
        np.append(records.lines[:broken], line + number),
        np.append(records.fields[:broken], UNCLOSED),
    )


def _mark_blanks(text: Bytes, records: Records, dialect: Dialect) -> Records:
    """The records but for blank lines, which are marked where a record has one field."""
    lengths = records.ends - records.begins
    blank = lengths == 0
    if (lengths <= 2).any():
        short = np.flatnonzero((lengths > 0) & (lengths <= 2))
        firsts = text[records.begins[short]]
        blank[short] = (firsts == LF) | (firsts == CR)
    if dialect.fields == 1:
        records.fields[blank & (lengths > 0)] = BLANK
        blank &= lengths == 0
    kept = ~blank
    return Records(
        records.begins[kept],
        records.ends[kept],
        records.lines[kept],
        records.fields[kept],
    )
