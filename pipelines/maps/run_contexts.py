"""What a specification says about a run, as the steps and the pure functions take it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from pipelines.connections.patient_connections import retrying_of
from pipelines.databases.open_databases import Databases
from pipelines.ledger.job import control_table, stored_job
from schemas.code_maps.lookup_table import LookupTable
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.model.program import LoadProgram
from transforms.model.run_context import ErrorBudget, GemUse, RunContext
from transforms.sources.postgres.partition_plan import PartitionBounds


def run_context(
    databases: Databases,
    programs: Mapping[str, LoadProgram],
    maps: Mapping[str, GemUse],
    lookups: Mapping[str, LookupTable],
    run: int = 0,
    begun: str | None = None,
) -> RunContext:
    """The context of a run of the job that has ``begun`` then; 0 is none, for who only looks."""
    specification = databases.specification
    budget = specification.errors.budget
    limits = specification.limits
    return RunContext(
        job=specification.job,
        run=run,
        begun=begun,
        sources={name: source.address for name, source in databases.sources.items()},
        target=specification.target.url,
        control_schema=specification.target.control_schema,
        programs=programs,
        needs=databases.needs,
        maps=maps,
        lookups=lookups,
        budget=ErrorBudget(budget.rejected, budget.codes, budget.min_rows),
        retry=retrying_of(specification),
        source_connections=limits.connections.source,
        target_connections=limits.connections.target,
    )


DECIDED_ON = ("source_system", "target_system", "source_code", "target_code")
"""The columns of ``code_mappings`` without which it says nothing."""


def with_site_decisions(
    target: psycopg.Connection[Any], specification: Specification, maps: Mapping[str, GemUse]
) -> dict[str, GemUse]:
    """The maps with the site's rows of ``code_mappings``, which win over the files: those from
    the map's source system to its target system (``CodeSystem.names``, however spelled).

    The rows of a code that were decided last are one decision, and earlier ones are taken back. A
    row is called by its ``id``, or else by when it was decided.
    Without that table, before the first run, the maps as they are. Who makes it beforehand
    needs none of its columns but systems and codes; without a number as ``id`` rows count as
    stored, and without ``decided_at`` all of them as one decision.

    Raises:
        TransfuseError: USER-003 where the table lacks one of these columns.
    """
    table = control_table(specification, "code_mappings")
    row = target.execute("SELECT to_regclass(%s)", [table.as_string()]).fetchone()
    if row is None or row[0] is None:
        return dict(maps)
    rows = _read_code_mappings(target, table, _has_dates(target, table))
    return {
        name: replace(
            use,
            site=tuple(
                tuple(decided)
                for source, target, *decided in rows
                if source in use.gem.source.names and target in use.gem.target.names
            ),
        )
        for name, use in maps.items()
    }


def _has_dates(target: psycopg.Connection[Any], table: sql.Identifier) -> bool:
    """Whether ``decided_at`` has dates. Raises TransfuseError: USER-003 where the table lacks a
    column of ``DECIDED_ON``."""
    columns = target.execute(
        "SELECT attname::text, atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype,"
        " 'date'::regtype) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
        " AND NOT attisdropped",
        [table.as_string()],
    ).fetchall()
    lacking = [name for name in DECIDED_ON if name not in {name for name, _ in columns}]
    if lacking:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                f"it has no column {' and no column '.join(lacking)}",
                f"table {table.as_string()}",
                f"ALTER TABLE {table.as_string()} {', '.join(f'ADD {n} text' for n in lacking)}",
            )
        )
    return ("decided_at", True) in columns


def _read_code_mappings(
    target: psycopg.Connection[Any], table: sql.Identifier, dated: bool
) -> list[tuple[Any, ...]]:
    """The rows of ``code_mappings``: the names of both systems, source code, target code (None for
    a blank one), the number of the decision, and what the row is called by."""
    decision = "dense_rank() OVER (ORDER BY m.decided_at NULLS FIRST)" if dated else "1"
    return target.execute(
        sql.SQL(
            "SELECT upper(regexp_replace(source_system, '[^A-Za-z0-9]', '', 'g')),"
            " upper(regexp_replace(target_system, '[^A-Za-z0-9]', '', 'g')),"
            " source_code, CASE WHEN target_code ~ '\\S' THEN target_code END, {},"
            " coalesce(to_jsonb(m) ->> 'id', to_jsonb(m) ->> 'decided_at') FROM {} AS m"
            " WHERE source_code IS NOT NULL ORDER BY CASE WHEN to_jsonb(m) ->> 'id' ~ '^[0-9]+$'"
            " THEN (to_jsonb(m) ->> 'id')::numeric END, ctid"
        ).format(sql.SQL(decision), table)
    ).fetchall()


def partition_bounds(specification: Specification) -> PartitionBounds:
    """A partition's share of the memory: it is held about ten times over by each worker."""
    workers = workers_of(specification)
    share = specification.limits.memory // (20 * workers)
    return PartitionBounds(bytes=max(2**16, min(8 * 2**20, share)))


def workers_of(specification: Specification) -> int:
    """The partitions that the in-process runner works on at once: as many as processors,
    within the connection limits."""
    return min(os.cpu_count() or 1, most_workers(specification))


def workers_asked(flags: Sequence[str], specification: Specification) -> int:
    """The workers that flags for Beam ask for, else as many as the machine suggests."""
    given = [flag for flag in flags if flag.startswith("--direct_num_workers=")]
    number = given[-1].partition("=")[2] if given else ""
    return int(number) if number.isdecimal() else workers_of(specification)


def most_workers(specification: Specification) -> int:
    """How many workers the connection limits allow: each reads from one and writes to one."""
    connections = specification.limits.connections
    return min(connections.source, connections.target)


def complete_loads(target: psycopg.Connection[Any], specification: Specification) -> frozenset[str]:
    """The loads of the job whose rows all stand in the target."""
    return _loads(target, specification, "settled AND")


def done_loads(target: psycopg.Connection[Any], specification: Specification) -> frozenset[str]:
    """The loads of the job whose partitions are all done, settled or not."""
    return _loads(target, specification, "")


def begun_loads(target: psycopg.Connection[Any], specification: Specification) -> frozenset[str]:
    """The loads of the job of which something is committed."""
    if stored_job(target, specification) is None:
        return frozenset()
    rows = target.execute(
        sql.SQL("SELECT DISTINCT load FROM {} WHERE job_id = %s AND state = 'done'").format(
            control_table(specification, "migration_partitions")
        ),
        [specification.job],
    ).fetchall()
    return frozenset(load for (load,) in rows)


def _loads(
    target: psycopg.Connection[Any], specification: Specification, condition: str
) -> frozenset[str]:
    if stored_job(target, specification) is None:
        return frozenset()
    rows = target.execute(
        sql.SQL(
            f"SELECT load FROM {{}} l WHERE job_id = %s AND {condition}"
            " NOT EXISTS (SELECT FROM {} p WHERE p.job_id = l.job_id AND p.load = l.load"
            "  AND p.state <> 'done')"
        ).format(
            control_table(specification, "migration_loads"),
            control_table(specification, "migration_partitions"),
        ),
        [specification.job],
    ).fetchall()
    return frozenset(load for (load,) in rows)
