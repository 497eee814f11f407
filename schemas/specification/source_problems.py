"""What must hold of sources and target, whatever is there: URLs, and the options of files."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg.conninfo import conninfo_to_dict

from schemas.errors import Problem
from schemas.specification.model import Part
from schemas.specification.root import Specification
from schemas.specification.source import Source
from schemas.text_encodings import has_one_byte_each, is_utf8


def source_problems(specification: Specification) -> Iterator[Problem]:
    """All problems of the sources and the target that can be seen without a database."""
    for source in specification.named_sources.values():
        if source.url is not None and not _is_url(source.url):
            yield _no_url(source)
        if source.is_files:
            yield from _file_options(source)
    if not _is_url(specification.target.url):
        yield _no_url(specification.target)


def _file_options(source: Source) -> Iterator[Problem]:
    for key, character in (("delimiter", source.delimiter), ("quote", source.quote)):
        is_none = key == "quote" and character == "none"
        if not is_none and (len(character) != 1 or ord(character) > 127 or character in "\r\n"):
            yield source.problem(
                f"a {key} is one character of ASCII",
                key,
                remedy="write '\\t' in double quotes for a tab, and 'quote: none' for no quotes",
            )
    if source.delimiter == source.quote:
        yield source.problem("delimiter and quote are the same", "quote")
    if not (is_utf8(source.encoding) or has_one_byte_each(source.encoding)):
        yield source.problem(
            f"files in the encoding '{source.encoding}' can't be read",
            "encoding",
            remedy="name UTF-8 or one with one byte for each character, such as latin-1 or"
            " cp1252; convert others: iconv -t UTF-8",
        )


def _is_url(text: str) -> bool:
    try:
        conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        return False
    return text.startswith(("postgresql://", "postgres://"))


def _no_url(part: Part) -> Problem:
    return part.problem(
        "this is not the URL of a PostgreSQL database",
        "url",
        remedy="write postgresql://USER@HOST:PORT/DATABASE",
    )
