"""Names of a specification as PostgreSQL reads them in a statement."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")

_PARTS = re.compile(r'"(?:[^"]|"")+"|[^".]+')

_WORDS = """
all analyse analyze and any array as asc asymmetric authorization between binary bigint bit
boolean both case cast char character check coalesce collate collation column concurrently
constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user dec decimal default deferrable desc distinct do else end except
exists extract false fetch float for foreign freeze from full grant greatest group grouping
having ilike in initially inner inout int integer intersect interval into is isnull join lateral
leading least left like limit localtime localtimestamp national natural nchar none normalize not
notnull null nullif numeric offset on only or order out outer overlaps overlay placing position
precision primary real references returning right row select session_user setof similar smallint
some substring symmetric system_user table tablesample then time timestamp to trailing treat
trim true union unique user using values varchar variadic verbose when where window with
"""

_RESERVED = frozenset(_WORDS.split())
"""Words that need quotes as the name of a table or column (PostgreSQL 17, appendix C)."""


def quote_name(name: str) -> str:
    """A single name, in double quotes where PostgreSQL needs them."""
    if _PLAIN.fullmatch(name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def quote_relation(name: str) -> str:
    """``table`` or ``schema.table``; parts that are quoted in the specification stay quoted."""
    parts = _PARTS.findall(name)
    return ".".join(part if part.startswith('"') else quote_name(part) for part in parts)


def quote_literal(text: str) -> str:
    """A text in single quotes."""
    return "'" + text.replace("'", "''") + "'"
