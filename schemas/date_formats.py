"""Date formats as strptime writes them, with the strictness that strptime lacks.

``%Y`` is four digits, no fewer, and there is no year 0; ``%y`` takes two, of which 69 to 99
are the last century (the POSIX rule). ``%m``, ``%d`` and the parts of a time take one or two
digits where a separator follows, and exactly two where another number does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TWO_DIGITS = "mdHIMSy"
_GRAMMARS = {
    "Y": "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})",
    "j": "[0-9]{3}",
    "f": "[0-9]{1,6}",
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]+",
    "p": "([AaPp][Mm])",
    "z": "(Z|[+-][0-9]{2}(:?[0-9]{2})?)",
    "%": "%",
}


@dataclass(frozen=True)
class DateFormat:
    """A format: ``pattern`` for DuckDB's strptime and the ``grammar`` its text must have."""

    pattern: str
    grammar: str
    has_zone: bool

    @classmethod
    def parse(cls, pattern: str) -> DateFormat:
        """Reads a format; raises ValueError naming the directive that isn't supported."""
        parts = re.findall(r"%.|[^%]|%$", pattern, re.DOTALL)
        grammar = []
        for position, part in enumerate(parts):
            if not part.startswith("%"):
                grammar.append(re.escape(part) if not part.isspace() else part)
            elif part[1:] in _GRAMMARS:
                grammar.append(_GRAMMARS[part[1:]])
            elif part[1:] and part[1:] in _TWO_DIGITS:
                beside = [parts[i] for i in (position - 1, position + 1) if 0 <= i < len(parts)]
                fixed = part == "%y" or any(map(_is_number, beside))
                grammar.append("[0-9]{2}" if fixed else "[0-9]{1,2}")
            else:
                raise ValueError(f"the format {pattern!r} has '{part}', which is not supported")
        if not any(part in ("%Y", "%y", "%H", "%I") for part in parts):
            raise ValueError(f"the format {pattern!r} has neither a year nor an hour")
        text = "".join(grammar)
        return cls(pattern.replace("'", "''"), text.replace("'", "''"), "%z" in parts)


def _is_number(part: str) -> bool:
    """Whether a part of a format stands for digits, or is one."""
    return part.isdigit() or (part.startswith("%") and part[1:] in _TWO_DIGITS + "Yjf")
