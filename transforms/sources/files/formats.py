"""The formats of files, as specifications name them."""

from __future__ import annotations

from schemas.specification.file_types import SourceFileType
from schemas.specification.source import NamedSource
from transforms.sources.files.avro_file import AvroFormat
from transforms.sources.files.csv_file import CsvFormat
from transforms.sources.files.file_format import FileFormat
from transforms.sources.files.parquet_file import ParquetFormat


def file_format(source: NamedSource) -> FileFormat:
    """The format of a folder of files, with its options."""
    if source.format is SourceFileType.PARQUET:
        return ParquetFormat()
    if source.format is SourceFileType.AVRO:
        return AvroFormat()
    return CsvFormat(
        source.delimiter,
        None if source.quote == "none" else source.quote,
        source.encoding,
        tuple(source.nulls),
        tuple(source.columns),
        source.header,
        source.escape,
    )
