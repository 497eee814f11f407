"""The loads of a job, compiled and checked against both servers: the start of several verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from pipelines.databases.open_databases import Databases
from pipelines.ledger.job_row import StoredJob
from pipelines.maps.lookup_tables import read_lookups
from pipelines.preflight.check_servers import compile_and_check
from schemas.code_maps.lookup_table import LookupTable
from schemas.errors import Problem
from transforms.model.program import LoadProgram


@dataclass(frozen=True)
class PreparedLoads:
    """Compiled loads that both servers can run.

    Attributes:
        started_at: When the job began, ISO 8601 with a zone.
        programs: The compiled loads by name.
        lookups: The lookup tables by name.
        warnings: Findings about the servers that don't keep a run from starting.
    """

    started_at: str
    programs: Mapping[str, LoadProgram]
    lookups: Mapping[str, LookupTable]
    warnings: tuple[Problem, ...]


def prepare_loads(databases: Databases, job: StoredJob | None) -> PreparedLoads:
    """Reads the lookup tables, compiles all loads and checks both servers.

    Args:
        databases: The open sources and the target.
        job: The job as it is stored; None if it begins now.

    Returns:
        The loads, and the warnings about the servers, which the caller prints.

    Raises:
        TransfuseError: Exit status 2, with every compile error and every blocking finding; exit
            status 3 where a database can't be asked for a lookup table.
    """
    started_at = job.started_at if job else datetime.now(timezone.utc).isoformat()
    lookups = read_lookups(databases)
    programs, findings = compile_and_check(databases, started_at, lookups)
    warnings = tuple(finding.problem for finding in findings)
    return PreparedLoads(started_at, programs, lookups.tables, warnings)
