"""Runs every check of the preflight and reports all findings together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipelines.databases.load_compilation import Lookups, compile_loads
from pipelines.databases.open_databases import Databases
from pipelines.preflight.code_notations import check_code_notations
from pipelines.preflight.file_checksums import check_file_checksums
from pipelines.preflight.finding import Finding
from pipelines.preflight.foreign_keys import check_foreign_keys
from pipelines.preflight.large_objects import check_large_objects
from pipelines.preflight.repeatable_reads import check_repeatable_reads
from pipelines.preflight.sequence_defaults import check_sequence_defaults
from pipelines.preflight.sessions import check_sessions
from pipelines.preflight.source_rights import check_source_rights
from pipelines.preflight.target_rights import check_target_rights
from pipelines.preflight.target_tables import check_target_tables
from pipelines.preflight.written_columns import check_encodings, check_upserts
from schemas.errors import TransfuseError
from transforms.model.program import LoadProgram

ServerCheck = Callable[[Databases, Mapping[str, LoadProgram]], list[Finding]]
"""A check takes the open databases and the programs that could be compiled, which may be fewer
than the specification has loads."""

CHECKS: Sequence[ServerCheck] = (
    check_sessions,
    check_source_rights,
    check_repeatable_reads,
    check_large_objects,
    check_target_rights,
    check_target_tables,
    check_foreign_keys,
    check_upserts,
    check_sequence_defaults,
    check_encodings,
    check_code_notations,
    check_file_checksums,
)
"""Each reads catalogues and settings, and at most a sample of rows. The order is that of the
report."""


def check_servers(databases: Databases, programs: Mapping[str, LoadProgram]) -> list[Finding]:
    """Checks both servers against what the specification needs of them.

    Args:
        databases: the open source and target.
        programs: compiled loads by name; loads that could not be compiled are absent.

    Returns:
        All findings, in the order of ``CHECKS``.
    """
    return [finding for check in CHECKS for finding in check(databases, programs)]


def compile_and_check(
    databases: Databases, started_at: str, lookups: Lookups | None = None
) -> tuple[dict[str, LoadProgram], list[Finding]]:
    """Compiles all loads and checks both servers, and reports the errors of both together.

    Args:
        databases: the open source and target.
        started_at: the moment at which the job began, ISO 8601 with a zone.
        lookups: the lookup tables that the loads use.

    Returns:
        The programs by load, and the findings that don't keep a run from starting.

    Raises:
        TransfuseError: exit status 2, with every compile error and every blocking finding.
    """
    programs, problems = compile_loads(databases, started_at, lookups)
    findings = check_servers(databases, programs)
    problems += [finding.problem for finding in findings if finding.blocks]
    if problems:
        raise TransfuseError(problems)
    return programs, [finding for finding in findings if not finding.blocks]
