"""The entry: which conversion there is between two column types."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.blanks import BLANKS_SQL
from schemas.column_types import INTEGERS, ColumnType
from schemas.conversions import moments, numbers
from schemas.conversions.conversion import Conversion, Unconvertible, checked, strict
from schemas.conversions.moments import MIDNIGHT, TIME
from schemas.conversions.server_text import read_by_server, same_text
from schemas.conversions.text import length_checked, to_text
from schemas.date_formats import DateFormat

_TRUE = "('true', 't', 'yes', 'y', 'on', '1')"
_FALSE = "('false', 'f', 'no', 'n', 'off', '0')"


def convert(
    value: str, source: ColumnType, target: ColumnType, formats: Sequence[str] = ()
) -> Conversion:
    """The conversion of the SQL expression ``value`` from ``source`` to ``target``.

    ``formats`` are strptime formats for text that becomes a date, time or timestamp.
    Raises Unconvertible where the types don't fit, ValueError for a format that is none.
    """
    if formats:
        if target.name not in ("date", "timestamp", "timestamptz", "time"):
            raise Unconvertible(f"'format' is for dates and times, not for {target}")
        text = to_text(value, source) if not source.is_textual else value
        return moments.by_format(text, target, [DateFormat.parse(f) for f in formats])
    if source.is_textual:
        return _from_text(value, target)
    if target.is_textual:
        return length_checked(to_text(value, source), target)
    if source.is_integer:
        return numbers.from_integer(value, source, target)
    direct = _DIRECT.get((source.name, target.name))
    if direct is not None:
        return direct(value, source, target)
    if not source.is_native and not target.is_native:
        return same_text(value, source, target)
    raise Unconvertible(
        f"{source} can't become {target} without a decision; {_advice(source, target)}"
    )


def _advice(source: ColumnType, target: ColumnType) -> str:
    if source.name == "timestamptz" or target.name == "timestamptz":
        return "say in which zone: sql: \"timezone('Europe/Berlin', column)\""
    return "write the conversion with 'sql'"


def _from_text(value: str, target: ColumnType) -> Conversion:
    if target.is_textual:
        return length_checked(value, target)
    text = f"trim({value}, {BLANKS_SQL})"
    if target.name == "bool":
        lowered = f"lower({text})"
        return checked(
            value,
            f"CASE WHEN {lowered} IN {_TRUE} THEN true WHEN {lowered} IN {_FALSE} THEN false END",
        )
    if target.is_integer or target.name in ("float4", "float8", "numeric"):
        return numbers.from_text(value, text, target)
    if target.name in ("date", "timestamp", "timestamptz"):
        return moments.from_text(value, text, target)
    if target.name == "time":
        return read_by_server(value, strict(text, f"{TIME}|{MIDNIGHT}", text), target)
    if target.name == "uuid":
        grammar = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
        return checked(value, strict(text, grammar, f"lower({text})"))
    if target.name == "oid":
        return checked(value, strict(text, "[0-9]+", text))
    if target.name == '"char"':
        one = r"[\x00-\x7F]?|\\[0-3][0-7]{2}"
        return checked(value, f"CASE WHEN regexp_full_match({value}, '{one}') THEN {value} END")
    return read_by_server(value, value, target)


def _unchanged(value: str, _: ColumnType, __: ColumnType) -> Conversion:
    return Conversion(value)


_DIRECT = {
    ("bool", "bool"): _unchanged,
    **{("bool", integer): numbers.bool_to_integer for integer in INTEGERS},
    ("date", "date"): _unchanged,
    ("date", "timestamp"): moments.date_to_timestamp,
    ("timestamp", "date"): moments.timestamp_to_date,
    ("timestamp", "timestamp"): moments.same_moment,
    ("timestamptz", "timestamptz"): moments.same_moment,
    ("numeric", "numeric"): numbers.numeric_to_numeric,
    **{("numeric", integer): numbers.numeric_to_integer for integer in INTEGERS},
    **{("numeric", number): numbers.numeric_to_float for number in ("float4", "float8")},
    **{(a, b): numbers.float_to_float for a in ("float4", "float8") for b in ("float4", "float8")},
    **{(n, i): numbers.float_to_integer for n in ("float4", "float8") for i in INTEGERS},
    **{(n, "numeric"): numbers.float_to_numeric for n in ("float4", "float8")},
}
