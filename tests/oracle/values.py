"""Values by PostgreSQL type, one at a time: how they are written, and strictly converted.

A value is None, str (text, varchar), int (int2, int4, int8; a date in days and a timestamp in
microseconds since 1970-01-01), bool, float (float4, float8) or Decimal (numeric). Nothing is
rounded, cut, padded or guessed: a conversion gives the same meaning or a reason.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import NamedTuple

from tests.oracle.calendar import (
    DATE_INFINITY,
    DAY,
    EARLIEST,
    FINER,
    TIMESTAMP_INFINITY,
    date_text,
    read_date,
    read_timestamp,
    timestamp_text,
)
from tests.oracle.damaged_codes import BLANKS as ALL_BLANKS
from tests.oracle.formatted_dates import read_formatted

Value = object
EXACT = Context(prec=100_000, Emax=MAX_EMAX, Emin=MIN_EMIN)
assert MAX_PREC >= 100_000

INTEGERS = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
LATEST = 2145042905
"""Its last one, 31 December 5874897."""
LATEST_MICROSECOND = 2**63 - 2
"""What a count of microseconds since 1970 can hold, short of infinity: January 294247."""


class Type(NamedTuple):
    """A column type: ``numeric(10,2)`` is ``Type("numeric", 10, 2)``."""

    name: str
    size: int | None = None
    scale: int = 0

    def __str__(self) -> str:
        if self.size is None:
            return self.name
        return (
            f"{self.name}({self.size},{self.scale})"
            if self.name == "numeric"
            else (f"{self.name}({self.size})")
        )


TEXT = Type("text")


def type_of(text: str) -> Type:
    """``numeric(10,2)``, ``bigint``, ``varchar(10)`` as a Type."""
    name, _, arguments = text.rstrip(")").partition("(")
    sizes = [int(size) for size in arguments.split(",")] if arguments else []
    spelled = {"smallint": "int2", "integer": "int4", "bigint": "int8", "boolean": "bool"}
    spelled |= {"real": "float4", "double precision": "float8"}
    return Type(spelled.get(name, name), *sizes)


_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_FLOAT = re.compile(_DECIMAL.pattern + r"([eE][+-]?\d+)?", re.ASCII)
_NAMED = {"nan", "infinity", "-infinity", "+infinity"}
BLANKS = " \t\n\r"
"""What surrounds a value without being part of it, and what blank text is made of."""

_TRUE = {"t", "true", "y", "yes", "on", "1"}
_FALSE = {"f", "false", "n", "no", "off", "0"}

Result = tuple[Value, "str | None"]
_UNREADABLE: Result = (None, "conversion")


def written(value: Value, type_: Type) -> str | None:
    """The value in the text form that PostgreSQL gives it; None for NULL."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if type_.name == "date":
        assert isinstance(value, int)
        return date_text(value)
    if type_.name in ("timestamp", "timestamptz"):
        assert isinstance(value, int)
        return timestamp_text(value, "+00" if type_.name == "timestamptz" else "")
    if isinstance(value, float):
        return _float_text(value, type_)
    if isinstance(value, Decimal):
        return _numeric_text(value)
    return str(value)


