"""Indexes of the target: those that are missing, invalid, or never used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from pipelines.doctor.health_finding import HealthFact, Observation, advise, warn
from pipelines.preflight.target_uses import target_uses
from schemas.errors import ErrorCode
from transforms.model.program import LoadProgram

OLD_STATISTICS = 7
"""Days of statistics from which an index without a scan counts as unused."""

_LARGE = 2**20
"""Bytes from which an unused index is worth a word."""

_UNINDEXED = """
SELECT DISTINCT quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(a.attname),
    c.relkind = 'p'
FROM unnest(%(schemas)s::text[], %(names)s::text[], %(columns)s::text[]) AS u(schema, name, col)
JOIN pg_namespace n ON n.nspname = u.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name AND c.relkind IN ('r', 'p')
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = u.col
WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid
                  AND i.indpred IS NULL AND i.indkey[0] = a.attnum)
ORDER BY 1, 2
"""

_KEYS = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(k.conname),
    (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY p.position)
     FROM unnest(k.conkey) WITH ORDINALITY AS p(attnum, position)
     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.attnum),
    c.relkind = 'p'
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS u(schema, name)
JOIN pg_namespace n ON n.nspname = u.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name
JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid
                  AND i.indpred IS NULL AND i.indkey[0] = ANY (k.conkey))
ORDER BY 1, 2
"""

_INDEXES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(x.relname), i.indisvalid,
    NOT i.indisunique AND s.idx_scan = 0 AND pg_relation_size(x.oid) > %(large)s
    AND greatest(pg_postmaster_start_time(), d.stats_reset)
        < now() - make_interval(days => %(days)s)
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid)
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS u(schema, name)
JOIN pg_namespace n ON n.nspname = u.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name
JOIN pg_index i ON i.indrelid = c.oid
JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i'
JOIN pg_stat_database d ON d.datname = current_database()
LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = x.oid
ORDER BY 1
"""


def examine_indexes(
    target: psycopg.Connection[Any], programs: Mapping[str, LoadProgram]
) -> Iterator[Observation]:
    """Examine the indexes of the tables that the loads write or refer to.

    Args:
        target: A session of the diagnosis.
        programs: The compiled loads by name.

    Yields:
        Facts and findings (SYS-002), each with the statement that makes, repairs or drops an index.

    Raises:
        psycopg.Error: The target can't be asked.
    """
    yield from _examine_references(target, programs)
    uses = target_uses(programs)
    names = {"schemas": [schema for schema, _ in uses], "names": [name for _, name in uses]}
    for table, key, columns, is_divided in target.execute(_KEYS.encode(), names).fetchall():
        yield advise(
            ErrorCode.SYS_002,
            f"target, {table}",
            f"the foreign key {key} has no index on {columns}: deleting parents, as 'reset' does,"
            " reads the whole table for each",
            _create_index(table, columns, is_divided),
        )
    values = {**names, "large": _LARGE, "days": OLD_STATISTICS}
    indexes = target.execute(_INDEXES.encode(), values).fetchall()
    yield HealthFact("target", "indexes", len(indexes))
    for index, is_valid, is_unused in indexes:
        if not is_valid:
            yield warn(
                ErrorCode.SYS_002,
                f"target, {index}",
                "the index is invalid: no query uses it, and each row that is written maintains it",
                f"REINDEX INDEX CONCURRENTLY {index};",
            )
        elif is_unused:
            yield advise(
                ErrorCode.SYS_002,
                f"target, {index}",
                f"no query has used the index for {OLD_STATISTICS} days or more",
                f"DROP INDEX CONCURRENTLY {index};",
            )


def _examine_references(
    target: psycopg.Connection[Any], programs: Mapping[str, LoadProgram]
) -> Iterator[Observation]:
    looked_up = {
        (reference.table.schema, reference.table.name, reference.column)
        for program in programs.values()
        for field in program.fields
        if (reference := field.reference) is not None
    }
    schemas, names, columns = zip(*sorted(looked_up), strict=True) if looked_up else ((), (), ())
    values = {"schemas": list(schemas), "names": list(names), "columns": list(columns)}
    for table, column, is_divided in target.execute(_UNINDEXED.encode(), values).fetchall():
        yield warn(
            ErrorCode.SYS_002,
            f"target, {table}",
            f"references look up parents by {column}, which no index begins with: each look-up"
            " reads the whole table",
            _create_index(table, column, is_divided),
        )


def _create_index(table: str, columns: str, is_divided: bool) -> str:
    # A partitioned table takes no CONCURRENTLY.
    return f"CREATE INDEX {'' if is_divided else 'CONCURRENTLY '}ON {table} ({columns});"
