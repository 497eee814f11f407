"""Where records begin, held against a reading of one character after the other."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.sources.files import csv_records
from transforms.sources.files.csv_records import records_of
from transforms.sources.files.csv_structure import Dialect

COMMA, QUOTE = ord(","), ord('"')


@dataclass
class Found:
    """A record: where it begins and ends, its first line, its fields; None: a quote is wrong."""

    begin: int
    end: int
    line: int
    fields: int | None


def by_character(text: bytes, fields: int, quote: int | None = QUOTE) -> list[Found]:
    """The records of a whole file, character by character."""
    found = []
    at, line = 0, 1
    while at < len(text):
        end, lines, count, sound = one_record(text, at, quote)
        if lines > 1 and count != fields:
            sound = False
        if not sound:
            end, _, _, _ = one_record(text, at, None)
            found.append(Found(at, end, line, None))
            lines = 1
        elif text[at:end].strip(b"\r\n"):
            found.append(Found(at, end, line, count))
        elif fields == 1:
            # It may be a row without a value.
            found.append(Found(at, end, line, None))
        at, line = end, line + lines
    return found


def one_record(text: bytes, at: int, quote: int | None) -> tuple[int, int, int, bool]:
    """Where a record ends, over how many lines it goes, its fields, and whether its quotes are
    closed, and at the end of their fields."""
    lines = fields = 1
    begins, inside, loose = True, False, False
    while at < len(text):
        char = text[at]
        if inside:
            if char == quote and text[at + 1 : at + 2] == bytes([char]):
                at += 1
            elif char == quote:
                inside = False
                loose |= text[at + 1 : at + 2] not in (b"", b",", b"\r", b"\n")
            elif char == 10 or (char == 13 and text[at + 1 : at + 2] != b"\n"):
                lines += 1
        elif char == quote and begins:
            inside = True
        elif char == COMMA:
            fields, begins = fields + 1, True
            at += 1
            continue
        elif char == 13 and text[at + 1 : at + 2] == b"\n":
            return at + 2, lines, fields, not loose
        elif char in (10, 13):
            return at + 1, lines, fields, not loose
        begins = False
        at += 1
    # A line that the file's end ends is one as well.
    return at, lines, fields, not inside and not loose


def found_in(text: bytes, dialect: Dialect, begin: int = 0, line: int = 1) -> list[Found]:
    found = []
    stream = io.BytesIO(text)
    stream.seek(begin)
    for data, offset, records in records_of(stream, begin, None, line, dialect):
        columns = (records.begins, records.ends, records.lines, records.fields)
        found += [
            Found(
                int(begin) + offset,
                int(end) + offset,
                int(first),
                int(fields) if fields > 0 else None,
            )
            for begin, end, first, fields in zip(*columns, strict=True)
        ]
        assert data[: records.ends[-1] if len(records) else 0] in text
    return found


texts = st.lists(
    st.sampled_from(
        [b"a", b"bc", b",", b",", b'"', b'""', b"\n", b"\r\n", b"\r", b'",', b',"', b" "]
    ),
    max_size=60,
).map(b"".join)


@settings(max_examples=600, deadline=None)
@given(text=texts, fields=st.integers(1, 4), block=st.sampled_from([1, 2, 3, 7, 1000]))
def test_records_are_those_that_a_reader_of_characters_finds(
    text: bytes, fields: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(csv_records, "BLOCK", block)
        found = found_in(text, Dialect(COMMA, QUOTE, fields))
    assert found == by_character(text, fields)


@settings(max_examples=200, deadline=None)
@given(text=texts, fields=st.integers(1, 4))
def test_from_any_record_on_the_others_are_the_same(text: bytes, fields: int) -> None:
    dialect = Dialect(COMMA, QUOTE, fields)
    found = found_in(text, dialect)
    for number, record in enumerate(found):
        assert found_in(text, dialect, record.begin, record.line) == found[number:]


@settings(max_examples=100, deadline=None)
@given(text=texts)
def test_without_quotes_each_line_is_a_record(text: bytes) -> None:
    assert found_in(text, Dialect(COMMA, None, 2)) == by_character(text, 2, None)


def test_a_quote_that_is_never_closed_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records, "LONGEST_RECORD", 100)
    monkeypatch.setattr(csv_records, "BLOCK", 10)
    text = b'1,"oops\n' + b"".join(b"%d,x\n" % number for number in range(100))
    found = found_in(text, Dialect(COMMA, QUOTE, 2))
    assert len(found) == 101
    assert (found[0].fields, found[0].end) == (None, 8)
    assert {record.fields for record in found[1:]} == {2}


def test_after_a_malformed_line_little_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line opens a quote that the next one's closes."""
    looked_at = []
    split = csv_records._split_piece

    def counting(data: bytes, *rest: Any) -> Any:
        looked_at.append(len(data))
        return split(data, *rest)

    monkeypatch.setattr(csv_records, "_split_piece", counting)
    text = b'1,"x y,z\n' * 1_000
    found = found_in(text, Dialect(COMMA, QUOTE, 3))
    assert [record.fields for record in found] == [None] * 1_000
    assert sum(looked_at) < 2 * len(text) + 1_000 * csv_records._WINDOW
