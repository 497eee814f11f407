"""JSON documents: ``jsonb`` keeps only the last of the values that share a key."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

REPEATS_A_KEY = "transfuse_repeats_a_key"
"""The name under which a connection of DuckDB has ``repeats_a_key``."""

_KEY = r'"(?:[^"\\]|\\.)*"\s*:'


def repeats_a_key(documents: pa.ChunkedArray) -> pa.Array:
    """Whether an object anywhere in each document (string) has a key twice (bool).

    False for what isn't JSON, which the server refuses.
    """
    return pa.array([_repeats_a_key(text) for text in documents.to_pylist()], pa.bool_())


def has_repeated_key(document: str) -> str:
    """SQL for ``repeats_a_key`` of one document (bool); it parses only where a key may repeat."""
    keys = f"regexp_extract_all({document}, '{_KEY}')"
    possible = rf"len({keys}) <> len(list_distinct({keys})) OR contains({document}, '\u')"
    return f"CASE WHEN {possible} THEN {REPEATS_A_KEY}({document}) ELSE false END"


class _Repeated(Exception):
    pass


def _repeats_a_key(text: str) -> bool:
    try:
        json.loads(text, object_pairs_hook=_with_distinct_keys, parse_int=str, parse_float=str)
    except _Repeated:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _with_distinct_keys(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise _Repeated
