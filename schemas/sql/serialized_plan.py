"""The plan of a query as DuckDB serializes it: implicit casts written out, macros expanded."""

from __future__ import annotations

import json
from typing import Any

from schemas.sql.embedded_duckdb import ask


def serialized_plan(query: str) -> dict[str, Any]:
    """The plan of a query.

    Returns:
        ``plans``, a list of operators with their ``expressions``; or ``error`` (true) where the
        query can't be planned.
    """
    plan: dict[str, Any] = json.loads(ask("SELECT json_serialize_plan(?)", [query])[0][0])
    return plan
