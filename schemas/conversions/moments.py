"""Conversions between dates, times and timestamps, and from their text in ISO 8601."""

from __future__ import annotations

from schemas.column_types import ColumnType
from schemas.conversions.conversion import (
    CONVERSION,
    INEXACT,
    OUT_OF_RANGE,
    Conversion,
    ConversionProblem,
    fallible,
)
from schemas.conversions.text_readings import AS_WRITTEN, Reading
from schemas.conversions.zones import local_time, moment_of

_FRACTION = r"\.[0-9]{1,6}0*"
TIME = rf"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]({_FRACTION})?)?"
FINER_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{7,}"
"""A time with more digits than a microsecond has, not all of them zero."""
MIDNIGHT = r"24:00(:00(\.0+)?)?"
_YEAR = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
DAY = rf"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}"
ZONE = r"(Z|z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9]|:[0-5][0-9]:[0-5][0-9])?)"
"""An offset; before there were zones, local times had offsets with seconds."""
START_OF_DAY = r"00:00(:00(\.0+)?)?"
WHOLE_DAY = rf"{DAY}([ T]{START_OF_DAY})?"
LOCAL = rf"{DAY}([ T]{TIME})?"
ZONED = rf"{DAY}[ T]{TIME} ?{ZONE}"
_ENDLESS = "[+-]?(?i:infinity)"
_ERA = " BC"
_FIRST = {
    "date": "'4714-11-24 (BC)'::DATE",
    "timestamp": "'4714-11-24 (BC) 00:00:00'::TIMESTAMP",
    "timestamptz": "'4714-11-24 (BC) 00:00:00+00'::TIMESTAMPTZ",
}
"""The earliest value of each type in PostgreSQL; DuckDB goes back further."""


def from_text(
    value: str, text: str, target: ColumnType, reading: Reading = AS_WRITTEN
) -> Conversion:
    """Converts text in ISO 8601 to a date or timestamp.

    Args:
        value: SQL for the text.
        text: SQL for the text without surrounding blanks.
        target: date, timestamp or timestamptz.
        reading: The zone, if the specification names one.
    """
    if target.name == "timestamptz":
        return _moment_from_text(value, text, target, reading)
    if reading.zone is not None:
        local = local_time(_moment(text), reading.zone)
        conversion = on_time(value, local, target)
        return _finer(conversion, text, rf"{DAY}[ T]{FINER_TIME} ?{ZONE}")
    if target.name == "date":
        usual = f"try_cast(left({text}, 10) AS DATE)"
        day = fallible(value, _including_far_ones(text, WHOLE_DAY, usual, "date"))
        return _finer(day, text, rf"{DAY}[ T]({TIME}|{FINER_TIME})( BC)?")
    local = _local(text)
    return _finer(within_precision(value, local, target), text, f"{DAY}[ T]{FINER_TIME}( BC)?")


def _moment_from_text(value: str, text: str, target: ColumnType, reading: Reading) -> Conversion:
    """A moment; where its text has no offset, the zone of the specification decides."""
    zoned = within_precision(value, _moment(text), target)
    if reading.zone is not None:
        local = _local(text)
        meant = moment_of(local, reading.zone, reading.on_ambiguous)
        result = within_precision(value, f"coalesce({_moment(text)}, {meant.value})", target)
        zoned = Conversion(result.value, f"coalesce({meant.reason}, {result.reason})")
    zone = f" ?{ZONE}" if reading.zone is None else f"( ?{ZONE})?"
    return _finer(zoned, text, rf"{DAY}[ T]{FINER_TIME}{zone}( BC)?")


def _local(text: str) -> str:
    return _including_far_ones(text, LOCAL, f"try_cast({text} AS TIMESTAMP)", "timestamp")


def _moment(text: str) -> str:
    return _including_far_ones(text, ZONED, _cast_to_moment(text), "timestamptz")


def _cast_to_moment(text: str) -> str:
    # DuckDB's cast takes a zone only right behind seconds, and Z only as a capital.
    zoned = f"replace(regexp_replace({text}, ' ([zZ+-])', '\\1'), 'z', 'Z')"
    zoned = f"regexp_replace({zoned}, '([ T][0-9]{{2}}:[0-9]{{2}})([Z+-])', '\\1:00\\2')"
    return f"try_cast({zoned} AS TIMESTAMP WITH TIME ZONE)"


