"""What blank text consists of: the same wherever a value is looked at."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

BLANKS = " \t\n\r"
"""A no-break space is none of them: it is a character like any other."""

INVISIBLE = "".join(
    chr(code)
    for first, last in (
        (0x09, 0x0D),
        (0x1C, 0x20),
        (0x85, 0x85),
        (0xA0, 0xA0),
        (0xAD, 0xAD),
        (0x1680, 0x1680),
        (0x180E, 0x180E),
        (0x2000, 0x200F),
        (0x2028, 0x202F),
        (0x205F, 0x2060),
        (0x2066, 0x2069),
        (0x3000, 0x3000),
        (0xFEFF, 0xFEFF),
    )
    for code in range(first, last + 1)
)
"""All that looks like nothing: the blanks of Unicode, characters without width, the byte order mark
and marks of direction. Around a code, a number or a date they mean nothing."""

BLANKS_SQL = "' ' || chr(9) || chr(10) || chr(13)"
"""The same as an expression of DuckDB."""

_INVISIBLE_SQL = "'" + "".join(INVISIBLE) + "'"


def without_blanks(values: pa.Array) -> pa.Array:
    """The texts with NULL where one is blank."""
    blank = pc.equal(pc.utf8_trim(values, characters=BLANKS), "")
    if pc.any(blank).as_py():
        return pc.if_else(blank, pa.scalar(None, values.type), values)
    return values


def trim_sql(value: str) -> str:
    """The SQL of a text that isn't kept as it is, without what looks like nothing around it.

    Looking for all of ``INVISIBLE`` takes several times as long, so only text beyond ASCII is.
    """
    is_ascii = f"strlen({value}) = length({value})"
    return (
        f"CASE WHEN {is_ascii} THEN trim({value}, {BLANKS_SQL})"
        f" ELSE trim({value}, {_INVISIBLE_SQL}) END"
    )
