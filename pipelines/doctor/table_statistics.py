"""Statistics of tables: never collected, outdated, or full of dead rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import psycopg

from pipelines.doctor.health_finding import HealthFact, Observation, advise, warn
from schemas.errors import ErrorCode

_MANY = 1000
"""Rows from which a table's statistics matter."""

_TABLES = """
SELECT quote_ident(s.schemaname) || '.' || quote_ident(s.relname), s.n_live_tup, s.n_dead_tup,
    s.n_mod_since_analyze, greatest(s.last_analyze, s.last_autoanalyze) IS NULL,
    coalesce((SELECT o.option_value IN ('false', 'off', 'no', '0')
              FROM pg_options_to_table(c.reloptions) o
              WHERE o.option_name = 'autovacuum_enabled'), false)
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS u(schema, name)
JOIN pg_stat_all_tables s ON s.schemaname = u.schema AND s.relname = u.name
JOIN pg_class c ON c.oid = s.relid AND c.relkind IN ('r', 'm')
ORDER BY 1
"""


def examine_statistics(
    place: str, connection: psycopg.Connection[Any], tables: Collection[tuple[str, str]]
) -> Iterator[Observation]:
    """Examine the statistics of tables.

    Args:
        place: The name of the server in the report.
        connection: A session of the diagnosis.
        tables: Their schemas and names.

    Yields:
        Facts and findings (SYS-002) with the statement for each table.

    Raises:
        psycopg.Error: The server can't be asked.
    """
    values = {"schemas": [schema for schema, _ in tables], "names": [name for _, name in tables]}
    rows = connection.execute(_TABLES.encode(), values).fetchall()
    yield HealthFact(place, "tables", len(rows))
    yield HealthFact(place, "rows (estimated)", sum(row[1] for row in rows))
    yield HealthFact(place, "dead rows (estimated)", sum(row[2] for row in rows))
    for table, live, dead, modified, never, is_vacuum_off in rows:
        subject = f"{place}, {table}"
        if is_vacuum_off and place == "target":
            yield warn(
                ErrorCode.SYS_002,
                subject,
                "autovacuum is off for the table: statistics get old, and dead rows stay",
                f"ALTER TABLE {table} RESET (autovacuum_enabled);",
            )
        reason = _staleness(live, modified, never)
        if reason:
            # Rows of a source are mostly read in the order of its pages, without a plan.
            make = warn if place == "target" else advise
            yield make(
                ErrorCode.SYS_002,
                subject,
                f"{reason}: the planner guesses, and can choose slow plans",
                f"ANALYZE {table};",
            )
        if dead > 10 * _MANY and dead > live // 5:
            yield advise(
                ErrorCode.SYS_002,
                subject,
                f"about {dead:,} dead rows beside {live:,} live ones are read as well",
                f"VACUUM (ANALYZE) {table};",
            )


def _staleness(live: int, modified: int, never: bool) -> str:
    """Why a table's statistics mislead the planner; empty if they don't."""
    if never and max(live, modified) >= _MANY:
        return f"the table was never analyzed and has about {max(live, modified):,} rows"
    if not never and modified >= _MANY + live // 5:
        return f"{modified:,} rows were changed since the table was analyzed"
    return ""
