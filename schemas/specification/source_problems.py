"""What must hold of sources and target, whatever is there: URLs, and the options of files."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.errors import Problem
from schemas.specification.database_url import find_url_problem
from schemas.specification.model import Part
from schemas.specification.root import Specification
from schemas.specification.source import NamedSource
from schemas.text_encodings import has_one_byte_each, is_utf8


def source_problems(specification: Specification) -> Iterator[Problem]:
    """All problems of the sources and the target that can be seen without a database."""
    for source in specification.named_sources.values():
        if source.url is not None:
            yield from _url_problems(source, source.url)
        if source.is_files:
            yield from _file_options(source)
    yield from _url_problems(specification.target, specification.target.url)


def _file_options(source: NamedSource) -> Iterator[Problem]:
    characters = {"delimiter": source.delimiter, "quote": source.quote}
    if source.escape is not None:
        characters["escape"] = source.escape
    for key, character in characters.items():
        is_none = key == "quote" and character == "none"
        if not is_none and (len(character) != 1 or ord(character) > 127 or character in "\r\n"):
            yield source.problem(
                f"a {key} is one character of ASCII",
                key,
                remedy="write '\\t' in double quotes for a tab, '\\\\' for a backslash, and"
                " 'quote: none' for no quotes",
            )
    if source.delimiter == source.quote:
        yield source.problem("delimiter and quote are the same", "quote")
    if source.escape in (source.delimiter, source.quote):
        yield source.problem(
            "the escape is also delimiter or quote",
            "escape",
            remedy="leave it out: a quote that is doubled within quotes is read without it",
        )
    elif source.escape is not None and source.escape.isalnum():
        yield source.problem(
            "letters and digits can't be the escape", "escape", remedy='write escape: "\\\\"'
        )
    if not (is_utf8(source.encoding) or has_one_byte_each(source.encoding)):
        yield source.problem(
            f"files in the encoding '{source.encoding}' can't be read",
            "encoding",
            remedy="name UTF-8 or one with one byte for each character, such as latin-1 or"
            " cp1252; convert others: iconv -t UTF-8",
        )


def _url_problems(part: Part, url: str) -> Iterator[Problem]:
    problem = find_url_problem(url)
    if problem is not None:
        yield part.problem(problem.message, "url", remedy=problem.remedy)
