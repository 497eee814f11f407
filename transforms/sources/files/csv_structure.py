"""Which bytes of delimited text have a meaning: line ends, delimiters, quotes and escapes.

A quote opens a field only at its beginning, as in RFC 4180; anywhere else it is a character
like any other (``5" tube``). Within quotes a newline is one of the value, and two quotes are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from transforms.sources.files.csv_escapes import (
    escaped_places,
    nulls_among,
    unknown_escapes,
    without_structure,
)

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Places = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

LF, CR = 10, 13


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        delimiter: the byte between fields.
        quote: the byte around a field; None if no value is quoted.
        fields: fields in a record; None for any number.
        counts_fields: whether the fields of each record are counted, which takes longer.
        escape: the byte that changes the meaning of the next one; None without escapes.
    """

    delimiter: int
    quote: int | None
    fields: int | None
    counts_fields: bool = True
    escape: int | None = None


@dataclass(frozen=True)
class Structure:
    """The meaning of the bytes of a text that begins with a record.

    Attributes:
        plain: the bytes, none of which looks structural because of an escape.
        opened: offsets of the quotes that open a field.
        closed: offsets of the quotes that close one; the length of the text for the last if it
            isn't closed.
        escaped: offsets of bytes behind an escape.
        unknown: offsets of those of them that mean nothing.
    """

    plain: Bytes
    opened: Places
    closed: Places
    escaped: Places
    unknown: Places

    def is_within(self, places: Places) -> Flags:
        """Which of ``places`` lie between a quote that opens and the one that closes."""
        return _is_within(places, self.opened, self.closed)

    def delimiters(self, dialect: Dialect) -> Places:
        """The offsets of the delimiters that divide fields."""
        places: Places = np.flatnonzero(self.plain == dialect.delimiter)
        return places[~self.is_within(places)]

    def loose_quotes(self, dialect: Dialect) -> Places:
        """The quotes that close, and don't end their field."""
        inner = self.closed[self.closed < len(self.plain) - 1]
        after = self.plain[inner + 1]
        ends = (after == dialect.delimiter) | (after == LF) | (after == CR)
        loose: Places = inner[~(ends | (after == dialect.quote))]
        return loose


def read_structure(data: bytes, dialect: Dialect) -> Structure:
    """Find out which bytes of ``data``, which begins with a record, have a meaning."""
    plain = np.frombuffer(data, np.uint8)
    none: Places = np.zeros(0, np.int64)
    if dialect.escape is None:
        return Structure(plain, *_find_quotes(plain, dialect), none, none)
    escaped = escaped_places(plain, dialect.escape)
    unknown = unknown_escapes(plain, escaped, dialect.escape, dialect.delimiter)
    nulls = nulls_among(plain, escaped)
    text = without_structure(data, escaped, dialect.delimiter, dialect.quote)
    plain = np.frombuffer(text, np.uint8)
    opened, closed = _find_quotes(plain, dialect)
    if len(nulls):
        # Within quotes it isn't NULL.
        unknown = np.union1d(unknown, nulls[_is_within(nulls, opened, closed)])
    return Structure(plain, opened, closed, escaped, unknown)


def line_ends(text: Bytes, last: bool) -> Places:
    """The offsets after each line; if this is the ``last`` text, its end is one too."""
    newlines: Places = np.flatnonzero(text == LF) + 1
    returns: Places = np.flatnonzero(text == CR) + 1
    if len(returns):
        # Of CR LF only the second ends the line; a CR at the end may be half of it.
        inner = returns[returns < len(text)]
        alone = inner[text[inner] != LF]
        if last and len(inner) < len(returns):
            alone = np.append(alone, len(text))
        if len(alone):
            newlines = np.union1d(newlines, alone)
    if last and (not len(newlines) or newlines[-1] < len(text)):
        newlines = np.append(newlines, len(text))
    return newlines.astype(np.int64)


def count_lines(data: bytes) -> int:
    """The lines of ``data``, the last of which needs no end."""
    return len(line_ends(np.frombuffer(data, np.uint8), True)) if data else 0


def _find_quotes(text: Bytes, dialect: Dialect) -> tuple[Places, Places]:
    """The offsets of the quotes that open a field, and of those that close it.

    One that isn't closed within ``text`` closes at its end.
    """
    none = np.zeros(0, np.int64)
    if dialect.quote is None:
        return none, none
    quotes = np.flatnonzero(text == dialect.quote)
    if not len(quotes):
        return none, none
    before = np.where(quotes > 0, text[quotes - 1], LF)
    begins = (before == dialect.delimiter) | (before == LF) | (before == CR)
    after = text[np.minimum(quotes + 1, len(text) - 1)]
    ends = (after == dialect.delimiter) | (after == LF) | (after == CR)
    ends |= quotes == len(text) - 1
    follows = np.append([False], np.diff(quotes) == 1)
    opening, closing = slice(0, None, 2), slice(1, None, 2)
    # Nearly always each second quote opens, or is the second of two that are one, and each other
    # one closes, or is the first of two. Then no loop is needed.
    regular = (begins[opening] | follows[opening]).all() and (
        ends[closing] | np.append(follows[1:], False)[closing]
    ).all()
    if regular:
        opened, closed = quotes[opening], quotes[closing]
    else:
        opened, closed = _one_by_one(quotes, begins, follows)
    if len(closed) < len(opened):
        closed = np.append(closed, len(text))
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


def _is_within(places: Places, opened: Places, closed: Places) -> Flags:
    """Which of ``places`` lie between a quote that opens and the one that closes."""
    if not len(opened):
        return np.zeros(len(places), np.bool_)
    # A file may end with a quote that opens: it lies within as well.
    latest = np.searchsorted(opened, places, side="right") - 1
    within: Flags = (latest >= 0) & (places < closed[np.maximum(latest, 0)])
    return within
