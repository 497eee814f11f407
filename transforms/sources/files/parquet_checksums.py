"""Whether the pages of a Parquet file have checksums: a flipped bit can't be seen without.

Arrow verifies them where they are, and doesn't say whether they are. The header of a page is a
struct of Thrift's compact protocol, in which the checksum is the optional fourth field. Source:
parquet-format 2.10, PageHeader; Thrift's compact protocol specification.
"""

from __future__ import annotations

from typing import IO

import pyarrow.parquet

_LONGEST_BEGINNING = 32
"""Bytes of three fields of 32 bits and the head of the next, with room to spare."""

_I32 = 5
_CHECKSUM = 4


def has_checksums(stream: IO[bytes], metadata: pyarrow.parquet.FileMetaData) -> bool:
    """Whether the first page of each column of each row group has a checksum."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for position in range(group.num_columns):
            column = group.column(position)
            begin = column.data_page_offset
            if column.has_dictionary_page and column.dictionary_page_offset:
                begin = min(begin, column.dictionary_page_offset)
            stream.seek(begin)
            if not _has_checksum(stream.read(_LONGEST_BEGINNING)):
                return False
    return True


def _has_checksum(header: bytes) -> bool:
    """Whether a page's header, of which this is the beginning, has its fourth field."""
    place = field = 0
    while place < len(header):
        delta, kind = header[place] >> 4, header[place] & 15
        if not delta:
            return False
        field += delta
        if field >= _CHECKSUM or kind != _I32:
            return field == _CHECKSUM and kind == _I32
        place += 1
        while place < len(header) and header[place] & 128:
            place += 1
        place += 1
    return False
