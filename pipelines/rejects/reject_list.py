"""``rejects list``: the open rejections of a job in groups, worst first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.violation_filter import ViolationFilter
from pipelines.ledger.violation_rows import ViolationGroup
from pipelines.rejects.reject_filter import never_ran, refuse_no_match
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.postgres.connections import connect

if TYPE_CHECKING:
    from pipelines.rejects.untranslated_codes import UntranslatedCode


@dataclass(frozen=True)
class RejectGroup:
    """The open violations of one code, rule and load.

    Attributes:
        code: Their error code.
        description: The meaning of the code.
        severity: The severity of the code.
        rule: Their rule.
        table: Their load.
        source_table: What the load reads.
        target_table: The table that it writes.
        reasons: The reasons that occur.
        rows: How many candidates have such a violation, each of them once.
        violations: How many there are.
        example: The id of one of them, for ``show_reject``.
    """

    code: str
    description: str
    severity: str
    rule: str
    table: str
    source_table: str
    target_table: str
    reasons: tuple[str, ...]
    rows: int
    violations: int
    example: int


@dataclass(frozen=True)
class RejectList:
    """The open rejections of a job that match a filter.

    Attributes:
        job: The job.
        rows: How many rows were rejected.
        violations: How many violations they have.
        rejects: Groups of violations, worst first: by severity, then by rows.
        warnings: Groups of warnings, in the same order.
        codes: The codes that no map translates, those with most rows first. None unless the filter
            names TRANS-002, and if the source can't be read.
        code_problems: Why the codes couldn't be read from the source.
    """

    job: str
    rows: int
    violations: int
    rejects: tuple[RejectGroup, ...]
    warnings: tuple[RejectGroup, ...]
    codes: tuple[UntranslatedCode, ...] | None = None
    code_problems: tuple[Problem, ...] = ()


def list_rejects(specification: Specification, wanted: ViolationFilter | None = None) -> RejectList:
    """List the open rejections of a job.

    With the code TRANS-002 the source is read too, for the codes that no map translates.

    Args:
        specification: That of the job.
        wanted: The filter (``filter_rejects``); None means all rejections.

    Returns:
        The rejections in groups.

    Raises:
        TransfuseError: USER-001 if no rejection matches the filter; USER-003 if the job hasn't
            run; with exit status 3 if the target can't be reached.
    """
    wanted = wanted or ViolationFilter()
    with connect(specification.target.url) as target:
        ledger = JobLedger(target, specification)
        ensure_current_version(ledger)
        if ledger.job.read() is None:
            raise TransfuseError(never_ran(specification))
        refuse_no_match(ledger, wanted)
        groups = sorted(ledger.violations.read_groups(wanted), key=_worst_first)
        counts = ledger.violations.count(wanted)
    rejects = tuple(_describe_group(group) for group in groups if not group.is_warning)
    warnings = tuple(_describe_group(group) for group in groups if group.is_warning)
    codes: tuple[UntranslatedCode, ...] | None = None
    problems: tuple[Problem, ...] = ()
    if wanted.code is ErrorCode.TRANS_002 and rejects:
        codes, problems = _read_codes(specification, wanted)
    return RejectList(
        specification.job, counts.rows, counts.violations, rejects, warnings, codes, problems
    )


def _describe_group(group: ViolationGroup) -> RejectGroup:
    code = ErrorCode(group.code)
    return RejectGroup(
        group.code,
        code.description,
        code.severity.label,
        group.rule,
        group.load,
        group.source_table,
        group.target_table,
        tuple(group.reasons),
        group.rows,
        group.violations,
        group.example,
    )


def _worst_first(group: ViolationGroup) -> tuple[Any, ...]:
    severity = ErrorCode(group.code).severity
    return severity, -group.rows, -group.violations, group.code, group.rule, group.load


def _read_codes(
    specification: Specification, wanted: ViolationFilter
) -> tuple[tuple[UntranslatedCode, ...] | None, tuple[Problem, ...]]:
    # To describe all tables takes a while: only where it is needed.
    from pipelines.databases.open_databases import open_databases
    from pipelines.rejects.untranslated_codes import untranslated_codes

    try:
        with open_databases(specification) as databases:
            return tuple(untranslated_codes(databases, wanted)), ()
    except TransfuseError as error:
        return None, tuple(error.problems)
