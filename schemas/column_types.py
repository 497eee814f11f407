"""PostgreSQL column types, and how the values of each travel through the pipeline.

A value travels in one of two ways. *Natively*: the Arrow type represents every value of
the PostgreSQL type exactly. *As text*: the server's own text form, which is exact for
every type; numeric, time, uuid, json, arrays, enums and all other types travel so.

Dates and timestamps are native. Their infinities are the largest and the negated largest
integer of the storage type (2**31-1, 2**63-1), which is also what DuckDB takes for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pyarrow as pa

NATIVE: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "text": pa.string(),
    "varchar": pa.string(),
    "bpchar": pa.string(),
    "name": pa.string(),
    "citext": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}

TEXTUAL = frozenset({"text", "varchar", "bpchar", "name", "citext"})
INTEGERS = {"int2": 16, "int4": 32, "int8": 64}

_ALIASES = {
    "bigint": "int8",
    "bigserial": "int8",
    "boolean": "bool",
    "char": "bpchar",
    "character": "bpchar",
    "character varying": "varchar",
    "dec": "numeric",
    "decimal": "numeric",
    "double": "float8",
    "double precision": "float8",
    "float": "float8",
    "int": "int4",
    "integer": "int4",
    "real": "float4",
    "serial": "int4",
    "smallint": "int2",
    "smallserial": "int2",
    "string": "text",
    "time with time zone": "timetz",
    "time without time zone": "time",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
}


@dataclass(frozen=True)
class ColumnType:
    """A PostgreSQL type as ``format_type`` spells it, with its modifiers taken apart.

    ``name`` is the base name in the catalogue's spelling (``int8``, ``numeric``,
    ``varchar``, ``_text`` for an array of text). For a domain, ``name`` is that of its
    base type and ``sql`` the domain's own name. ``length`` counts characters;
    ``precision`` and ``scale`` are those of numeric, ``precision`` alone also the number
    of fractional digits of a time, timestamp or interval. Those of an array are its
    elements'. ``scalars`` is the type of the values in JSON of a file that holds one scalar, or
    a list of them (``is_list``).
    """

    name: str
    sql: str
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    scalars: ColumnType | None = None
    is_list: bool = False
    holds_reals: bool = False
    """Whether some values of a double were reals: each of those has two decimal texts."""
    is_computed: bool = False
    """Whether an expression computed its values, so that their last digits are its choice."""

    @property
    def is_native(self) -> bool:
        return self.name in NATIVE

    @property
    def is_textual(self) -> bool:
        return self.name in TEXTUAL

    @property
    def is_bytes(self) -> bool:
        """Whether its text form stands for bytes."""
        return self.name in ("bytea", "_bytea")

    @property
    def is_integer(self) -> bool:
        return self.name in INTEGERS

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of a column of this type in a batch; text where not native."""
        return NATIVE.get(self.name, pa.string())

    @property
    def duckdb(self) -> str:
        """The DuckDB type under which an expression sees a column of this type."""
        if self.name == "numeric":
            if self.precision is not None and self.precision <= 38 and (self.scale or 0) >= 0:
                scale = self.scale or 0
                if scale <= self.precision:
                    return f"DECIMAL({self.precision},{scale})"
            return "DECIMAL(38,12)"
        return _DUCKDB.get(self.name, "VARCHAR")

    def __str__(self) -> str:
        return self.sql


_DUCKDB = {
    "bool": "BOOLEAN",
    "bytea": "BLOB",
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "time": "TIME",
}

_TYPE = re.compile(
    r"^\s*(?P<name>[A-Za-z_][\w ]*?)\s*(?:\(\s*(?P<args>-?\d+(?:\s*,\s*-?\d+)?)\s*\))?"
    r"(?P<zone>\s+with(?:out)?\s+time\s+zone)?(?P<array>(?:\[\d*\])*)\s*$",
    re.IGNORECASE,
)


def parse_type(text: str) -> ColumnType:
    """Parses a type as a specification or ``format_type`` writes it.

    Any name is taken, since enums and domains have names of their own; comparing the target's
    schema shows whether there is such a type.

    Args:
        text: The type, such as ``numeric(10,2)``.

    Raises:
        ValueError: The text doesn't have the form of a type.
    """
    match = _TYPE.match(text)
    if not match:
        if re.match(r'^\s*("[^"]+"|[\w$]+)(\.("[^"]+"|[\w$]+))*(\[\])*\s*$', text):
            return ColumnType(text.strip(), text.strip())
        raise ValueError(f"{text!r} is not a type")
    spelled = " ".join((match["name"] + (match["zone"] or "")).lower().split())
    name = _ALIASES.get(spelled, spelled)
    if match["array"]:
        element = parse_type(text.strip()[: -len(match["array"])])
        return replace(element, name="_" + name, sql=text.strip())
    if name.startswith("interval "):
        name = "interval"
    args = [int(a) for a in match["args"].split(",")] if match["args"] else []
    if name in ("varchar", "bpchar"):
        length = args[0] if args else (1 if name == "bpchar" and spelled != "bpchar" else None)
        return ColumnType(name, text.strip(), length=length)
    if name == "numeric" and args:
        return ColumnType(name, text.strip(), precision=args[0], scale=(args + [0])[1])
    if name in ("time", "timetz", "timestamp", "timestamptz", "interval") and args:
        return ColumnType(name, text.strip(), precision=args[0])
    if name == "float8" and spelled == "float" and args and args[0] <= 24:
        return ColumnType("float4", text.strip())
    return ColumnType(name, text.strip())


BOOLEAN = ColumnType("bool", "boolean")
BIGINT = ColumnType("int8", "bigint")
INTEGER = ColumnType("int4", "integer")
TEXT = ColumnType("text", "text")
DATE = ColumnType("date", "date")
TIMESTAMPTZ = ColumnType("timestamptz", "timestamp with time zone")
