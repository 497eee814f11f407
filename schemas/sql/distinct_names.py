"""Renames columns that differ in case alone, which DuckDB takes for the same.

PostgreSQL distinguishes ``"a"`` and ``"A"``. DuckDB would silently give the first of two such
columns for both, so in a query all but one of them get another name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")*)\"""")
"""A text constant, or a quoted name (group 1)."""


@lru_cache(maxsize=1024)
def with_distinct_names(query: str, columns: tuple[str, ...]) -> tuple[str, Mapping[str, str]]:
    """Renames columns of a query so that no two differ in case alone.

    Args:
        query: A query in which names are quoted.
        columns: The names of the table that the query reads.

    Returns:
        The query, and the new name of each column that got one.
    """
    quoted = (m[1].replace('""', '"') for m in _TOKEN.finditer(query) if m[1] is not None)
    taken: dict[str, str] = {}
    renamed: dict[str, str] = {}
    for name in dict.fromkeys([*columns, *quoted]):
        new = name
        while taken.setdefault(new.lower(), name) != name:
            new += "_"
        if new != name:
            renamed[name] = new
    if not renamed:
        return query, MappingProxyType({})

    def replace(token: re.Match[str]) -> str:
        new = renamed.get((token[1] or "").replace('""', '"'))
        return token[0] if new is None else '"' + new.replace('"', '""') + '"'

    return _TOKEN.sub(replace, query), MappingProxyType(renamed)
