"""SQL statements without the values in them, for the log.

A statement can hold values of rows: boundaries of partitions are literals in stored predicates, and
constants of a specification are literals in generated SQL. Only the lexical rules of PostgreSQL
say where a literal ends (its manual, chapter 4.1), so the text is split into tokens by them.
"""

from __future__ import annotations

import re

LONGEST = 2_000
"""Characters of a statement that are logged."""

_TOKEN = re.compile(
    r"""
      (?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<name>[uU]&"(?:[^"]|"")*" | "(?:[^"]|"")*")
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<special>[uU]&'(?:[^']|'')*' | [bBxXnN]'(?:[^']|'')*')
    | (?P<plain>'(?:[^']|'')*')
    | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$ .*? \$(?P=tag)\$)
    | (?P<parameter>\$\d+)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>(?:0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | 0[bB][01_]+
        | (?:\d[\d_]*(?:\.(?!\.)[\d_]*)? | \.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?))
    | (?P<space>\s+)
    | (?P<unclosed>['"])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_EDGE = re.compile(r"/\*|\*/")
_LIST = re.compile(r"\?(?:, ?\?)+")
_ROWS = re.compile(r"(\(\?(?:, \.\.\.)?\))(?:, ?\1)+")
_KIND = re.compile(r"\s*([A-Za-z]+)")


def hide_literals(statement: str) -> str:
    """Replace the literals of a statement by question marks, and leave its comments out.

    Args:
        statement: SQL of PostgreSQL, with or without placeholders.

    Returns:
        The statement in one line, shortened to ``LONGEST``. Where it isn't certain what is a
        literal, only the first word: a quote that isn't closed, or a backslash in a plain string,
        which ends it or not as ``standard_conforming_strings`` says.
    """
    parts: list[str] = []
    position = 0
    while position < len(statement):
        match = _TOKEN.match(statement, position)
        assert match is not None
        kind, text = str(match.lastgroup), match.group()
        position = match.end()
        if kind == "block":
            end = _end_of_comment(statement, position)
            if end is None:
                return _kind_of(statement)
            position, text = end, " "
        elif kind == "unclosed" or (kind == "plain" and "\\" in text):
            return _kind_of(statement)
        elif kind in ("comment", "space"):
            text = " "
        elif kind in ("escaped", "special", "plain", "tag", "dollar", "number"):
            text = "?"
        elif text == "$":
            # It would begin a text that isn't closed.
            return _kind_of(statement)
        parts.append(text)
    return _shorten(" ".join("".join(parts).split()))


def _end_of_comment(statement: str, position: int) -> int | None:
    """The end of a comment whose beginning ends at a position; comments can contain others."""
    depth = 1
    for edge in _EDGE.finditer(statement, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return None


def _kind_of(statement: str) -> str:
    first = _KIND.match(statement)
    return f"{first.group(1).upper() if first else 'a statement'} (its text is left out)"


def _shorten(text: str) -> str:
    text = _ROWS.sub(r"\1, ...", _LIST.sub("?, ...", text))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
