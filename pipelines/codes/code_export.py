"""``rejects export``: the codes that no map translates, for somebody who knows the coding."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.databases.connected import Connected, connected
from pipelines.ledger.job import stored_job
from pipelines.maps.gem_maps import named_gem
from pipelines.rejects.reject_filter import Filter, never_ran
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
"""What a spreadsheet would take for the beginning of a formula, or of a text."""


def show_export(
    specification: Specification,
    path: Path,
    wanted: Filter,
    output: Path | None,
    as_json: bool,
) -> None:
    """Writes the CSV to ``output``, else to stdout.

    A line for each code and reason, those with most rows first, without those that the site has
    decided on meanwhile, and those for whose rows no decision would count: these are counted.

    Raises:
        TransfuseError: USER-001 for another code than TRANS-002, and for a filter that matches
            nothing; SYS-005 where the file can't be written; what ``untranslated_codes`` raises.
    """
    if wanted.code not in (None, ErrorCode.TRANS_002):
        told = "only codes that aren't translated are exported"
        remedy = "use --code TRANS-002, or leave it out"
        raise TransfuseError(Problem(ErrorCode.USER_001, told, "--code", remedy))
    with connected(specification, path.parent) as databases:
        _refuse_no_match(databases, wanted)
        codes = [code for code in untranslated_codes(databases, wanted) if not code.decided]
        left_out = [code for code in codes if not code.is_decidable]
        lines = _lines(databases, [code for code in codes if code.is_decidable])
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in line.items()} for line in lines)
    if output is not None:
        try:
            # Spreadsheets take a file for UTF-8 only if it says so.
            write_private(output, text.getvalue().encode("utf-8-sig"))
        except OSError as error:
            told = f"the file can't be written: {error.strerror}"
            remedy = "name another file with --output"
            raise TransfuseError(Problem(ErrorCode.SYS_005, told, str(output), remedy)) from None
    if as_json:
        print_json(
            {
                "job": specification.job,
                "codes": lines,
                "left_out": {"codes": len(left_out), "rows": sum(c.rows for c in left_out)},
            }
        )
    elif output is None:
        print(text.getvalue(), end="")
    else:
        told = f"{len(lines):,} codes written to {output}; fill in target_code, then 'codes import'"
        stderr().print(told, markup=False)
    if left_out and not as_json:
        stderr().print(_why_left_out(left_out), markup=False, soft_wrap=True)


def _why_left_out(codes: Sequence[UntranslatedCode]) -> str:
    return (
        f"{len(codes):,} codes of {sum(code.rows for code in codes):,} rows are left out: by the"
        " system or date that the rows name, these codes aren't of the system that the map"
        " translates, and a decision counts there only for what is a code of neither. Correct what"
        " 'coded_in' and 'coded_on' read in the source, or give the rows up with 'rejects discard'"
    )


def _refuse_no_match(databases: Connected, wanted: Filter) -> None:
    if wanted.is_any:
        return
    specification = databases.specification
    if stored_job(databases.target, specification) is None:
        raise TransfuseError(never_ran(specification))
    # Only such codes are exported, so a rule or a table without any is mistyped as well.
    codes = replace(wanted, code=ErrorCode.TRANS_002)
    codes.refuse_no_match(databases.target, specification, rejected_only=True)


def _lines(databases: Connected, codes: Sequence[UntranslatedCode]) -> list[dict[str, Any]]:
    gems: dict[str, GemMap] = {}
    texts: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    lines = []
    for code in codes:
        if code.map not in gems:
            gem = gems[code.map] = named_gem(databases.specification, databases.folder, code.map)
            release = databases.specification.maps[code.map].release_in(databases.folder)
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
    told = f"{gem.target.with_dot(target)} {texts.get(target, '(not in the release)')}".rstrip()
    return f"{told} [scenario {flags[3]}, list {flags[4]}]" if flags[2] == "1" else told


def _plain(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
