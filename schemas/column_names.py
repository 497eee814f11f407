"""Tells names of columns from values, in a header that may be a row."""

from __future__ import annotations

import re

_NAME = re.compile(r"[^\W\d][\w .$#/%()&+-]{0,62}")
_MANY_DIGITS = re.compile(r"\d{4}")


def is_name_like(name: str) -> bool:
    """Whether a text looks like the name of a column, and not like a value."""
    return _NAME.fullmatch(name) is not None and _MANY_DIGITS.search(name) is None
