"""Escapes of MySQL, Hive and COPY: what was written is read, and what is unclear is not."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.model.slices import PartitionBounds
from transforms.sources.files import csv_records
from transforms.sources.files.csv_file import CsvFormat
from transforms.sources.files.file_format import FileRange

Rows = list[tuple[str | None, ...]]

WRITTEN = {
    "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\b": "\\b", "\x1a": "\\Z",
}  # fmt: skip


def rows_of(content: bytes, form: CsvFormat) -> tuple[Rows, list[tuple[int, str]]]:
    """The rows of a file with the columns a and b, and its malformed lines."""
    file = form.open(io.BytesIO(content))
    rows: Rows = []
    malformed = []
    for range_ in list(file.ranges("f", PartitionBounds(rows=3))):
        found = file.read(FileRange.parse(str(range_)), ["a", "b"])
        rows += zip(*(column.to_pylist() for column in found.batch.columns), strict=True)
        malformed += [(one.row, one.reason) for one in found.malformed]
    return rows, malformed


def form(quote: str | None = None, delimiter: str = "\t") -> CsvFormat:
    return CsvFormat(delimiter, quote, names=("a", "b"), header=False, escape="\\")


characters = st.sampled_from(list("ab,;N\\\"'\n\r\t\0\b\x1a\v .\x01\x04é€"))
values = st.none() | st.text(characters, min_size=1, max_size=5)


def escaped(value: str | None, special: str, literal_newlines: bool) -> str:
    if value is None:
        return "\\N"
    parts = []
    for character in value:
        if character in special or (character == "\n" and literal_newlines):
            parts.append("\\" + character)
        else:
            parts.append(WRITTEN.get(character, character))
    return "".join(parts)


@settings(max_examples=120, deadline=None)
@given(
    rows=st.lists(st.tuples(values, values), min_size=1, max_size=6),
    delimiter=st.sampled_from("\t,"),
    quote=st.sampled_from([None, '"']),
    literal_newlines=st.booleans(),
    block=st.sampled_from([3, 1000]),
)
def test_what_is_written_with_escapes_is_read(
    rows: Rows, delimiter: str, quote: str | None, literal_newlines: bool, block: int
) -> None:
    special = delimiter + (quote or "")

    def field(value: str | None) -> str:
        text = escaped(value, special, literal_newlines)
        return text if value is None or quote is None else quote + text + quote

    content = "".join(delimiter.join(map(field, row)) + "\n" for row in rows)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(csv_records, "BLOCK", block)
        assert rows_of(content.encode(), form(quote, delimiter)) == (rows, [])


@pytest.mark.parametrize(
    "field",
    [r"\q", r"\1", r"\x41", r"\Na", r"a\N", r"a\,\N", "\\\x01", r"\.", r"\U", '"\\N"', '"a,\\N,b"'],
)
def test_what_does_not_mean_the_same_to_everybody_is_malformed(field: str) -> None:
    content = f"1,x\n2,{field}\n3,y\n".encode()
    expected = ([("1", "x"), ("3", "y")], [(2, "unknown_escape")])
    assert rows_of(content, form('"', ",")) == expected


def test_lines_are_counted_as_they_stand_in_the_file() -> None:
    content = b"1\ta\\\nb\\\r\nc\n2\tx\ty\n3\t\\\\\n4\t\\"
    rows, malformed = rows_of(content, form())
    assert rows == [("1", "a\nb\r\nc"), ("3", "\\")]
    assert malformed == [(4, "too_many_fields"), (6, "unknown_escape")]


def test_a_quote_that_is_escaped_closes_nothing() -> None:
    content = b'1,"5\\" tube, ""big"""\n2,\\"x\n'
    assert rows_of(content, form('"', ",")) == ([("1", '5" tube, "big"'), ("2", '"x')], [])


def test_a_line_without_end_is_one_malformed_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records, "BLOCK", 8)
    monkeypatch.setattr(csv_records, "LONGEST_RECORD", 50)
    sound = CsvFormat(names=("a", "b"), header=False)
    for end in (b"\n", b"\r\n", b"\r"):
        for length in (49, 60, 61, 62, 63, 64, 1000):
            for value in (b"x" * length, b'"' + b"x" * length + b'"', b'"' + b"x" * length):
                content = b"1,a" + end + b"2," + value + end + b"3,b" + end
                rows, malformed = rows_of(content, sound)
                assert rows[0] == ("1", "a")
                assert ("3", "b") in rows or value.count(b'"') == 1
                assert [line for line, _ in malformed] == [2] or length == 49
        content = b"1,a" + end + b"2," + b"x" * 1000
        assert rows_of(content, sound) == ([("1", "a")], [(2, "line_too_long")])
