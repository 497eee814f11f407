"""Values of logical types inside Avro's arrays, maps and records, as JSON has them.

They are read as they are stored (a date is a number of days, a decimal is bytes) and get their
meaning here, by the schema: dates, times and timestamps in ISO 8601, decimals as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import MAX_PREC, Context, Decimal
from typing import Any

_EXACTLY = Context(prec=MAX_PREC)

_PER_SECOND = {"millis": 1_000, "micros": 1_000_000, "nanos": 1_000_000_000}

_NESTED = ("record", "error", "array", "map")

_MEANT = ("date", "decimal")
_MEANT_PREFIXES = ("time-", "timestamp-", "local-timestamp-")

Names = Mapping[str, Any]
"""The named types of a file, by full name."""


def resolve(schema: Any, names: Names) -> Any:
    """The schema that a name or a needless nesting stands for."""
    while True:
        if isinstance(schema, str) and schema in names:
            schema = names[schema]
        elif isinstance(schema, dict) and isinstance(schema.get("type"), (dict, list)):
            schema = schema["type"]
        else:
            return schema


def has_logic(schema: Any, names: Names) -> bool:
    """Whether values within the schema mean something else than what is stored."""
    return any(_is_logical(one) for one in _within(schema, names))


def is_undecidable(schema: Any, names: Names) -> bool:
    """Whether there is a union within the schema of which a stored value may be of several types,
    one of them with a meaning of its own."""
    return any(
        len(_members(one)) > 1 and any(has_logic(member, names) for member in _members(one))
        for one in _within(schema, names)
        if isinstance(one, list)
    )


def json_value(stored: Any, schema: Any, names: Names) -> Any:
    """A value for JSON.

    Args:
        stored: As fastavro reads it without logical types.
        schema: That of the value, not undecidable.
        names: The named types of the file.

    Returns:
        The value, in which what has a logical type is text.

    Raises:
        ValueError: A date or time is none that Python can represent exactly.
    """
    schema = resolve(schema, names)
    if stored is None:
        return None
    if isinstance(schema, list):
        members = _members(schema)
        return json_value(stored, members[0], names) if len(members) == 1 else stored
    if not isinstance(schema, dict):
        return stored
    if _is_logical(schema):
        return _time_or_decimal(stored, schema)
    kind = schema["type"]
    if kind == "array":
        return [json_value(one, schema["items"], names) for one in stored]
    if kind == "map":
        return {name: json_value(one, schema["values"], names) for name, one in stored.items()}
    if kind in ("record", "error"):
        return {
            f["name"]: json_value(stored[f["name"]], f["type"], names) for f in schema["fields"]
        }
    return stored


def decimal_of(value: bytes, scale: int) -> str:
    """A stored decimal as text without an exponent."""
    unscaled = int.from_bytes(value, "big", signed=True)
    return format(Decimal(unscaled).scaleb(-scale, _EXACTLY), "f")


def _is_logical(schema: Any) -> bool:
    logical = str(schema.get("logicalType")) if isinstance(schema, dict) else ""
    return logical in _MEANT or logical.startswith(_MEANT_PREFIXES)


def _members(union: list[Any]) -> list[Any]:
    return [member for member in union if member != "null"]


def _within(schema: Any, names: Names) -> list[Any]:
    """The schema and all schemas below it, each named one once."""
    schemas: list[Any] = []
    waiting, seen = [schema], set()
    while waiting:
        one = resolve(waiting.pop(), names)
        if id(one) in seen:
            continue
        schemas.append(one)
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            seen.add(id(one))
            waiting += [one[key] for key in ("items", "values") if key in one]
            waiting += [field["type"] for field in one.get("fields", ())]
    return schemas


def _time_or_decimal(stored: Any, schema: dict[str, Any]) -> str:
    logical = schema["logicalType"]
    if logical == "decimal":
        return decimal_of(stored, int(schema.get("scale", 0)))
    kind, _, unit = logical.rpartition("-")
    try:
        if logical == "date":
            return (datetime(1970, 1, 1) + timedelta(days=stored)).date().isoformat()
        microseconds, rest = divmod(stored * 1_000_000, _PER_SECOND[unit])
        if rest:
            raise ValueError("finer than a microsecond")
        if kind == "time" and not 0 <= microseconds < 86_400_000_000:
            raise ValueError("not a time of day")
        zone = timezone.utc if kind == "timestamp" else None
        moment = datetime(1970, 1, 1, tzinfo=zone) + timedelta(microseconds=microseconds)
    except OverflowError:
        raise ValueError("out of range") from None
    return moment.time().isoformat() if kind == "time" else moment.isoformat()
