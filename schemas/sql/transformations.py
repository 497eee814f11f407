"""The named transformations of a field: each a line of SQL over the value ``{}``."""

from __future__ import annotations

import re

TRANSFORMATIONS = {
    "direct": "{}",
    "trim": "trim({})",
    "upper": "upper({})",
    "lower": "lower({})",
    "trim_uppercase": "upper(trim({}))",
    "trim_lowercase": "lower(trim({}))",
    "collapse_blanks": r"trim(regexp_replace({}, '\s+', ' ', 'g'))",
    "digits": "regexp_replace({}, '[^0-9]', '', 'g')",
    "strip_leading_zeros": "coalesce(nullif(ltrim({}, '0'), ''), left({}, 1))",
}
"""Text in, text out; NULL stays NULL."""

_PYTHON = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_python_function(name: str) -> bool:
    """Whether a transformation is ``module:function``: an Arrow array in, one as long out."""
    return _PYTHON.fullmatch(name) is not None
