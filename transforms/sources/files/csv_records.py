"""Where the records of a CSV file begin: exactly, whatever stands between quotes.

A quote opens a field only at its beginning, as in RFC 4180; anywhere else it is a character
like any other (``5" tube``). Within quotes a newline is one of the value, and two quotes are one.
A line ends with LF, CR LF or CR. Blank lines are no records; in a file with one column they are
malformed, since PostgreSQL writes a NULL there so.

A quote that is opened and not closed would swallow the lines after it. So a record of several
lines is one malformed line, the first, if it has another number of fields than the header or if
text follows a quote that closes; the lines after it are looked at anew. On a single line that
text makes it malformed too, since a reader would have to alter the value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO, Any, cast

import numpy as np

from transforms.sources.files.csv_escapes import (
    escaped_places,
    nulls_among,
    unknown_escapes,
    without_structure,
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

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Places = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

_LF, _CR = 10, 13


@dataclass(frozen=True)
class Dialect:
    """How a file is written: delimiter, quote (None: no value is quoted), fields in a record
    (None: any number), escape (None: each byte is itself).

    Without ``counts_fields`` it isn't looked how many each record has, which takes longer.
    """

    delimiter: int
    quote: int | None
    fields: int | None
    counts_fields: bool = True
    escape: int | None = None


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
        records, used, lines = _split(data, line, last, dialect)
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
    """Reads up to the end of a line of which ``rest`` is the beginning.

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


def _split(data: bytes, line: int, last: bool, dialect: Dialect) -> tuple[Records, int, int]:
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
    found = np.frombuffer(data, np.uint8)
    ends = _line_ends(found, last)
    goes_on: Flags = np.zeros(len(ends), np.bool_)
    unknown: Places = np.zeros(0, np.int64)
    nulls: Places = unknown
    if dialect.escape is not None:
        escaped = escaped_places(found, dialect.escape)
        goes_on = np.isin(ends - 1, escaped)
        unknown = unknown_escapes(found, escaped, dialect.escape, dialect.delimiter)
        nulls = nulls_among(found, escaped)
        plain = without_structure(data, escaped, dialect.delimiter, dialect.quote)
        found = np.frombuffer(plain, np.uint8)
    opened, closed = _quoted(found, dialect)
    if len(nulls):
        unknown = np.union1d(unknown, nulls[_within(nulls, opened, closed)])
    last_of = np.flatnonzero(~(_within(ends - 1, opened, closed) | goes_on))
    boundaries = ends[last_of]
    begins = np.concatenate([[0], boundaries[:-1]])[: len(boundaries)]
    # How many lines end before a record begins.
    before = np.concatenate([[0], last_of[:-1] + 1])[: len(boundaries)]
    several = last_of > before
    fields: Places = np.zeros(len(boundaries), np.int64)
    if dialect.counts_fields or several.any():
        delimiters = np.flatnonzero(found == dialect.delimiter)
        delimiters = delimiters[~_within(delimiters, opened, closed)]
        fields = 1 + np.diff(np.searchsorted(delimiters, boundaries), prepend=0)
    loose = np.diff(np.searchsorted(_loose(found, closed, dialect), boundaries), prepend=0) > 0
    fields[loose] = LOOSE
    if len(unknown):
        senseless = np.diff(np.searchsorted(unknown, boundaries), prepend=0) > 0
        fields[senseless] = UNKNOWN_ESCAPE
        loose |= senseless
    wrong = several & (loose | ((dialect.fields is not None) & (fields != dialect.fields)))
    records = Records(begins, boundaries, line + before, fields)
    broken = int(np.flatnonzero(wrong)[0]) if wrong.any() else None
    used = int(boundaries[-1]) if len(boundaries) else 0
    if broken is None and len(ends) and ends[-1] > used:
        # What is left are lines within a quote that isn't closed so far.
        broken = len(records) if last or len(found) - used > LONGEST_RECORD else None
    if broken is None:
        return _judge_blanks(found, records, dialect), used, False
    first = int(records.ends[broken - 1]) if broken else 0
    first_line_end = int(ends[np.searchsorted(ends, first, side="right")])
    whole = Records(
        np.append(records.begins[:broken], first),
        np.append(records.ends[:broken], first_line_end),
        np.append(records.lines[:broken], line + int(np.searchsorted(ends, first, side="right"))),
        np.append(records.fields[:broken], UNCLOSED),
    )
    return _judge_blanks(found, whole, dialect), first_line_end, True


