"""Avro files in every codec, divided by their blocks; those that are damaged."""

from __future__ import annotations

import io

import fastavro
import pytest

from transforms.model.slices import PartitionBounds
from transforms.sources.files.avro_file import AvroFormat, OpenAvro
from transforms.sources.files.file_format import FileProblem

CODECS = ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")

SCHEMA = {
    "type": "record",
    "name": "note",
    "fields": [{"name": "id", "type": "long"}, {"name": "text", "type": ["null", "string"]}],
}

ROWS = [{"id": n, "text": None if n % 7 == 0 else f"note {n} é"} for n in range(1, 1001)]


def written(codec: str) -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, SCHEMA, ROWS, codec=codec, sync_interval=500)
    return file.getvalue()


@pytest.mark.parametrize("codec", CODECS)
def test_every_row_in_one_of_the_ranges(codec: str) -> None:
    file = AvroFormat().open(io.BytesIO(written(codec)))
    ranges = list(file.ranges("notes.avro", PartitionBounds(rows=100)))
    assert len(ranges) >= 10
    assert sum(range_.rows for range_ in ranges) == len(ROWS)
    found = []
    for range_ in ranges:
        rows = file.read(range_, ["id", "text"])
        assert rows.numbers.to_pylist()[0] == range_.row
        found += rows.batch.to_pylist()
    assert found == ROWS


@pytest.mark.parametrize("codec", CODECS[1:])
def test_a_damaged_block_is_told_as_such(codec: str) -> None:
    content = bytearray(written(codec))
    file = AvroFormat().open(io.BytesIO(bytes(content)))
    range_ = list(file.ranges("notes.avro", PartitionBounds(rows=100)))[3]
    middle = (range_.begin + range_.end) // 2
    content[middle - 20 : middle + 20] = b"\xff" * 40
    with pytest.raises(FileProblem, match="rows were found"):
        AvroFormat().open(io.BytesIO(bytes(content))).read(range_, ["id"])


def test_a_codec_that_is_none() -> None:
    content = written("null").replace(b"avro.codec\x08null", b"avro.codec\x08none")
    with pytest.raises(FileProblem, match="compressed with 'none'"):
        AvroFormat().open(io.BytesIO(content))


DATE = {"type": "int", "logicalType": "date"}


def one_column(kind: object, values: list[object]) -> OpenAvro:
    """A file with the column ``v`` of that type."""
    file = io.BytesIO()
    schema = {"type": "record", "name": "r", "fields": [{"name": "v", "type": kind}]}
    fastavro.writer(file, schema, [{"v": value} for value in values])
    return AvroFormat().open(file)


def test_a_nested_date_after_9999_is_lost() -> None:
    file = one_column({"type": "array", "items": DATE}, [[1], [3_000_000], []])
    (range_,) = file.ranges("t.avro", PartitionBounds())
    rows = file.read(range_, ["v"])
    assert rows.batch.column("v").to_pylist() == ['["1970-01-02"]', None, "[]"]
    assert rows.lost["v"].to_pylist() == [False, True, False]


def test_a_nested_union_of_which_a_value_may_be_a_date_converts_to_nothing() -> None:
    (column,) = one_column({"type": "array", "items": [DATE, "long"]}, []).columns
    assert column.type.name == "union"
    (column,) = one_column({"type": "array", "items": ["null", DATE]}, []).columns
    assert column.type.name == "json"
