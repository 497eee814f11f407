"""The characters of blank text, in Arrow and in SQL."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

BLANKS = " \t\n\r"
"""A no-break space isn't among them: it is a character like any other."""

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
"""The invisible characters: the blanks of Unicode, characters without width, the byte order mark
and marks of direction. Around a code, a number or a date they have no meaning."""

BLANKS_SQL = "' ' || chr(9) || chr(10) || chr(13)"
"""``BLANKS`` as an expression of DuckDB."""

_INVISIBLE_SQL = "'" + "".join(INVISIBLE) + "'"


def without_blanks(values: pa.Array) -> pa.Array:
    """The texts (string), with NULL in place of blank ones."""
    blank = pc.equal(pc.utf8_trim(values, characters=BLANKS), "")
    if pc.any(blank).as_py():
        return pc.if_else(blank, pa.scalar(None, values.type), values)
    return values


def trim_sql(value: str) -> str:
    """SQL that removes the invisible characters around a text.

    Looking for all of ``INVISIBLE`` takes several times as long as for ``BLANKS``, so it is done
    for text beyond ASCII only.
    """
    is_ascii = f"strlen({value}) = length({value})"
    return (
        f"CASE WHEN {is_ascii} THEN trim({value}, {BLANKS_SQL})"
        f" ELSE trim({value}, {_INVISIBLE_SQL}) END"
    )
