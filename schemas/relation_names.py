"""Names of tables as people write them, and SQL that looks them up in the catalogue."""

from __future__ import annotations

import re

RELATION_OF_NAME = """
SELECT named.oid FROM (SELECT parse_ident(nullif({0}, '')) AS parts) AS p
JOIN pg_class named ON named.relname = p.parts[cardinality(p.parts)]::name
JOIN pg_namespace around ON around.oid = named.relnamespace
WHERE CASE WHEN cardinality(p.parts) = 2 THEN around.nspname = p.parts[1]
      ELSE around.nspname = ANY (current_schemas(true) || string_to_array(
          translate(current_setting('search_path'), '" ', ''), ',')::name[]) END
ORDER BY array_position(current_schemas(true), around.nspname) LIMIT 1
"""
"""SQL that looks up the oid of the name ``{0}``.

Unlike ``to_regclass`` it also finds relations in a schema that the role may not use, so that the
missing right is reported together with all other problems.
"""

_PART = r"""("(?:[^"]|"")+"|[^".][^.]*)"""
_RELATION_NAME = re.compile(rf"(?:{_PART}\.)?{_PART}", re.DOTALL)
"""``table`` or ``schema.table``. A part that contains a dot has to be in double quotes."""


def spellings(name: str) -> list[str]:
    """Quotes a name in the two ways in which it can be looked up.

    Args:
        name: ``table`` or ``schema.table``; parts may be quoted as in SQL.

    Returns:
        The quoted name as it is written, then as SQL folds it. Empty if it isn't a name.
    """
    shape = _RELATION_NAME.fullmatch(name)
    if shape is None:
        return []
    parts = [part for part in shape.groups() if part is not None]
    folded = [p if p.startswith('"') else p.lower() for p in parts]
    # Always quoted: the server refuses to look up what isn't the shape of a name.
    return [
        ".".join(p if p.startswith('"') else '"' + p.replace('"', '""') + '"' for p in spelled)
        for spelled in (parts, folded)
    ]


def quoting_hint(name: str) -> str:
    """Suggests quoting, for the message that there is no table of this name.

    Returns:
        The end of a remedy; empty if the name has no dot, or is quoted already.
    """
    if "." not in name or '"' in name:
        return ""
    return f"; if the dot belongs to the name, quote it as in SQL: '\"{name}\"'"
