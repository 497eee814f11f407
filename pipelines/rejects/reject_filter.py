"""The filter by code, table and rule that several verbs take, and its refusals."""

from __future__ import annotations

from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.violation_filter import ViolationFilter, ViolationStatus
from pipelines.terminal.flag_check import closest
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification

_WHERE_TO_LOOK: dict[ViolationStatus, str] = {
    "open": "'rejects list' without a filter shows all of them",
    "discarded": "the table migration_errors has them, with the status 'discarded'",
}


def filter_rejects(
    specification: Specification,
    code: str | None = None,
    table: str | None = None,
    rule: str | None = None,
) -> ViolationFilter:
    """Make a filter of rejected rows.

    Args:
        specification: That of the job.
        code: Only this error code, such as DATA-001.
        table: Only this load, or the loads that read or write this table.
        rule: Only this rule, as ``migration_errors.rule_id`` has it.

    Returns:
        The filter, which every row matches if nothing is asked for.

    Raises:
        TransfuseError: USER-001 for a code or a table that doesn't exist.
    """
    problems = []
    codes = {one.value: one for one in ErrorCode}
    if code is not None and code.upper() not in codes:
        problems.append(_nothing_called("code", code, "--code", list(codes)))
    loads = None if table is None else _loads_of(specification, table)
    if table is not None and loads == ():
        problems.append(_nothing_called("table", table, "--table", list(specification.tables)))
    if problems:
        raise TransfuseError(problems)
    return ViolationFilter(None if code is None else codes[code.upper()], loads, rule)


def refuse_no_match(
    ledger: JobLedger,
    wanted: ViolationFilter,
    *,
    rejected_only: bool = False,
    status: ViolationStatus = "open",
) -> None:
    """Refuse a filter that no violation matches: it is probably mistyped.

    Args:
        ledger: That of a job that has run.
        wanted: The filter; one that every violation matches is never refused.
        rejected_only: Whether warnings don't count.
        status: The status of the violations.

    Raises:
        TransfuseError: USER-001, with the closest rule if there is none of that name.
    """
    if wanted.is_any or ledger.violations.has_match(wanted, status, rejected_only):
        return
    rules = ledger.violations.read_rules()
    if wanted.rule is not None and wanted.rule not in rules:
        raise TransfuseError(_nothing_called("rule", wanted.rule, "--rule", rules))
    what = f"{status} rejection" if rejected_only else f"{status} rejection or warning"
    raise TransfuseError(
        Problem(
            ErrorCode.USER_001,
            f"no {what} of the job '{ledger.specification.job}' matches the filter",
            _flags(wanted),
            _WHERE_TO_LOOK[status],
        )
    )


def scope_problems(wanted: ViolationFilter, everything: bool, verb: str) -> list[Problem]:
    """Check a request that must name the rows which it changes.

    Args:
        wanted: The filter.
        everything: Whether the request is for all rows.
        verb: The change, as in "discarded".

    Returns:
        USER-001 for neither a filter nor all rows, and for both.
    """
    if wanted.is_any and not everything:
        message = f"nothing says which rows are to be {verb}"
        remedy = "give --code, --table or --rule, or --all for every such row of the job"
        return [Problem(ErrorCode.USER_001, message, "", remedy)]
    if everything and not wanted.is_any:
        message = "a filter and --all contradict each other"
        return [Problem(ErrorCode.USER_001, message, "--all", "leave one of them out")]
    return []


def never_ran(specification: Specification) -> Problem:
    """The problem that there is no such job yet, and so nothing rejected."""
    message = f"the job '{specification.job}' has not run yet"
    return Problem(ErrorCode.USER_003, message, "", "'migrate' it first")


def _flags(wanted: ViolationFilter) -> str:
    """The filter as it is typed, with loads in place of tables."""
    flags = [] if wanted.code is None else [f"--code {wanted.code.value}"]
    flags += [f"--table {name}" for name in wanted.loads or ()]
    return " ".join(flags if wanted.rule is None else [*flags, f"--rule {wanted.rule}"])


def _nothing_called(kind: str, name: str, flag: str, existing: list[str]) -> Problem:
    meant = closest(name, existing) or closest(name.upper(), existing)
    listed = f"there are: {', '.join(existing)}" if existing else "nothing has been rejected"
    return Problem(
        ErrorCode.USER_001,
        f"there is no {kind} '{name}'",
        flag,
        f"did you mean '{meant}'?" if meant else listed,
    )


def _loads_of(specification: Specification, table: str) -> tuple[str, ...]:
    """The load of that name, else all that read or write a table of that name."""
    if table in specification.tables:
        return (table,)
    return tuple(
        name
        for name, load in specification.tables.items()
        if table in (specification.target_table(name), *(r.table for r in load.from_))
    )
