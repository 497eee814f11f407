"""Local times of a zone and the moments they mean, by the zone data of DuckDB.

A moment has one local time, but a local time may be that of two moments, where clocks are put
back, or of none, where they are put forward. No zone has ever changed its clocks twice within
four days. So only the offsets of a day before and of a day after come into question, and
converting back shows which of the two holds.
"""

from __future__ import annotations

from functools import lru_cache

import duckdb

from schemas.conversions.conversion import (
    AMBIGUOUS_TIME,
    NO_SUCH_TIME,
    OUT_OF_RANGE,
    Conversion,
    let,
)
from schemas.conversions.text_readings import OnAmbiguous

_DAY = 86_400_000_000
_FARTHEST = 200_000 * 366 * _DAY
"""Microseconds from 1970 within which offsets are computed without an overflow."""


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The unambiguous names of time zones: ``Europe/Berlin``, ``UTC``; no abbreviations."""
    with duckdb.connect() as connection:
        names = connection.execute("SELECT name FROM pg_timezone_names()").fetchall()
    return frozenset(name for (name,) in names if "/" in name or name == "UTC")


def local_time(moment: str, zone: str) -> str:
    """SQL for the local time (timestamp) of a moment (timestamptz)."""
    return f"timezone('{zone}', {moment})"


def moment_of(local: str, zone: str, on_ambiguous: OnAmbiguous) -> Conversion:
    """Converts a local time (timestamp) of a zone to the moment (timestamptz).

    Args:
        local: SQL for the local time.
        zone: The name of the zone, one of ``zone_names``.
        on_ambiguous: The policy for a local time that occurs twice or never.
    """
    value = let("wall", local, _moment("wall", zone, on_ambiguous))
    # Without a moment, the local time occurred twice or never, or is too far away.
    twice = let(
        "wall", local, _is_local("wall", f"epoch_us(wall) - {_offset('wall', zone, -1)}", zone)
    )
    reason = (
        f"CASE WHEN {local} IS NULL OR {value} IS NOT NULL THEN NULL"
        f" WHEN abs(epoch_us({local})) > {_FARTHEST} THEN '{OUT_OF_RANGE}'"
        f" WHEN {twice} THEN '{AMBIGUOUS_TIME}' ELSE '{NO_SUCH_TIME}' END"
    )
    return Conversion(value, reason)


def _moment(local: str, zone: str, on_ambiguous: OnAmbiguous) -> str:
    counted = f"epoch_us({local})"
    before = f"{counted} - {_offset(local, zone, -1)}"
    after = f"{counted} - {_offset(local, zone, 1)}"
    chosen = {
        OnAmbiguous.REJECT: "NULL",
        OnAmbiguous.EARLIER: "least(b, a)",
        OnAmbiguous.LATER: "greatest(b, a)",
    }[on_ambiguous]
    b_fits, a_fits = _is_local(local, "b", zone), _is_local(local, "a", zone)
    # Nothing is converted back unless clocks are changed nearby.
    decided = (
        f"CASE WHEN b = a THEN b WHEN {b_fits} AND NOT {a_fits} THEN b"
        f" WHEN {a_fits} AND NOT {b_fits} THEN a ELSE {chosen} END"
    )
    moment = f"make_timestamptz({let('b', before, let('a', after, decided))})"
    return (
        f"CASE WHEN NOT isfinite({local}) THEN CAST({local} AS TIMESTAMPTZ)"
        f" WHEN abs({counted}) <= {_FARTHEST} THEN {moment} END"
    )


def _offset(local: str, zone: str, days: int) -> str:
    """SQL for the microseconds by which the zone is ahead of UTC, some days from a local time."""
    near = f"epoch_us({local}) + {days * _DAY}"
    return f"(epoch_us({local_time(f'make_timestamptz({near})', zone)}) - ({near}))"


def _is_local(local: str, counted: str, zone: str) -> str:
    return f"(epoch_us({local_time(f'make_timestamptz({counted})', zone)}) = epoch_us({local}))"