def _including_far_ones(text: str, grammar: str, usual: str, name: str) -> str:
    """SQL for a date or timestamp that may be infinite or BC, as PostgreSQL writes it.

    Args:
        text: SQL for the text without surrounding blanks.
        grammar: The regular expression of dates that are neither.
        usual: SQL for the value of those.
        name: The type: date, timestamp or timestamptz.
    """
    kind = _FIRST[name].rpartition("::")[2]
    endless = f"CAST(ltrim(lower({text}), '+') AS {kind})"
    # DuckDB expects the era behind the day, and ignores one at the end.
    era = rf"regexp_replace({text}, '^(.{{10}})(.*){_ERA}$', '\1 (BC)\2')"
    before_christ = _cast_to_moment(era) if name == "timestamptz" else f"try_cast({era} AS {kind})"
    if name == "date":
        before_christ = f"try_cast(left({text}, 10) || ' (BC)' AS DATE)"
    return (
        f"CASE WHEN regexp_full_match({text}, '{grammar}') THEN {usual}"
        f" WHEN regexp_full_match({text}, '{_ENDLESS}') THEN {endless}"
        f" WHEN regexp_full_match({text}, '({grammar}){_ERA}')"
        f" AND {before_christ} >= {_FIRST[name]} THEN {before_christ} END"
    )


def _finer(conversion: Conversion, text: str, grammar: str) -> Conversion:
    """Changes the reason to INEXACT for text that would be converted but for its last digits."""
    reason = (
        f"CASE WHEN ({conversion.reason}) = '{CONVERSION}'"
        f" AND regexp_full_match({text}, '{grammar}') THEN '{INEXACT}'"
        f" ELSE {conversion.reason} END"
    )
    return Conversion(conversion.value, reason)


def on_time(value: str, local: str, target: ColumnType) -> Conversion:
    """Converts SQL for a local time (timestamp or NULL) to a date or timestamp."""
    if target.name != "date":
        return within_precision(value, local, target)
    day = f"CASE WHEN {local} = date_trunc('day', {local}) THEN CAST({local} AS DATE) END"
    reason = (
        f"CASE WHEN {value} IS NULL THEN NULL WHEN {local} IS NULL THEN '{CONVERSION}'"
        f" WHEN {day} IS NULL THEN '{INEXACT}' END"
    )
    return Conversion(day, reason)


def within_precision(value: str, moment: str, target: ColumnType) -> Conversion:
    """Rejects a moment with more fractional digits than the target's ``timestamp(n)``."""
    if target.precision is None or target.precision >= 6:
        return fallible(value, moment)
    step = 10 ** (6 - target.precision)
    exact = f"(NOT isfinite({moment}) OR epoch_us({moment}) % {step} = 0)"
    reason = (
        f"CASE WHEN {value} IS NULL THEN NULL WHEN {moment} IS NULL THEN '{CONVERSION}'"
        f" WHEN NOT {exact} THEN '{INEXACT}' END"
    )
    return Conversion(f"CASE WHEN {exact} THEN {moment} END", reason)


def same_moment(value: str, source: ColumnType, target: ColumnType) -> Conversion:
    """Converts between types that differ in fractional digits only."""
    if fraction_digits(source) <= fraction_digits(target):
        return Conversion(value)
    return within_precision(value, value, target)


def fraction_digits(kind: ColumnType) -> int:
    """The fractional digits of the seconds of a time or timestamp."""
    return 6 if kind.precision is None else kind.precision


def date_to_timestamp(value: str, _: ColumnType, __: ColumnType) -> Conversion:
    """Converts a date to the beginning of its day."""
    return fallible(value, f"try_cast({value} AS TIMESTAMP)", OUT_OF_RANGE)


def timestamp_to_date(value: str, _: ColumnType, __: ColumnType) -> Conversion:
    """Converts a timestamp at the beginning of a day to the date."""
    day = f"try_cast({value} AS DATE)"
    whole = f"(NOT isfinite({value}) OR {value} = date_trunc('day', {value}))"
    return fallible(value, f"CASE WHEN {whole} THEN {day} END", INEXACT)


def between_zones(
    value: str, source: ColumnType, target: ColumnType, reading: Reading
) -> Conversion | None:
    """Converts moments to the local times of a zone, or back.

    Returns:
        The conversion; None for other types.

    Raises:
        ConversionProblem: The types need a zone, and the specification names none.
    """
    if target.name == "timestamptz" and source.name in ("timestamp", "date"):
        local = value if source.name == "timestamp" else f"try_cast({value} AS TIMESTAMP)"
        if reading.zone is None:
            raise _without_zone(source, target)
        meant = moment_of(local, reading.zone, reading.on_ambiguous)
        result = within_precision(value, meant.value, target)
        return Conversion(result.value, f"coalesce({meant.reason}, {result.reason})")
    if source.name == "timestamptz" and target.name in ("timestamp", "date"):
        if reading.zone is None:
            raise _without_zone(source, target)
        return on_time(value, local_time(value, reading.zone), target)
    return None


def _without_zone(source: ColumnType, target: ColumnType) -> ConversionProblem:
    return ConversionProblem(
        f"{source} can't become {target}: nothing says of which zone the local times are",
        "name it: 'zone: Europe/Berlin'",
    )
