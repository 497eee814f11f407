"""Errors on record: partitions that failed, violations of the last day, broken budgets."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pipelines.doctor.health_finding import (
    FindingLevel,
    HealthFact,
    HealthFinding,
    Observation,
    advise,
    warn,
)
from pipelines.ledger.failures import read_failures
from pipelines.ledger.job_ledger import JobLedger
from schemas.errors import ErrorCode
from schemas.specification.root import Specification
from transforms.ledger.error_budgets import ErrorBudgets
from transforms.model.run_context import ErrorBudget

HOURS = 24
"""The age in hours up to which a violation is recent."""


def examine_recent_errors(ledger: JobLedger) -> Iterator[Observation]:
    """Examine the control tables of a job.

    Args:
        ledger: The job's, with control tables of the current version.

    Yields:
        Facts and findings with the commands that show or continue.

    Raises:
        psycopg.Error: The target can't be asked.
    """
    if ledger.job.read_if_allowed() is None:
        yield HealthFact("job", "state", "not begun")
        return
    specification = ledger.specification
    yield HealthFact("job", "state", "held by a process" if ledger.lock.is_held() else "idle")
    for problem in read_failures(ledger):
        yield HealthFinding(
            FindingLevel.WARNING,
            problem.code,
            problem.where,
            problem.message,
            f"{verb_command('migrate', specification)}  # first: {problem.remedy}",
        )
    for code, rows in ledger.violations.count_recent(HOURS).items():
        yield HealthFact("job", f"open violations of {HOURS} h, {code}", rows)
        yield advise(
            ErrorCode(code),
            "job",
            f"{rows:,} open violations of the last {HOURS} hours",
            f"{verb_command('rejects list', specification)} --code {code}",
        )
    budget = specification.errors.budget
    budgets = ErrorBudgets(
        ledger.session, ErrorBudget(budget.rejected, budget.codes, budget.min_rows)
    )
    for broken in budgets.find_broken(list(specification.tables)):
        of_code = f" with {broken.code.value}" if broken.code else ""
        yield warn(
            ErrorCode.DATA_005,
            f"table {broken.load}",
            f"the error budget is broken: {broken.rejected:,} of {broken.candidates:,} rows are"
            f" rejected{of_code}",
            f"{verb_command('rejects list', specification)} --table {shlex.quote(broken.load)}",
        )


def verb_command(verb: str, specification: Specification) -> str:
    """A command for the shell: a verb with the specification that was read."""
    job = f" --job {specification.job}" if specification.is_job_replaced else ""
    return f"transfuse {verb} {shlex.quote(str(specification.file))}{job}"
