"""From the records of a CSV file to a batch of texts, and to the lines that can't be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from schemas.errors import ErrorCode
from transforms.sources.files.csv_escapes import escaped_places, unescape, without_structure
from transforms.sources.files.csv_records import (
    BLANK,
    LOOSE,
    TOO_LONG,
    UNCLOSED,
    UNKNOWN_ESCAPE,
    Records,
)
from transforms.sources.files.csv_structure import Places
from transforms.sources.files.file_format import FileRows, Malformed

TOO_FEW = (ErrorCode.DATA_001, "line.fields", "too_few_fields")
TOO_MANY = (ErrorCode.DATA_001, "line.fields", "too_many_fields")
NOT_CLOSED = (ErrorCode.DATA_001, "line.quotes", "unclosed_quote")
AFTER_QUOTE = (ErrorCode.DATA_001, "line.quotes", "text_after_quote")
LINE_TOO_LONG = (ErrorCode.DATA_003, "line.length", "line_too_long")
SENSELESS = (ErrorCode.DATA_001, "line.escapes", "unknown_escape")
BLANK_LINE = (ErrorCode.DATA_001, "line.fields", "blank_line")
NO_TEXT = (ErrorCode.DATA_003, "line.encoding", "undecodable")

_FAULTS = {
    UNCLOSED: NOT_CLOSED,
    LOOSE: AFTER_QUOTE,
    TOO_LONG: LINE_TOO_LONG,
    UNKNOWN_ESCAPE: SENSELESS,
    BLANK: BLANK_LINE,
}


def read_records(
    blocks: Iterable[tuple[bytes, Records]],
    fields: int,
    wanted: Sequence[tuple[int, str]],
    encoding: str,
    parsing: pa.csv.ParseOptions,
    nulls: Sequence[str],
    escape: str | None = None,
) -> FileRows:
    """The records of blocks as texts: ``wanted`` are position and name of columns.

    ``fields`` is how many a record has to have, ``encoding`` is UTF-8 or has one byte for each
    character. A value that isn't quoted is NULL where it is empty or one of ``nulls``.
    """
    delimiter, quote = parsing.delimiter, parsing.quote_char or None
    parts: list[bytes] = []
    lines: list[Places] = []
    places: list[Places] = []
    malformed: list[Malformed] = []
    count = 0
    for data, records in blocks:
        whole = records.fields == fields
        whole, undecodable = _decodable(data, records, whole, encoding)
        for number in np.flatnonzero(~whole):
            what = NO_TEXT if number in undecodable else _fault(int(records.fields[number]), fields)
            place = count + int(number)
            malformed.append(Malformed(place, int(records.lines[number]), *what))
        if escape is not None:
            escaped = escaped_places(np.frombuffer(data, np.uint8), ord(escape))
            data = without_structure(data, escaped, ord(delimiter), quote and ord(quote))
        parts += _runs(data, records, whole)
        lines.append(records.lines[whole])
        places.append(count + np.flatnonzero(whole))
        count += len(records)
    numbers = np.concatenate([np.zeros(0, np.int64), *lines])
    text = b"".join(parts)
    if encoding != "utf-8":
        text = text.decode(encoding).encode()
    if escape is not None:
        nulls = (*nulls, f"{escape}N")
    batch = _parse(text, fields, len(numbers), wanted, parsing, nulls)
    if escape is not None:
        columns = [unescape(column, escape, delimiter, quote) for column in batch.columns]
        batch = pa.RecordBatch.from_arrays(columns, schema=batch.schema)
    return FileRows(
        batch,
        pa.array(np.concatenate([np.zeros(0, np.int64), *places]), pa.int32()),
        pa.array(numbers, pa.int64()),
        tuple(malformed),
    )


def _fault(count: int, fields: int) -> tuple[ErrorCode, str, str]:
    if count in _FAULTS:
        return _FAULTS[count]
    return TOO_FEW if count < fields else TOO_MANY


def _decodable(
    data: bytes, records: Records, whole: Any, encoding: str
) -> tuple[Any, frozenset[int]]:
    """Those of the ``whole`` records that are text in the encoding, and the others."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        lost = [
            number
            for number in np.flatnonzero(whole).tolist()
            if not _is_text(data[records.begins[number] : records.ends[number]], encoding)
        ]
        whole = whole.copy()
        whole[lost] = False
        return whole, frozenset(lost)
    return whole, frozenset()


def _is_text(record: bytes, encoding: str) -> bool:
    try:
        record.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _runs(data: bytes, records: Records, whole: Any) -> list[bytes]:
    """The bytes of the whole records, those that follow each other in one piece."""
    if not len(records):
        return []
    if whole.all():
        return [data[records.begins[0] : records.ends[-1]]]
    edges = np.diff(np.concatenate([[False], whole, [False]]).astype(np.int8))
    firsts, behind = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [
        data[records.begins[first] : records.ends[last]]
        for first, last in zip(firsts, behind - 1, strict=True)
    ]


def _parse(
    text: bytes,
    fields: int,
    count: int,
    wanted: Sequence[tuple[int, str]],
    parsing: pa.csv.ParseOptions,
    nulls: Sequence[str],
) -> pa.RecordBatch:
    names = [name for _, name in wanted]
    schema = pa.schema([(name, pa.string()) for name in names])
    if not count or not wanted:
        empty = [pa.nulls(count, pa.string()) for _ in names]
        return pa.RecordBatch.from_arrays(empty, schema=schema)
    labels = [str(number) for number in range(fields)]
    table = pa.csv.read_csv(
        pa.BufferReader(text),
        read_options=pa.csv.ReadOptions(
            column_names=labels, block_size=len(text) + 1, use_threads=False
        ),
        parse_options=parsing,
        convert_options=pa.csv.ConvertOptions(
            include_columns=list(dict.fromkeys(labels[position] for position, _ in wanted)),
            column_types=dict.fromkeys(labels, pa.string()),
            null_values=["", *nulls],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    if table.num_rows != count:
        raise AssertionError(f"{count} records were found, and {table.num_rows} rows read")
    columns = [table.column(labels[position]).combine_chunks() for position, _ in wanted]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
