"""What blank text consists of: the same wherever a value is looked at."""

from __future__ import annotations

BLANKS = " \t\n\r"
"""A no-break space is none of them: it is a character like any other."""

BLANKS_SQL = "' ' || chr(9) || chr(10) || chr(13)"
"""The same as an expression of DuckDB."""
