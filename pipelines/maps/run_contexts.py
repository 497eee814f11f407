"""The context of a run, and its limits, as a specification and the flags for Beam give them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from pipelines.connections.patient_connections import retrying_of
from pipelines.databases.open_databases import Databases
from schemas.code_maps.lookup_table import LookupTable
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
    """The context of a run of the job.

    Args:
        databases: The open databases.
        programs: The loads, compiled.
        maps: The GEMs by name, with the site's decisions.
        lookups: The lookup tables by name.
        run: The number of the run; 0 for a caller that only reads.
        begun: When the job began, ISO 8601 with a zone.

    Returns:
        What steps and pure functions need to know of the run.
    """
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


def partition_bounds(specification: Specification) -> PartitionBounds:
    """How large a partition may be: each worker holds it in memory about ten times over."""
    workers = workers_of(specification)
    share = specification.limits.memory // (20 * workers)
    return PartitionBounds(bytes=max(2**16, min(8 * 2**20, share)))


def workers_of(specification: Specification) -> int:
    """How many partitions the in-process runner works on at once: one for each processor, within
    the connection limits."""
    return min(os.cpu_count() or 1, most_workers(specification))


def workers_asked(flags: Sequence[str], specification: Specification) -> int:
    """How many workers the flags for Beam ask for, else as many as ``workers_of``."""
    numbers = [flag for flag in flags if flag.startswith("--direct_num_workers=")]
    number = numbers[-1].partition("=")[2] if numbers else ""
    return int(number) if number.isdecimal() else workers_of(specification)


def most_workers(specification: Specification) -> int:
    """How many workers the connection limits allow: each has one to a source and one to the
    target."""
    connections = specification.limits.connections
    return min(connections.source, connections.target)
