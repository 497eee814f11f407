"""Conversions run directly, without a server."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

import pyarrow as pa

from schemas.column_types import parse_type
from schemas.conversions import AS_WRITTEN, Reading, convert
from transforms.sql.duckdb_engine import evaluate

STARTED_AT = datetime(2026, 11, 30, 18, 0, tzinfo=timezone.utc)

REFUSED = "-"
"""In front of the reason why a value isn't converted."""


def converted(
    values: Iterable[str], given: str, target: str, reading: Reading = AS_WRITTEN
) -> dict[str, str]:
    """What becomes of each value: its text as DuckDB has it, or ``-`` and the reason.

    Args:
        values: the values, as text that DuckDB casts to the type.
        given: the PostgreSQL type that they have.
        target: the type that is wanted.
        reading: what the specification decides.
    """
    source = parse_type(given)
    conversion = convert("v", source, parse_type(target), reading)
    result = f"coalesce(CAST({conversion.value} AS VARCHAR), '{REFUSED}' || {conversion.reason})"
    if conversion.reason is None:
        result = f"CAST({conversion.value} AS VARCHAR)"
    kind = source.duckdb if source.is_native else "VARCHAR"
    rows = pa.RecordBatch.from_pydict({"t": pa.array(list(values), pa.string())})
    query = f"SELECT t, {result} AS found FROM (SELECT t, CAST(t AS {kind}) AS v FROM batch)"
    return dict(zip(*evaluate(query, rows).to_pydict().values(), strict=True))
