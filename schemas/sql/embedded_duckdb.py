"""The embedded DuckDB: it evaluates expressions, and reaches nothing outside the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import duckdb
from duckdb.func import ARROW, FunctionNullHandling

from schemas.conversions.decimals import PLAIN_DECIMAL, plain_decimals
from schemas.conversions.documents import REPEATS_A_KEY, repeats_a_key

_lock = threading.Lock()


def new_connection(share_subexpressions: bool = True) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection of one thread in UTC that reaches no file, network or setting.

    Args:
        share_subexpressions: Whether DuckDB computes what several expressions have in common
            only once. It takes such a part out of ``TRY(...)``, so that its errors aren't
            caught there.
    """
    connection = duckdb.connect(
        config={
            "threads": "1",
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "preserve_insertion_order": "true",
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.create_function(REPEATS_A_KEY, repeats_a_key, ["VARCHAR"], "BOOLEAN", type=ARROW)
    connection.create_function(
        PLAIN_DECIMAL,
        plain_decimals,
        ["VARCHAR"],
        "VARCHAR",
        type=ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
    )
    connection.execute("SET python_enable_replacements = false")
    if not share_subexpressions:
        connection.execute("SET disabled_optimizers = 'common_subexpressions'")
    connection.execute("SET lock_configuration = true")
    return connection


def ask(query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Runs a query about expressions on a connection that all threads share.

    Raises duckdb.Error.
    """
    with _lock:
        return _shared_connection().execute(query, list(parameters)).fetchall()


@lru_cache(maxsize=1)
def _shared_connection() -> duckdb.DuckDBPyConnection:
    return new_connection()
