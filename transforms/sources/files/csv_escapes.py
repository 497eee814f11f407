"""Escapes in delimited text, as MySQL, Hive and PostgreSQL's ``COPY`` write them.

``\\t`` is a tab, ``\\N`` alone in a field is NULL, and before a delimiter, a quote, a newline or
itself the escape takes its meaning away. Only what all three read in the same way is read: a
letter or digit that means something to one of them and nothing to another makes its line malformed.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Places = np.ndarray[Any, np.dtype[np.int64]]

_LF, _CR, _NULL = 10, 13, ord("N")

_MEANINGS = {
    "0": "\0", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "Z": "\x1a",
}  # fmt: skip
"""The meanings of an escape and a letter in all systems that write them."""

_STRUCTURAL = "\x01\x02\x03\x04"
"""In place of an escaped delimiter, quote, CR and LF while records are taken apart."""


def escaped_places(text: Bytes, escape: int) -> Places:
    """The places of the bytes that follow an escape.

    ``text`` begins with a record. Of CR LF both are escaped.
    """
    escapes = np.flatnonzero(text == escape)
    if not len(escapes):
        return escapes
    # Of several in a row each second one is itself escaped.
    begins = np.diff(escapes, prepend=-2) != 1
    first_of_run = np.maximum.accumulate(np.where(begins, np.arange(len(escapes)), 0))
    active = (np.arange(len(escapes)) - first_of_run) % 2 == 0
    places = escapes[active] + 1
    places = places[places < len(text)]
    returns = places[text[places] == _CR] + 1
    returns = returns[returns < len(text)]
    return np.union1d(places, returns[text[returns] == _LF])


def unknown_escapes(text: Bytes, places: Places, escape: int, delimiter: int) -> Places:
    """Those of the escaped ``places`` that mean nothing, or not the same in all systems."""
    wrong = _NEVER[text[places]]
    of_null = text[places] == _NULL
    if of_null.any():
        # It is NULL only where nothing else stands in the field.
        ends = (delimiter, _LF, _CR)
        last = len(text) - 1
        before = np.where(places >= 2, text[np.maximum(places - 2, 0)], _LF)
        after = np.where(places < last, text[np.minimum(places + 1, last)], _LF)
        alone = np.isin(before, ends) & ~np.isin(places - 2, places) & np.isin(after, ends)
        wrong |= of_null & ~alone
    # A file that ends with an escape.
    last = len(text) - 1
    if len(text) and text[last] == escape and (not len(places) or places[-1] != last):
        return np.append(places[wrong], last)
    return places[wrong]


def nulls_among(text: Bytes, places: Places) -> Places:
    """Those of the escaped ``places`` that stand for NULL."""
    nulls: Places = places[text[places] == _NULL]
    return nulls


def _never_escaped() -> Flags:
    """For each byte whether it means nothing behind an escape."""
    flags = np.zeros(256, np.bool_)
    for byte in range(128):
        character = chr(byte)
        if character.isalnum() or character in _STRUCTURAL or character == ".":
            flags[byte] = character not in _MEANINGS and byte != _NULL
    return flags


_NEVER = _never_escaped()


def without_structure(text: bytes, places: Places, delimiter: int, quote: int | None) -> bytes:
    """The text in which no escaped byte can be taken for a delimiter, a quote or a newline."""
    plain = np.frombuffer(text, np.uint8).copy()
    bytes_of = {delimiter: 1, _CR: 3, _LF: 4} | ({} if quote is None else {quote: 2})
    escaped = plain[places]
    for byte, other in bytes_of.items():
        plain[places[escaped == byte]] = other
    return plain.tobytes()


def unescape(column: pa.Array, escape: str, delimiter: str, quote: str | None) -> pa.Array:
    """The values with what their escapes stand for; what has none is left as it is."""
    has_escape = pc.fill_null(pc.match_substring(column, escape), False)
    if not pc.any(has_escape).as_py():
        return column
    structural = (delimiter, quote or "", "\r", "\n")
    meanings = _MEANINGS | dict(zip(_STRUCTURAL, structural, strict=True)) | {"\x03\x04": "\r\n"}
    pattern = re.compile(re.escape(escape) + "(\x03\x04|.)", re.DOTALL)

    def substitute(match: re.Match[str]) -> str:
        return meanings.get(match[1], match[1])

    texts = [pattern.sub(substitute, text) for text in column.filter(has_escape).to_pylist()]
    return pc.replace_with_mask(column, has_escape, pa.array(texts, pa.string()))
