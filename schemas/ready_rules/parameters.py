"""The parameters of ready rules: fields, constants, and files of codes.

A specification gives them as text, lists of text or nothing at all (None).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from schemas.code_maps.code_files import CodeFile
from schemas.ready_rules.operands import Family
from schemas.sql.expressions import literal


@dataclass(frozen=True)
class FieldParameter:
    """A field that the rule reads; ``usual`` is the name that is taken unless one is given.

    ``optional``: nothing (``~``) may be given, and the rule does without. ``if_there``: the
    usual field is left out where the load hasn't got it. ``constants`` may stand in place of a
    field, for all rows.
    """

    name: str
    family: Family
    meaning: str
    usual: str | None = None
    optional: bool = False
    if_there: bool = False
    constants: tuple[str, ...] = ()

    @property
    def is_required(self) -> bool:
        return self.usual is None and not self.optional

    @property
    def default(self) -> str:
        """What is taken where nothing is given, in words."""
        if self.usual is None:
            return "none" if self.optional else "must be given"
        return f"{self.usual}, if there is one" if self.if_there else self.usual

    @property
    def example(self) -> str:
        return self.usual or ("~" if self.optional else self.name)

    def read(self, given: object) -> str | None:
        """The name of the field; raises ValueError saying what is expected."""
        if given is None and self.optional:
            return None
        if not isinstance(given, str) or not given.strip():
            raise ValueError("the name of a field is expected here")
        return given.strip()


@dataclass(frozen=True)
class FieldsParameter:
    """Fields that the rule reads, one or several; ``usual`` are those that are taken unless some
    are given."""

    name: str
    family: Family
    meaning: str
    usual: tuple[str, ...] = ()

    @property
    def is_required(self) -> bool:
        return not self.usual

    @property
    def default(self) -> str:
        return f"[{', '.join(self.usual)}]" if self.usual else "must be given"

    @property
    def example(self) -> str:
        return self.default if self.usual else f"[{self.name}]"

    def read(self, given: object) -> list[str]:
        """The names of the fields; raises ValueError saying what is expected."""
        listed: list[object] = list(given) if isinstance(given, (list, tuple)) else [given]
        names = [one.strip() for one in listed if isinstance(one, str) and one.strip()]
        if not names or len(names) < len(listed):
            raise ValueError("the name of a field, or a list of them, is expected here")
        return names


@dataclass(frozen=True)
class Constant:
    """A constant. ``parse`` raises ValueError saying what is expected; ``default`` is as a
    specification would give it, and ``example`` is given where there is none."""

    name: str
    parse: Callable[[object], Any]
    meaning: str
    usual: object = None
    optional: bool = False
    example_text: str = ""

    @property
    def is_required(self) -> bool:
        return self.usual is None and not self.optional

    @property
    def default(self) -> str:
        if self.usual is None:
            return "none" if self.optional else "must be given"
        return f"[{', '.join(self.usual)}]" if isinstance(self.usual, list) else str(self.usual)

    @property
    def example(self) -> str:
        return self.default if self.usual is not None else self.example_text

    def read(self, given: object) -> Any:
        return None if given is None and self.optional else self.parse(given)


@dataclass(frozen=True)
class FileParameter:
    """A file of codes: ``lists`` of it are asked whether they contain the value of the field
    parameter ``about``. Without a file it is the ``packaged`` one, where there is one."""

    name: str
    about: str
    lists: tuple[str, ...]
    read_file: Callable[[Path], CodeFile]
    meaning: str
    packaged: Callable[[], CodeFile] | None = None
    packaged_meaning: str = ""

    @property
    def is_required(self) -> bool:
        return self.packaged is None

    @property
    def default(self) -> str:
        return self.packaged_meaning or "must be given"

    @property
    def example(self) -> str:
        return f"{self.name}.txt"

    def read(self, given: object) -> str:
        if not isinstance(given, str) or not given.strip():
            raise ValueError("the path of a file is expected here")
        return given


Parameter = FieldParameter | FieldsParameter | Constant | FileParameter


# -- how constants are read -----------------------------------------------------------------------


def whole_number(given: object) -> int:
    if not isinstance(given, str) or not re.fullmatch("[0-9]{1,9}", given):
        raise ValueError("a whole number is expected here")
    return int(given)


def truth(given: object) -> bool:
    if given not in ("true", "false"):
        raise ValueError("true or false is expected here")
    return given == "true"


def text(given: object) -> str:
    if not isinstance(given, str) or not given:
        raise ValueError("text is expected here")
    return given


def texts(given: object) -> list[str]:
    """A value or a list of them."""
    listed: list[object] = given if isinstance(given, list) else [given]
    found = [one for one in listed if isinstance(one, str)]
    if not found or len(found) < len(listed):
        raise ValueError("a list of values is expected here")
    return found


def dates(given: object) -> list[str]:
    """SQL constants of dates that are written as 1900-01-31."""
    return [day(one) for one in texts(given)]


def day(given: object) -> str:
    """The SQL constant of a date; ``infinity`` and ``-infinity`` are dates as well."""
    try:
        if given not in ("infinity", "-infinity"):
            if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", str(given)):
                raise ValueError
            date.fromisoformat(str(given))
    except ValueError:
        raise ValueError("a date is expected here, written as 1900-01-31") from None
    return f"DATE {literal(str(given))}"


def years(given: object) -> tuple[int, int]:
    """A range of ages, both ends included: ``12-55``."""
    match = re.fullmatch(r"([0-9]{1,3})-([0-9]{1,3})", str(given))
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError("a range of ages is expected here, written as 12-55")
    return int(match[1]), int(match[2])


def one_of(*choices: str) -> Callable[[object], str]:
    """Reads one of some words."""

    def read(given: object) -> str:
        if given not in choices:
            raise ValueError(f"one of {', '.join(choices)} is expected here")
        return str(given)

    return read
