"""Text that the server reads in parts: elements of arrays, bounds of ranges, amounts of money.

The server reads them as leniently as its casts do: it drops the time of a date and the offset of
a timestamp, assumes a zone, and takes ``tr`` for true and ``0x10`` for 16. Here they are read as
strictly as scalars. Text that the server can't alter is left to it.
"""

from __future__ import annotations

from schemas.column_types import ColumnType
from schemas.conversions.conversion import AMBIGUOUS, CONVERSION, TOO_LONG
from schemas.conversions.moments import MIDNIGHT, START_OF_DAY, TIME, ZONE

_DAY = "[0-9]{4,7}-[0-9]{2}-[0-9]{2}"
"""A day of any year of PostgreSQL's; ``BC`` stands at the end."""

_WHOLE_DAY = rf"{_DAY}([ T]{START_OF_DAY})?( BC)?"
_LOCAL = rf"{_DAY}([ T]{TIME})?( BC)?"
_ZONED = rf"{_DAY}[ T]{TIME} ?{ZONE}( BC)?"

_DATES = {
    **dict.fromkeys(("_date", "daterange", "datemultirange"), _WHOLE_DAY),
    **dict.fromkeys(("_timestamp", "tsrange", "tsmultirange"), _LOCAL),
    **dict.fromkeys(("_timestamptz", "tstzrange", "tstzmultirange"), _ZONED),
    "_time": f"{TIME}|{MIDNIGHT}",
    "_timetz": f"({TIME}|{MIDNIGHT}) ?{ZONE}",
}
_ARRAYS_OF_RANGES = tuple(
    f"_{kind}{form}" for kind in ("date", "ts", "tstz") for form in ("range", "multirange")
)
_DATES |= {name: _DATES[name[1:]] for name in _ARRAYS_OF_RANGES}

_NUMBERS = frozenset(
    {"_int2", "_int4", "_int8", "_numeric", "_oid"}
    | {f"{kind}{form}" for kind in ("int4", "int8", "num") for form in ("range", "multirange")}
    | {f"_{kind}{form}" for kind in ("int4", "int8", "num") for form in ("range", "multirange")}
)
_BOOLEANS = "true|t|yes|y|on|1|false|f|no|n|off|0"
_DIMENSIONS = r"^\s*(\[[-+0-9]+(:[-+0-9]+)?\])+\s*="

_PLAIN_MONEY = r"[-+]?\$?[-+]?[0-9]+(\.[0-9]*)?|\(\$?[0-9]+(\.[0-9]*)?\)"
_GROUPED = r"[-+(]?\$?[-+]?[0-9]{1,3}(,[0-9]{3})+"
_GROUPED_MONEY = rf"{_GROUPED}\.[0-9]+\)?|[-+(]?\$?[-+]?[0-9]{{1,3}}(,[0-9]{{3}}){{2,}}\)?"


def strictness_of(text: str, target: ColumnType) -> str | None:
    """SQL for the reason why text with parts isn't taken.

    Args:
        text: SQL for the text.
        target: The type that the server reads.

    Returns:
        The SQL; None for a type of which no text is ambiguous.
    """
    name = target.name
    if name in _DATES:
        return _each(tokens_of(text), "token", _unless_like(_DATES[name]))
    if name in _NUMBERS:
        return _each(tokens_of(text), "token", f"regexp_matches(token, '{_ODD_NUMBER}')")
    if name == "_bool":
        grammar = f"(?i){_BOOLEANS}|null"
        return _each(tokens_of(text), "token", f"NOT regexp_full_match(token, '{grammar}')")
    if name == "_bytea":
        return _each(_array_elements(text), "token", _NO_BYTES)
    if name in ("_varchar", "_bpchar") and target.length is not None:
        longer = f"length({_UNQUOTED}) > {target.length} AND ({_UNQUOTED}) <> 'NULL'"
        return _each(_array_elements(text), "token", longer, TOO_LONG)
    if name == "timetz":
        zoned = f"({TIME}|{MIDNIGHT}) ?{ZONE}"
        bare = f"trim({text})"
        return _reason(f"{_FIGURES.format(bare)} AND NOT {_finer_or(bare, zoned)}")
    if name == "interval":
        return _reason(_of_several_lengths(text), AMBIGUOUS)
    if name == "_interval":
        return _each(_array_elements(text), "token", _of_several_lengths(_UNQUOTED), AMBIGUOUS)
    if name == "money":
        return _money(f"trim({text})")
    if name == "_money":
        reasons = f"list_transform({_array_elements(text)}, lambda token: {_money(_UNQUOTED)})"
        return f"list_filter({reasons}, lambda reason: reason IS NOT NULL)[1]"
    return None


