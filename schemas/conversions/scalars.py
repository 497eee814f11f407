"""Scalars whose text the server reads more leniently than it writes it.

``10.1`` becomes the network 10.1.0.0/16, ``10.0.0.010`` may be octal, ``5x`` is the transaction 5
to an older server, and of a key that an hstore has twice one value is dropped. Text in the form of
a type's own output is taken; any other that the server would complete or drop is refused.
"""

from __future__ import annotations

from schemas.column_types import ColumnType
from schemas.conversions.conversion import AMBIGUOUS, CONVERSION, INEXACT, OUT_OF_RANGE

_OCTET = "(0|[1-9][0-9]{0,2})"
_MASK = "(/(0|[1-9][0-9]{0,2}))?"
_ADDRESS = rf"{_OCTET}(\.{_OCTET}){{3}}{_MASK}|[0-9A-Fa-f]*:[0-9A-Fa-f:]*(\d+(\.\d+){{3}})?{_MASK}"
_BYTE = "([0-9A-Fa-f]{2})"
_MAC = "|".join(
    [
        *(rf"{_BYTE}({mark}{_BYTE}){{5}}" for mark in (":", "-")),
        *(rf"{_BYTE}{{3}}{mark}{_BYTE}{{3}}" for mark in (":", "-", "")),
        *(rf"{_BYTE}{{2}}{mark}{_BYTE}{{2}}{mark}{_BYTE}{{2}}" for mark in (r"\.", "-")),
    ]
)
_MAC8 = "|".join(
    [
        *(rf"{_BYTE}({mark}{_BYTE}){{7}}" for mark in (":", "-")),
        *(rf"{_BYTE}{{3}}{mark}{_BYTE}{{5}}" for mark in (":", "-")),
        *(rf"{_BYTE}{{2}}({mark}{_BYTE}{{2}}){{3}}" for mark in (r"\.", "-", "")),
    ]
)
_COUNTER = "0|[1-9][0-9]*"

_GRAMMARS = {
    "cidr": _ADDRESS,
    "inet": _ADDRESS,
    "macaddr": _MAC,
    "macaddr8": _MAC8,
    "tid": rf"\(({_COUNTER}),({_COUNTER})\)",
    # A line through two points would have to be computed.
    "line": r"\{[^{}]*\}",
    # "?" asks the server for the check digit, "!" marks it as wrong.
    **dict.fromkeys(
        ("isbn", "isbn13", "ismn", "ismn13", "issn", "issn13", "ean13", "upc"), "[^?!]*"
    ),
}
_COUNTERS = {"xid": "UINTEGER", "cid": "UINTEGER", "xid8": "UBIGINT"}

_PAIR = r'("(?:[^"\\]|\\.)*"|(?:[^\s"=,\\]|\\.)+)\s*=>\s*(?:"(?:[^"\\]|\\.)*"|(?:[^\s",\\]|\\.)+)'


def lenience_of(text: str, target: ColumnType) -> str | None:
    """SQL for the reason why the server would complete or drop a part of text.

    Args:
        text: SQL for the text.
        target: The type that the server reads.

    Returns:
        The SQL; None for a type of which the server reads all text as it stands.
    """
    element = target.name.removeprefix("_")
    if element == target.name:
        return _of_one(f"trim({text})", target.name)
    reason = _of_one("token", element) if element in _GRAMMARS or element in _COUNTERS else None
    if reason is None or element == "line":
        return None
    tokens = rf"regexp_extract_all({text}, '[^{{}}\",\\\s]+')"
    words = f"list_filter({tokens}, lambda token: lower(token) <> 'null')"
    reasons = f"list_transform({words}, lambda token: {reason})"
    return f"list_filter({reasons}, lambda reason: reason IS NOT NULL)[1]"


def _of_one(text: str, name: str) -> str | None:
    if name in _GRAMMARS:
        return (
            f"CASE WHEN NOT regexp_full_match({text}, '{_GRAMMARS[name]}') THEN '{AMBIGUOUS}' END"
        )
    if name in _COUNTERS:
        return (
            f"CASE WHEN NOT regexp_full_match({text}, '{_COUNTER}') THEN '{CONVERSION}'"
            f" WHEN {text} IS NOT NULL AND try_cast({text} AS {_COUNTERS[name]}) IS NULL"
            f" THEN '{OUT_OF_RANGE}' END"
        )
    if name == "hstore":
        keys = f"regexp_extract_all({text}, '{_PAIR}', 1, 's')"
        bare = r"regexp_replace(regexp_replace(k, '^\"(.*)\"$', '\1', 's'), '\\(.)', '\1', 'gs')"
        names = f"list_transform({keys}, lambda k: {bare})"
        return f"CASE WHEN len({names}) > len(list_distinct({names})) THEN '{INEXACT}' END"
    return None
