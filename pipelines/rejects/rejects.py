"""``rejects list``: what was rejected, in groups; ``rejects show``: all about one violation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from rich.table import Table

from pipelines.ledger.job import stored_job
from pipelines.rejects.reject_filter import ROWS, Filter, never_ran
from pipelines.rejects.violation import ViolationInContext, read_violation
from pipelines.terminal.console import print_json, print_problems, shown, stderr, stdout, table_of
from schemas.errors import ErrorCode, TransfuseError
from schemas.specification.root import Specification
from transforms.postgres.connections import connect

if TYPE_CHECKING:
    from pipelines.rejects.untranslated_codes import UntranslatedCode


@dataclass(frozen=True)
class Group:
    """The open violations of one code, rule and load; ``rows`` counts candidates, of which each
    has such a violation once.

    ``example`` is the id of one of them, for ``rejects show``.
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
class Listing:
    """The groups, worst first: by severity, then by rows. ``rows`` were rejected in all, as
    ``ROWS`` counts them."""

    rows: int
    violations: int
    rejects: tuple[Group, ...]
    warnings: tuple[Group, ...]


def read_listing(
    target: psycopg.Connection[Any], specification: Specification, wanted: Filter
) -> Listing:
    """Groups the open violations of the specification's job that ``wanted`` lets through."""
    if stored_job(target, specification) is None:
        return Listing(0, 0, (), ())
    chosen, values = wanted.violations(specification)
    found = target.execute(
        sql.SQL(
            "SELECT warning, error_code, rule_id, load, source_table, target_table,"
            " array_remove(array_agg(DISTINCT reason), NULL),"
            " {}, count(*), min(id) FROM {}"
            " GROUP BY warning, error_code, rule_id, load, source_table, target_table"
        ).format(ROWS, chosen),
        values,
    ).fetchall()
    total = target.execute(
        sql.SQL("SELECT {}, count(*) FROM {} AND NOT warning").format(ROWS, chosen),
        values,
    ).fetchone()
    assert total is not None
    groups = sorted(((row[0], _group(*row[1:])) for row in found), key=lambda g: _worst(g[1]))
    return Listing(
        total[0],
        total[1],
        tuple(group for warning, group in groups if not warning),
        tuple(group for warning, group in groups if warning),
    )


def _group(code: str, rule: str, load: str, source: str, into: str, *counts: Any) -> Group:
    known = ErrorCode(code)
    reasons, rows, violations, example = counts
    return Group(
        code,
        known.description,
        known.severity.label,
        rule,
        load,
        source,
        into,
        tuple(reasons),
        rows,
        violations,
        example,
    )


def _worst(group: Group) -> tuple[Any, ...]:
    severity = ErrorCode(group.code).severity
    return severity, -group.rows, -group.violations, group.code, group.rule, group.table


def list_rejects(specification: Specification, wanted: Filter, as_json: bool) -> None:
    """Prints the groups; with the code TRANS-002 also the codes that no map translates.

    Where the source can't be reached, the groups are printed all the same, and stderr says why the
    codes aren't.

    Raises:
        TransfuseError: Where the target can't be reached, and USER-001 where the filter matches
            nothing, and USER-003 where the job never ran.
    """
    with connect(specification.target.url) as target:
        if stored_job(target, specification) is None:
            raise TransfuseError(never_ran(specification))
        wanted.refuse_no_match(target, specification)
        listing = read_listing(target, specification, wanted)
    codes = None
    if wanted.code is ErrorCode.TRANS_002 and listing.rejects:
        codes = _codes(specification, wanted)
    if as_json:
        document = {"job": specification.job, **asdict(listing)}
        if wanted.code is ErrorCode.TRANS_002:
            written = [code for code in codes or () if code.is_written_like_one]
            others = [code for code in codes or () if not code.is_written_like_one]
            document["codes"] = None if codes is None else [asdict(code) for code in written]
            # They may be anything that somebody typed.
            document["not_codes"] = {"values": len(others), "rows": sum(c.rows for c in others)}
        print_json(document)
        return
    console = stdout()
    told = f"{listing.rows:,} rows rejected, {listing.violations:,} open violations"
    console.print(f"{specification.job}: {told}")
    for title, groups in (("Rejected", listing.rejects), ("Warnings", listing.warnings)):
        if groups:
            console.print(_table(title, groups))
    if codes:
        _print_codes(codes)


