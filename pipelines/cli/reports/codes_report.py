"""Output of ``rejects export`` and ``codes import``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pipelines.codes.code_csv import code_csv
from pipelines.codes.code_export import CodeExport
from pipelines.codes.code_import import CodeImport
from pipelines.codes.decision_checks import CODES_NAMED
from pipelines.ledger.reset_command import migrate_command
from pipelines.terminal.console import print_json, stderr, stdout
from schemas.specification.root import Specification


def print_export(job: str, export: CodeExport, output: Path | None, as_json: bool) -> None:
    """Print the codes as JSON or, if they weren't written to a file, as CSV."""
    if as_json:
        left_out = {"codes": export.left_out, "rows": export.left_out_rows}
        codes = [asdict(code) for code in export.codes]
        print_json({"job": job, "codes": codes, "left_out": left_out})
        return
    if output is None:
        print(code_csv(export.codes), end="")
    else:
        count = len(export.codes)
        done = f"{count:,} codes written to {output}; fill in target_code, then 'codes import'"
        stderr().print(done, markup=False)
    if export.left_out:
        stderr().print(_why_left_out(export), markup=False, soft_wrap=True)


def _why_left_out(export: CodeExport) -> str:
    return (
        f"{export.left_out:,} codes of {export.left_out_rows:,} rows are left out: by the"
        " system or date that the rows name, these codes aren't of the system that the map"
        " translates, and a decision counts there only for what is a code of neither. Correct what"
        " 'coded_in' and 'coded_on' read in the source, or give the rows up with 'rejects discard'"
    )


def print_import(
    specification: Specification, file: Path, result: CodeImport, as_json: bool
) -> None:
    """Print how many decisions were stored, and how rows that were written before come along."""
    if as_json:
        print_json(
            {
                "job": specification.job,
                "file": str(file),
                "stored": result.stored,
                "unchanged": result.unchanged,
                "undecided": result.undecided,
                "written_before": {load: list(c) for load, c in result.written_before.items()},
            }
        )
        return
    stdout().print(
        f"{result.stored:,} codes decided, {result.unchanged:,} decided so already,"
        f" {result.undecided:,} lines undecided"
    )
    if result.stored:
        stdout().print("'rejects replay --code TRANS-002' brings their rejected rows in.")
    if result.written_before:
        stdout().print(
            f"Rows of {_loads(result.written_before)} may be written already, and keep the targets"
            " that they have. To bring them along, remove what is written, and migrate again:"
            f" {result.reset_command}; {migrate_command(specification)}",
            markup=False,
            soft_wrap=True,
        )


def _loads(written: Mapping[str, tuple[str, ...]]) -> str:
    loads = []
    for load, codes in written.items():
        more = f" and {len(codes) - CODES_NAMED} more" if len(codes) > CODES_NAMED else ""
        loads.append(f"{load} ({', '.join(codes[:CODES_NAMED])}{more})")
    return ", ".join(loads)
