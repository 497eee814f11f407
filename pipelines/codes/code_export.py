"""``rejects export``: the codes that no map translates, for a person who knows the coding."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.databases.open_databases import Databases, open_databases
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.job import stored_job
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.violation_filter import ViolationFilter
from pipelines.maps.gem_maps import named_gem
from pipelines.rejects.reject_filter import never_ran, refuse_no_match
from pipelines.rejects.untranslated_codes import UntranslatedCode, candidates_of, untranslated_codes
from pipelines.terminal.console import print_json, stderr
from pipelines.terminal.private_files import write_private
from schemas.code_maps.code_files import descriptions_of
from schemas.code_maps.gem import GemMap
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification

COLUMNS = (
    "key", "map", "source_code", "source_description", "reason", "rows", "candidates",
    "target_code",
)  # fmt: skip
"""The columns of the file; the last is the one to fill in. ``key`` is map and code in one text,
because a spreadsheet takes 098.31 for a number, and 98.31 is another code."""

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "'")
"""The characters that a spreadsheet takes for the beginning of a formula, or of a text."""


def show_export(
    specification: Specification,
    wanted: ViolationFilter,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write the codes that no map translates as CSV.

    There is a line for each code and reason, those with most rows first. Codes on which the site
    has decided meanwhile are left out. So are those for whose rows no decision would count, but
    they are counted.

    Args:
        specification: That of the job.
        wanted: The filter.
        output: The file to write; None for stdout.
        as_json: Whether to print the codes as JSON instead of CSV, and the counts with them.

    Raises:
        TransfuseError: USER-001 for another code than TRANS-002, and for a filter that matches
            nothing; SYS-005 where the file can't be written; all errors of ``untranslated_codes``.
    """
    _refuse_other_code(wanted)
    with open_databases(specification) as databases:
        ensure_current_version(databases.target, specification)
        _refuse_no_match(databases, wanted)
        codes = [code for code in untranslated_codes(databases, wanted) if not code.decided]
        left_out = [code for code in codes if not code.is_decidable]
        lines = _lines(databases, [code for code in codes if code.is_decidable])
    text = _csv_text(lines)
    if output is not None:
        _write_csv(output, text)
    if as_json:
        print_json(
            {
                "job": specification.job,
                "codes": lines,
                "left_out": {"codes": len(left_out), "rows": sum(c.rows for c in left_out)},
            }
        )
    elif output is None:
        print(text, end="")
    else:
        done = f"{len(lines):,} codes written to {output}; fill in target_code, then 'codes import'"
        stderr().print(done, markup=False)
    if left_out and not as_json:
        stderr().print(_why_left_out(left_out), markup=False, soft_wrap=True)


def _refuse_other_code(wanted: ViolationFilter) -> None:
    if wanted.code in (None, ErrorCode.TRANS_002):
        return
    message = "only codes that aren't translated are exported"
    remedy = "use --code TRANS-002, or leave it out"
    raise TransfuseError(Problem(ErrorCode.USER_001, message, "--code", remedy))


def _csv_text(lines: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in line.items()} for line in lines)
    return text.getvalue()


def _write_csv(output: Path, text: str) -> None:
    try:
        # Spreadsheets take a file for UTF-8 only if it begins with a byte order mark.
        write_private(output, text.encode("utf-8-sig"))
    except OSError as error:
        message = f"the file can't be written: {error.strerror}"
        remedy = "name another file with --output"
        raise TransfuseError(Problem(ErrorCode.SYS_005, message, str(output), remedy)) from None


def _why_left_out(codes: Sequence[UntranslatedCode]) -> str:
    return (
        f"{len(codes):,} codes of {sum(code.rows for code in codes):,} rows are left out: by the"
        " system or date that the rows name, these codes aren't of the system that the map"
        " translates, and a decision counts there only for what is a code of neither. Correct what"
        " 'coded_in' and 'coded_on' read in the source, or give the rows up with 'rejects discard'"
    )


def _refuse_no_match(databases: Databases, wanted: ViolationFilter) -> None:
    if wanted.is_any:
        return
    specification = databases.specification
    if stored_job(databases.target, specification) is None:
        raise TransfuseError(never_ran(specification))
    # Only such codes are exported, so a rule or a table without any is mistyped as well.
    codes = replace(wanted, code=ErrorCode.TRANS_002)
    refuse_no_match(JobLedger(databases.target, specification), codes, rejected_only=True)


def _lines(databases: Databases, codes: Sequence[UntranslatedCode]) -> list[dict[str, Any]]:
    specification = databases.specification
    gems: dict[str, GemMap] = {}
    texts: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    lines = []
    for code in codes:
        if code.map not in gems:
            gem = gems[code.map] = named_gem(specification, specification.folder, code.map)
            release = specification.maps[code.map].release_in(specification.folder)
            texts[code.map] = descriptions_of(gem.source), descriptions_of(gem.target, release)
        gem, (of_source, of_target) = gems[code.map], texts[code.map]
        lines.append(
            {
                "key": f"{code.map}:{code.code}",
                "map": code.map,
                "source_code": code.code,
                "source_description": of_source.get(code.looked_up, ""),
                "reason": code.reason,
                "rows": code.rows,
                "candidates": " | ".join(
                    _candidate(gem, target, flags, of_target)
                    for target, flags in candidates_of(gem, code.looked_up)
                ),
                "target_code": "",
            }
        )
    return lines


def _candidate(gem: GemMap, target: str, flags: str, texts: dict[str, str]) -> str:
    """A target as a person reads it: with its dot, its description, its place in combinations."""
    shown = f"{gem.target.with_dot(target)} {texts.get(target, '(not in the release)')}".rstrip()
    return f"{shown} [scenario {flags[3]}, list {flags[4]}]" if flags[2] == "1" else shown


def _plain(value: Any) -> Any:
    """The value; a text in a form that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
