"""The types of files that are read and written."""

from __future__ import annotations

from enum import Enum


class SourceFileType(str, Enum):
    """The type of a source's files."""

    CSV = "csv"
    PARQUET = "parquet"
    AVRO = "avro"


class ErrorFileType(str, Enum):
    """The type of the files that a run's violations are written to."""

    AVRO = "avro"
    PARQUET = "parquet"
