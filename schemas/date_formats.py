"""Formats of dates for strptime, read more strictly than strptime does.

``%Y`` is four digits, no fewer, and there is no year 0; ``%y`` takes two, whose century the
specification decides. ``%m``, ``%d`` and the parts of a time take one or two digits where a
separator follows, and exactly two where another number does. A format that leaves open what its
text means (``%I`` without ``%p``, a month twice) is refused.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from schemas.column_types import ColumnType

_TWO_DIGITS = "mdHIMSy"
_GRAMMARS = {
    "Y": "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})",
    "j": "[0-9]{3}",
    "f": "[0-9]{1,6}0*",
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]+",
    "p": "(?:[AaPp][Mm])",
    "z": "(?:[Zz]|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)",
    "%": "%",
}
_SAME_PART = ("Yy", "mbBj", "dj", "HI", "M", "S", "f", "p", "z")
"""Directives of which a format has at most one, since two could disagree."""

_NEEDS = {"I": "p", "p": "I", "M": "HI", "S": "M", "f": "S"}
"""Directives that mean nothing definite without one of the others."""


@dataclass(frozen=True)
class DateFormat:
    """A format: ``pattern`` for DuckDB's strptime, and its ``parts`` as regular expressions.

    ``directives`` are its letters (``Y``, ``m``), one for each part, empty for plain text.
    """

    pattern: str
    parts: tuple[str, ...]
    directives: tuple[str, ...]

    @classmethod
    def parse(cls, pattern: str) -> DateFormat:
        """Parses a format of a specification.

        Args:
            pattern: Directives of strptime and plain text, such as ``%d.%m.%Y``.

        Returns:
            The format.

        Raises:
            ValueError: A directive isn't supported, or the format can be read in two ways.
        """
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
        directives = tuple(p[1:] if p.startswith("%") and p != "%%" else "" for p in parts)
        _check_directives(pattern, directives, parts)
        return cls(pattern, tuple(grammar), directives)

    @property
    def grammar(self) -> str:
        """The regular expression of its text, doubled quotation marks included (SQL)."""
        return "".join(self.parts).replace("'", "''")

    @property
    def has_zone(self) -> bool:
        return "z" in self.directives

    @property
    def has_short_year(self) -> bool:
        return "y" in self.directives

    def has_any(self, letters: str) -> bool:
        """Whether it has one of the directives."""
        return any(letter in self.directives for letter in letters)

    def around(self, letter: str) -> tuple[str, str]:
        """The regular expressions (SQL) of what stands before and behind a directive."""
        place = self.directives.index(letter)
        before, behind = "".join(self.parts[:place]), "".join(self.parts[place + 1 :])
        return before.replace("'", "''"), behind.replace("'", "''")

    def lack(self, target: ColumnType) -> str | None:
        """The part of a ``target`` value that the format lacks, in words; None if it has all."""
        if target.name == "time":
            return None if self.has_any("HI") else "an hour (%H)"
        if not self.has_any("Yy"):
            return "a year (%Y)"
        if not self.has_any("j") and not self.has_any("mbB"):
            return "a month (%m)"
        return None if self.has_any("jd") else "a day (%d)"


def _check_directives(pattern: str, directives: tuple[str, ...], parts: list[str]) -> None:
    named = f"the format {pattern!r}"
    for same in _SAME_PART:
        rivals = [letter for letter in directives if letter and letter in same]
        if len(rivals) > 1:
            both = " and ".join(f"%{letter}" for letter in rivals)
            raise ValueError(f"{named} has {both}, which may contradict each other")
    for letter, needed in _NEEDS.items():
        if letter in directives and not any(one in directives for one in needed):
            raise ValueError(f"{named} has %{letter} without %{needed[0]}")
    for part, following in itertools.pairwise(parts):
        if part == "%f" and _is_number(following):
            raise ValueError(f"{named} has a number right behind %f, so that neither has an end")
    if "j" in directives and "z" in directives:
        raise ValueError(f"{named} has %j and %z, which is not supported together")


def _is_number(part: str) -> bool:
    """Whether a part of a format stands for digits, or is one."""
    return part.isdigit() or (part.startswith("%") and part[1:] in _TWO_DIGITS + "Yjf")
