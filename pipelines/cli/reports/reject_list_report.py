"""Output of ``rejects list``: tables of groups, and the codes that no map translates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from pipelines.rejects.reject_list import RejectGroup, RejectList
from pipelines.rejects.untranslated_codes import UntranslatedCode
from pipelines.terminal.console import print_json, print_problems, stderr, stdout, table_of
from schemas.errors import ErrorCode


def print_reject_list(rejects: RejectList, code: ErrorCode | None, as_json: bool) -> None:
    """Print the open rejections of a job.

    Args:
        rejects: The rejections.
        code: The code that was asked for: with TRANS-002 the document has the codes too.
        as_json: Whether to print a JSON document.
    """
    if rejects.code_problems:
        stderr().print("The codes are read from the source, and that isn't possible:")
        print_problems(rejects.code_problems)
    if as_json:
        print_json(_document(rejects, with_codes=code is ErrorCode.TRANS_002))
        return
    console = stdout()
    counts = f"{rejects.rows:,} rows rejected, {rejects.violations:,} open violations"
    console.print(f"{rejects.job}: {counts}")
    for title, groups in (("Rejected", rejects.rejects), ("Warnings", rejects.warnings)):
        if groups:
            console.print(_table(title, groups))
    if rejects.codes:
        _print_codes(rejects.codes)


def _document(rejects: RejectList, with_codes: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "job": rejects.job,
        "rows": rejects.rows,
        "violations": rejects.violations,
        "rejects": [asdict(group) for group in rejects.rejects],
        "warnings": [asdict(group) for group in rejects.warnings],
    }
    if with_codes:
        codes = rejects.codes
        written = [code for code in codes or () if code.is_written_like_one]
        others = [code for code in codes or () if not code.is_written_like_one]
        document["codes"] = None if codes is None else [asdict(code) for code in written]
        # They may be anything that somebody typed.
        document["not_codes"] = {"values": len(others), "rows": sum(c.rows for c in others)}
    return document


def _table(title: str, groups: Sequence[RejectGroup]) -> Table:
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


def _print_codes(codes: Sequence[UntranslatedCode]) -> None:
    """Print codes; what isn't written like one may be anything that somebody typed."""
    printable = [code for code in codes if code.is_written_like_one]
    rows = [
        (code.map, code.code, code.reason, _decision(code), f"{code.rows:,}") for code in printable
    ]
    columns = ("map", "code", "reason", "decided since")
    stdout().print(table_of("Codes that are not translated", columns, ("rows",), rows))
    others = [code for code in codes if not code.is_written_like_one]
    if others:
        values = f"{len(others):,} values that aren't written like a code, in"
        total = sum(code.rows for code in others)
        stdout().print(f"{values} {total:,} rows; 'rejects export' writes them too")


def _decision(code: UntranslatedCode) -> str:
    if not code.is_decidable:
        return "no use: the rows name the other system"
    return "yes" if code.decided else ""