def _line_ends(found: Bytes, last: bool) -> Places:
    """The offsets after each line; what isn't ended counts where nothing comes after it."""
    newlines: Places = np.flatnonzero(found == _LF) + 1
    returns: Places = np.flatnonzero(found == _CR) + 1
    if len(returns):
        # Of CR LF only the second ends the line; a CR at the end may be half of it.
        known = returns[returns < len(found)]
        alone = known[found[known] != _LF]
        if last and len(known) < len(returns):
            alone = np.append(alone, len(found))
        if len(alone):
            newlines = np.union1d(newlines, alone)
    if last and (not len(newlines) or newlines[-1] < len(found)):
        newlines = np.append(newlines, len(found))
    return newlines.astype(np.int64)


def count_lines(data: bytes) -> int:
    """The lines of ``data``, the last of which needs no end."""
    return len(_line_ends(np.frombuffer(data, np.uint8), True)) if data else 0


def _quoted(found: Bytes, dialect: Dialect) -> tuple[Places, Places]:
    """The offsets of the quotes that open a field, and of those that close it.

    One that isn't closed within ``found`` closes at its end.
    """
    none = np.zeros(0, np.int64)
    if dialect.quote is None:
        return none, none
    quotes = np.flatnonzero(found == dialect.quote)
    if not len(quotes):
        return none, none
    before = np.where(quotes > 0, found[quotes - 1], _LF)
    begins = (before == dialect.delimiter) | (before == _LF) | (before == _CR)
    after = found[np.minimum(quotes + 1, len(found) - 1)]
    ends = (after == dialect.delimiter) | (after == _LF) | (after == _CR)
    ends |= quotes == len(found) - 1
    follows = np.append([False], np.diff(quotes) == 1)
    opening, closing = slice(0, None, 2), slice(1, None, 2)
    # Each second quote opens, or is the second of two that are one; each other one closes, or
    # is the first of two. So it is nearly always, and then it needn't be gone through.
    regular = (begins[opening] | follows[opening]).all() and (
        ends[closing] | np.append(follows[1:], False)[closing]
    ).all()
    if regular:
        opened, closed = quotes[opening], quotes[closing]
    else:
        opened, closed = _one_by_one(quotes, begins, follows)
    if len(closed) < len(opened):
        closed = np.append(closed, len(found))
    return opened, closed


def _one_by_one(quotes: Places, begins: Flags, follows: Flags) -> tuple[Places, Places]:
    """The same where some quotes are characters like any other."""
    opened, closed = [], []
    places = cast("list[int]", quotes.tolist())
    starts, doubled = (cast("list[bool]", flags.tolist()) for flags in (begins, follows))
    number, count = 0, len(places)
    while number < count:
        if not starts[number]:
            number += 1
            continue
        opened.append(places[number])
        number += 1
        while number + 1 < count and doubled[number + 1]:
            number += 2
        if number < count:
            closed.append(places[number])
            number += 1
    return np.array(opened, np.int64), np.array(closed, np.int64)


def _loose(found: Bytes, closed: Places, dialect: Dialect) -> Places:
    """The quotes that close, and don't end their field."""
    inner = closed[closed < len(found) - 1]
    after = found[inner + 1]
    ends = (after == dialect.delimiter) | (after == _LF) | (after == _CR) | (after == dialect.quote)
    loose: Places = inner[~ends]
    return loose


def _within(places: Places, opened: Places, closed: Places) -> Flags:
    """Which of ``places`` lie between a quote that opens and the one that closes."""
    if not len(opened):
        return np.zeros(len(places), np.bool_)
    # A file may end with a quote that opens: it lies within as well.
    latest = np.searchsorted(opened, places, side="right") - 1
    within: Flags = (latest >= 0) & (places < closed[np.maximum(latest, 0)])
    return within


def _judge_blanks(found: Bytes, records: Records, dialect: Dialect) -> Records:
    """The records but for blank lines, which are marked where a record has one field."""
    lengths = records.ends - records.begins
    blank = lengths == 0
    if (lengths <= 2).any():
        short = np.flatnonzero((lengths > 0) & (lengths <= 2))
        firsts = found[records.begins[short]]
        blank[short] = (firsts == _LF) | (firsts == _CR)
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
