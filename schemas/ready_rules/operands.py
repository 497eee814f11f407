"""What a ready rule is about, as SQL: a field in the form that the rule needs, and moments in
time that may lie in different time zones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from schemas.column_types import DATE, ColumnType


class Family(Enum):
    """The types of fields that a rule takes; the value says it in words."""

    IDENTIFIER = "text or a whole number"
    TEXT = "text"
    MOMENT = "a date or a timestamp"
    VALUE = "text, a number or an enum"
    ANY = "a field of any type"

    def takes(self, kind: ColumnType) -> bool:
        if self is Family.ANY:
            return True
        if self is Family.MOMENT:
            return kind.name in ("date", "timestamp", "timestamptz")
        if kind.is_textual or self is Family.TEXT:
            return kind.is_textual
        if self is Family.IDENTIFIER:
            return kind.is_integer or (kind.name == "numeric" and not kind.scale)
        # An enum goes by a name of its own and travels as text, as many a type does.
        is_enum = kind.duckdb == "VARCHAR" and not kind.name.startswith("_")
        return kind.is_integer or kind.name == "numeric" or is_enum


@dataclass(frozen=True)
class Operand:
    """A field that a rule reads: ``sql`` is its name as expressions have it."""

    sql: str
    type: ColumnType

    @property
    def text(self) -> str:
        """The value as text, without what only its type adds: the blanks that fill up a
        ``char(n)``, and the zeros that end the decimals of a number."""
        if self.type.name == "bpchar":
            return f"rtrim({self.sql}, ' ')"
        if self.type.is_textual:
            return self.sql
        shown = f"CAST({self.sql} AS VARCHAR)"
        has_decimals = self.type.name == "numeric" and not self.type.duckdb.endswith(",0)")
        # A numeric without a scale is the server's text, which may have no point.
        zeros = r"\.0*$|(\.[0-9]*[1-9])0+$"
        return rf"regexp_replace({shown}, '{zeros}', '\1')" if has_decimals else shown

    def digits(self, count: int) -> str:
        """The text; of a number with the leading zeros that make it ``count`` digits long."""
        if self.type.is_textual:
            return self.text
        return f"CASE WHEN length({self.text}) < {count} THEN lpad({self.text}, {count}, '0')" + (
            f" ELSE {self.text} END"
        )

    @property
    def date(self) -> str:
        """The day; of a moment with a time zone the day in UTC."""
        return self.sql if self.type.name == "date" else f"CAST({self.sql} AS DATE)"


@dataclass(frozen=True)
class ListedCodes:
    """The lists of a file of codes, as a rule asks for them.

    ``contains`` has, by the list's name, SQL that is true where the code that the rule is
    about stands in that list, and false where it is NULL. It doesn't name the code's field, and a
    rule must: else it would be judged where that has failed. ``system`` is 9 or 10, ``version``
    that of the file (0: none).
    """

    contains: Mapping[str, str]
    system: int
    version: int


# -- moments --------------------------------------------------------------------------------------

_EAST, _WEST = "INTERVAL 14 HOUR", "INTERVAL 12 HOUR"
"""How far local time is before and behind UTC: from UTC+14 (Kiribati) to UTC-12 (Baker Island)."""


def not_after(one: Operand, other: Operand) -> str:
    """SQL that is false where ``one`` is later than ``other`` in whatever time zones they are.

    Where one of them is a date, only days count. Where one has a time zone and the other
    none, it is false only if it is so for every zone that the other may be in: a rule
    mustn't reject a row because a clock was set to another zone.
    """
    return f"{_limit(one, other, earliest=True)} <= {_limit(other, one, earliest=False)}"


def before(one: Operand, other: Operand) -> str:
    """SQL that is false where ``one`` isn't earlier than ``other``, as ``not_after`` is."""
    return f"{_limit(one, other, earliest=True)} < {_limit(other, one, earliest=False)}"


def earliest_day(moment: Operand) -> str:
    """SQL for the earliest day that ``moment`` can be, in whatever time zone."""
    return _limit(moment, Operand("", DATE), earliest=True)


def _limit(moment: Operand, other: Operand, earliest: bool) -> str:
    """The earliest or the latest that ``moment`` can be beside ``other``."""
    kinds = {moment.type.name, other.type.name}
    if len(kinds) == 1 or "timestamptz" not in kinds:
        return moment.date if "date" in kinds else moment.sql
    if moment.type.name == "date":
        return moment.sql
    if moment.type.name == "timestamptz":
        if "date" not in kinds:
            return moment.sql
        shifted = f"- {_WEST}" if earliest else f"+ {_EAST}"
        return f"CAST({moment.sql} {shifted} AS DATE)"
    # A clock on the wall without a zone: the farther east it hangs, the earlier is its moment.
    shifted = f"- {_EAST}" if earliest else f"+ {_WEST}"
    clock = f"({moment.sql} {shifted})"
    # 'timezone' takes no infinity.
    return (
        f"CASE WHEN isfinite({clock}) THEN timezone('UTC', {clock})"
        f" WHEN {clock} > TIMESTAMP '2000-01-01' THEN TIMESTAMPTZ 'infinity'"
        f" WHEN {clock} IS NOT NULL THEN TIMESTAMPTZ '-infinity' END"
    )


def age_in_years(birth: Operand, on: str) -> str:
    """SQL for the birthdays up to the day ``on`` (SQL of a date): complete years.

    Who was born on 29 February has a birthday on 1 March of other years. The day mustn't come
    before the birth. It is the difference of two days written as 20240229.
    """
    one, other = (f"year({d}) * 10000 + month({d}) * 100 + day({d})" for d in (on, birth.date))
    return f"({one} - ({other})) // 10000"
