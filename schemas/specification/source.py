"""A source: a database, or a folder of files."""

from __future__ import annotations

from pydantic import Field as Attribute
from pydantic import model_validator

from schemas.specification.file_types import SourceFileType
from schemas.specification.model import Part
from schemas.specification.table import Names

_OF_CSV = ("delimiter", "quote", "escape", "encoding", "nulls", "header", "columns")


class NamedSource(Part):
    """The URL of a database, or a folder of files of one format.

    ``follow_links`` allows symbolic links that lead out of the folder. All other keys are of CSV
    files: ``quote`` is ``none`` where no value is quoted, ``escape`` the character that takes the
    meaning of the next one away or gives it another, ``columns`` are names instead of those of the
    header, and needed where there is no ``header``.
    """

    url: str | None = Attribute(default=None, repr=False)
    path: str | None = None
    format: SourceFileType | None = None
    follow_links: bool = False
    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    encoding: str = "utf-8"
    nulls: Names = []
    header: bool = True
    columns: Names = []

    @model_validator(mode="after")
    def _fits(self) -> NamedSource:
        if (self.url is None) == (self.path is None):
            raise ValueError("a source is a database with a 'url', or a folder with a 'path'")
        if self.path is not None and self.format is None:
            raise ValueError("files have a 'format': csv, parquet or avro")
        if self.url is not None and self.format is not None:
            raise ValueError("'format' is one of files, and this source is a database")
        if self.url is not None and self.follow_links:
            raise ValueError("'follow_links' is one of files, and this source is a database")
        foreign = [key for key in _OF_CSV if key in self.model_fields_set]
        if foreign and self.format is not SourceFileType.CSV:
            raise ValueError(f"'{foreign[0]}' belongs to CSV files")
        if not self.header and not self.columns:
            raise ValueError("without a header the columns need names: 'columns: [...]'")
        return self

    @property
    def is_files(self) -> bool:
        return self.path is not None
