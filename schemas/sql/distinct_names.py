"""Names that differ in case alone, for DuckDB, which takes them as one.

PostgreSQL tells ``"a"`` and ``"A"`` apart. DuckDB would silently give the first of two such
columns for both, so all but one of them go under another name in a query.
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
    """The query with names of which no two differ in case alone, and the new name of each.

    ``columns`` are the names of the table that the query reads. Names in the query are
    quoted. The mapping is empty where the query can stay as it is.
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

    def replaced(token: re.Match[str]) -> str:
        new = renamed.get((token[1] or "").replace('""', '"'))
        return token[0] if new is None else '"' + new.replace('"', '""') + '"'

    return _TOKEN.sub(replaced, query), MappingProxyType(renamed)