_VAGUE_INTERVALS = (
    # A number without a unit at the end, or before another number: seconds for the server.
    r"^([^p]*[a-z\s])?[-+]?[0-9.]+\s*(ago\s*)?$",
    r"(^|\s)[-+]?[0-9.]+\s+[-+]?[0-9.]+(\s|[a-z]|$)",
    # A fraction of what has no fixed length: 30 days a month for the server, 12 months a year.
    r"[.,][0-9]*[1-9][0-9]*\s*(mon|y|dec|c|mils?([^a-z]|$)|millen)",
    r"^\s*[-+]?p[^t]*[.,][0-9]*[1-9][0-9]*m",
    # Two parts of a time with a fraction: minutes and seconds, or hours and minutes.
    r"(^|[^0-9:])[0-9]+:[0-9]+[.,][0-9]",
)


def _of_several_lengths(text: str) -> str:
    """SQL for whether an interval can be read in two ways."""
    return f"regexp_matches({text}, '(?i){'|'.join(_VAGUE_INTERVALS)}')"


_ODD_NUMBER = "0[xXoObB]|[0-9]_"
"""Notations that PostgreSQL reads from version 16 on."""

_FIGURES = "regexp_matches({}, '[0-9]')"
"""Text without a digit is a word such as ``empty`` or ``infinity``, or an error."""

_UNQUOTED = r"regexp_replace(regexp_replace(token, '^\"(.*)\"$', '\1', 's'), '\\(.)', '\1', 'gs')"

_NO_BYTES = rf"NOT regexp_full_match({_UNQUOTED}, '\\x([0-9A-Fa-f]{{2}})*|(?i)null')"


def _unless_like(grammar: str) -> str:
    return f"{_FIGURES.format('token')} AND NOT {_finer_or('token', grammar)}"


def _finer_or(text: str, grammar: str) -> str:
    """SQL for whether text matches, after its fraction of a second was cut to microseconds.

    ``server_text`` refuses text that would lose digits.
    """
    return rf"regexp_full_match(regexp_replace({text}, '(\.[0-9]{{6}})[0-9]+', '\1'), '{grammar}')"


def tokens_of(text: str) -> str:
    """The parts of an array, range or multirange whose elements hold no delimiter themselves."""
    bare = f"regexp_replace({text}, '{_DIMENSIONS}', '')"
    parts = rf"regexp_extract_all({bare}, '[^\[\](){{}}\",\\]+')"
    return f"list_filter(list_transform({parts}, lambda part: trim(part)), lambda part: part <> '')"


def _array_elements(text: str) -> str:
    """The elements of an array as they are written, with their quotation marks."""
    bare = f"regexp_replace({text}, '{_DIMENSIONS}', '')"
    element = r'"(?:[^"\\]|\\.)*"|[^{}",\s](?:[^{}",]*[^{}",\s])?'
    return f"regexp_extract_all({bare}, '{element}', 0, 's')"


def _each(tokens: str, name: str, wrong: str, reason: str = CONVERSION) -> str:
    return _reason(f"len(list_filter({tokens}, lambda {name}: {wrong})) > 0", reason)


def _reason(condition: str, reason: str = CONVERSION) -> str:
    return f"CASE WHEN {condition} THEN '{reason}' END"


def _money(text: str) -> str:
    """SQL for the reason why an amount isn't taken: ``1,234`` may mean 1.234 elsewhere."""
    return (
        f"CASE WHEN NOT coalesce({_FIGURES.format(text)}, false) THEN NULL"
        f" WHEN regexp_full_match({text}, '{_PLAIN_MONEY}|{_GROUPED_MONEY}') THEN NULL"
        rf" WHEN regexp_full_match({text}, '{_GROUPED}\)?') THEN '{AMBIGUOUS}'"
        f" ELSE '{CONVERSION}' END"
    )