def _codes(specification: Specification, wanted: Filter) -> list[UntranslatedCode] | None:
    # To describe all tables takes a while: only where it is needed.
    from pipelines.databases.connected import connected
    from pipelines.rejects.untranslated_codes import untranslated_codes

    try:
        with connected(specification, specification.folder) as databases:
            return untranslated_codes(databases, wanted)
    except TransfuseError as error:
        stderr().print("The codes are read from the source, and that isn't possible:")
        print_problems(error.problems)
        return None


def _decided(code: UntranslatedCode) -> str:
    if not code.is_decidable:
        return "no use: the rows name the other system"
    return "yes" if code.decided else ""


def _print_codes(codes: Sequence[UntranslatedCode]) -> None:
    """What isn't written like a code may be anything that somebody typed, so it isn't shown."""
    shown_codes = [code for code in codes if code.is_written_like_one]
    rows = [
        (code.map, code.code, code.reason, _decided(code), f"{code.rows:,}") for code in shown_codes
    ]
    columns = ("map", "code", "reason", "decided since")
    stdout().print(table_of("Codes that are not translated", columns, ("rows",), rows))
    others = [code for code in codes if not code.is_written_like_one]
    if others:
        told = f"{len(others):,} values that aren't written like a code, in"
        total = sum(code.rows for code in others)
        stdout().print(f"{told} {total:,} rows; 'rejects export' writes them too")


def _table(title: str, groups: tuple[Group, ...]) -> Table:
    rows = [
        (
            group.code,
            group.severity,
            group.rule,
            group.table,
            ", ".join(group.reasons),
            f"{group.rows:,}",
            f"{group.violations:,}",
            str(group.example),
        )
        for group in groups
    ]
    texts = ("code", "severity", "rule", "table", "reasons")
    return table_of(title, texts, ("rows", "violations", "example id"), rows)


def show_reject(
    specification: Specification, identifier: str, with_source: bool, as_json: bool
) -> None:
    """Prints everything about a violation; with its source row, read anew, where asked for.

    Raises TransfuseError: USER-001 where the job has no violation with that id; where the
    source row is to be read also what ``read_source_row`` raises.
    """
    with connect(specification.target.url) as target:
        found = read_violation(target, specification, identifier)
    document = found.as_json()
    if with_source:
        # To describe all tables takes a while: only where it is needed.
        from pipelines.rejects.rows_of_violations import read_rejected_row

        document["source"] = read_rejected_row(specification, found.violation)
    if as_json:
        print_json(document)
        return
    _print_violation(found)
    if with_source:
        _print_source(document["source"])


def _print_violation(found: ViolationInContext) -> None:
    console = stdout()
    violation = found.violation
    kind = "warning" if violation.warning else "violation"
    console.print(f"{violation.error_code} {violation.description}, {kind} {violation.id}")
    facts = {
        "message": violation.message,
        "what to do": violation.remedy,
        "severity": f"{violation.severity}, category {violation.category}",
        "rule": violation.rule_id,
        "field": violation.field,
        "reason": violation.reason,
        "source": f"{violation.source_table}, source key {violation.source_key}",
        "load": f"{violation.load}, partition {violation.partition_id}",
        "target": f"{violation.target_table}, key {violation.target_key or 'unknown'}",
        "status": f"{violation.status}, attempts {violation.attempts}",
        "recorded": violation.created_at.isoformat(timespec="seconds"),
    }
    for name, value in facts.items():
        if value is not None:
            console.print(f"  {name:<10}  {value}")
    for title, others in (
        ("Follows from", found.root_causes),
        ("Also found on this row", found.same_row),
    ):
        if others:
            console.print(f"{title}:")
        for other in others:
            told = f"{other.error_code} {other.rule_id}{' (warning)' if other.warning else ''}"
            where = f"{other.load} {other.source_key}"
            console.print(f"  {other.id}: {told}, {where}: {other.message}")
            if title == "Follows from":
                console.print(f"    -> {other.remedy}")


def _print_source(row: dict[str, str | None] | None) -> None:
    if row is None:
        stderr().print("The source has no row with this source key any more.")
        return
    rows = [(name, shown(value)) for name, value in row.items()]
    stdout().print(table_of("The source row as it is now", ("column", "value"), (), rows))