def convert(
    value: Value,
    source: Type,
    target: Type,
    formats: Sequence[str] = (),
    century: str | None = None,
) -> Result:
    """The value as one of ``target``, or None and the reason why it can't be one."""
    if value is None:
        return None, None
    if source.name in ("text", "varchar"):
        assert isinstance(value, str)
        return _from_text(value, target, formats, century)
    if target.name in ("text", "varchar"):
        return _fits(str(written(value, source)), target)
    if target.name in INTEGERS and (source.name in INTEGERS or source.name == "numeric"):
        return _integer(Decimal(value), target)  # type: ignore[arg-type]
    if target.name in INTEGERS and source.name in ("float4", "float8"):
        assert isinstance(value, float)
        return _integer(Decimal(value), target)
    if target.name == "numeric" and source.name in INTEGERS:
        assert isinstance(value, int)
        return _numeric(Decimal(value), target)
    if target.name == "numeric" and source.name in ("float4", "float8"):
        return _numeric(Decimal(str(written(value, source))), target)
    if target.name == "numeric" and source.name == "numeric":
        assert isinstance(value, Decimal)
        return _numeric(value, target)
    if target.name in ("float4", "float8"):
        number = Decimal(value)  # type: ignore[arg-type]
        if not number.is_finite():
            return float(number), None
        return _float(number, target) if source.name == "numeric" else _binary(number, target)
    if target.name == "bool" and source.name in INTEGERS:
        return (bool(value), None) if value in (0, 1) else _UNREADABLE
    if target.name in INTEGERS and source.name == "bool":
        return int(bool(value)), None
    if source.name == target.name and source.name in ("timestamp", "timestamptz"):
        assert isinstance(value, int)
        return _moment(value, target)
    if source.name == target.name:
        return value, None
    if source.name == "date" and target.name == "timestamp":
        assert isinstance(value, int)
        return _midnight(value)
    if source.name == "timestamp" and target.name == "date":
        assert isinstance(value, int)
        if abs(value) == TIMESTAMP_INFINITY:
            return (DATE_INFINITY if value > 0 else -DATE_INFINITY), None
        return (value // DAY, None) if value % DAY == 0 else (None, "inexact")
    raise AssertionError(f"the oracle has no conversion from {source} to {target}")


def _from_text(text: str, target: Type, formats: Sequence[str], century: str | None) -> Result:
    if target.name in ("text", "varchar"):
        return _fits(text, target)
    bare = text.strip(ALL_BLANKS)
    if target.name in INTEGERS:
        if not re.fullmatch(r"[+-]?\d+", bare, re.ASCII):
            return _UNREADABLE
        return _integer(Decimal(bare), target)
    if target.name == "numeric":
        if bare.lower() in _NAMED:
            return _numeric(Decimal(bare), target)
        if not _FLOAT.fullmatch(bare):
            return _UNREADABLE
        # The server's numeric has no negative zero.
        return _numeric(_unsigned_zero(EXACT.create_decimal(bare)), target)
    if target.name in ("float4", "float8"):
        if bare.lower() in _NAMED:
            return float(bare), None
        return _float(EXACT.create_decimal(bare), target) if _FLOAT.fullmatch(bare) else _UNREADABLE
    if target.name == "bool":
        if bare.lower() in _TRUE | _FALSE:
            return bare.lower() in _TRUE, None
        return _UNREADABLE
    if formats:
        return read_formatted(bare, formats, target.name, century)
    if target.name == "date":
        days = read_date(bare)
        if days is not None:
            return _day(days)
        moment = read_timestamp(bare, zone=False)
        if moment is None or moment == FINER:
            return None, "conversion" if moment is None else "inexact"
        assert isinstance(moment, int)
        return _day(moment // DAY) if moment % DAY == 0 else (None, "inexact")
    microseconds = read_timestamp(bare, zone=target.name == "timestamptz")
    if microseconds is None:
        return _UNREADABLE
    if isinstance(microseconds, str):
        assert microseconds == FINER
        return None, "inexact"
    return _moment(microseconds, target)


def _fits(text: str, target: Type) -> Result:
    if target.size is not None and len(text) > target.size:
        return None, "too_long"
    return text, None


def _integer(value: Decimal, target: Type) -> Result:
    if not value.is_finite():
        return None, "out_of_range"
    if value != value.to_integral_value(context=EXACT):
        return None, "inexact"
    limit = INTEGERS[target.name]
    if not -limit <= value < limit:
        return None, "out_of_range"
    return int(value), None


def _numeric(value: Decimal, target: Type) -> Result:
    """PostgreSQL holds 131,072 digits before the point and 16,383 behind it."""
    if not value.is_finite():
        if target.size is not None and value.is_infinite():
            return None, "out_of_range"
        return value, None
    if target.size is None:
        if value and value.adjusted() >= 131072:
            return None, "out_of_range"
        return (value, None) if _scale(value) <= 16383 else (None, "inexact")
    if value.copy_abs() >= Decimal(10) ** (target.size - target.scale):
        return None, "out_of_range"
    rounded = value.quantize(Decimal(1).scaleb(-target.scale), context=EXACT)
    return (rounded, None) if rounded == value else (None, "inexact")


def _unsigned_zero(value: Decimal) -> Decimal:
    return value if value else value.copy_abs()


def _scale(value: Decimal) -> int:
    exponent = value.normalize(EXACT).as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def _nearest(value: Decimal, target: Type) -> tuple[float | None, str | None]:
    try:
        result = float(value)
        if target.name == "float4":
            (result,) = struct.unpack("f", struct.pack("f", result))
    except OverflowError:
        return None, "out_of_range"
    return (None, "out_of_range") if math.isinf(result) else (result, None)


def _float(value: Decimal, target: Type) -> Result:
    """Decimal text as the float that gives back its digits; of 17 (9) no two floats share all."""
    result, reason = _nearest(value, target)
    if result is None or (result == 0 and value != 0):
        return None, reason or "out_of_range"
    digits = _significant(value)
    shown = f"{result:.{min(max(len(digits), 1), 17 if target.name == 'float8' else 9) - 1}e}"
    return (result, None) if _significant(Decimal(shown)) == digits else (None, "inexact")


def _binary(value: Decimal, target: Type) -> Result:
    """An integer or another float as a float: exactly, or not at all."""
    result, reason = _nearest(value, target)
    if reason is not None or result is None:
        return None, reason
    return (result, None) if Decimal(result) == value else (None, "inexact")


def _significant(value: Decimal) -> str:
    return "".join(map(str, value.as_tuple().digits)).strip("0")


def _day(days: int) -> Result:
    if abs(days) == DATE_INFINITY or EARLIEST <= days <= LATEST:
        return days, None
    return None, "out_of_range"


def _moment(microseconds: int, target: Type) -> Result:
    """``timestamp(3)`` has three digits behind the seconds' point."""
    if abs(microseconds) == TIMESTAMP_INFINITY:
        return microseconds, None
    if not EARLIEST * DAY <= microseconds <= LATEST_MICROSECOND:
        return None, "out_of_range"
    step = 10 ** (6 - (6 if target.size is None else target.size))
    return (microseconds, None) if microseconds % step == 0 else (None, "inexact")


def _midnight(days: int) -> Result:
    if abs(days) == DATE_INFINITY:
        return (TIMESTAMP_INFINITY if days > 0 else -TIMESTAMP_INFINITY), None
    return _moment(days * DAY, Type("timestamp"))


def _float_text(value: float, type_: Type) -> str:
    """The shortest digits that read back as the same float, laid out as PostgreSQL does."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    digits = repr(value)
    if type_.name == "float4":
        digits = next(
            text
            for precision in range(1, 10)
            if struct.pack("f", float(text := f"{value:.{precision}g}")) == struct.pack("f", value)
        )
    number = Decimal(digits)
    sign = "-" if number.is_signed() else ""
    mantissa = "".join(map(str, number.normalize().as_tuple().digits))
    exponent = number.adjusted() if number else 0
    if not number:
        return f"{sign}0"
    if -4 <= exponent < (6 if type_.name == "float4" else 15):
        return f"{number.normalize():f}"
    fraction = f".{mantissa[1:]}" if mantissa[1:] else ""
    return f"{sign}{mantissa[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02}"


def _numeric_text(value: Decimal) -> str:
    if not value.is_finite():
        return {"NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity"}[str(value)]
    text = f"{value:f}"
    return text[1:] if not value and text.startswith("-") else text
