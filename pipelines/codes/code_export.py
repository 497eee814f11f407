"""``rejects export``: the codes that no map translates, for a person who knows the coding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.codes.code_csv import ExportedCode, write_code_csv
from pipelines.databases.open_databases import Databases, open_databases
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.violation_filter import ViolationFilter
from pipelines.maps.gem_maps import named_gem
from pipelines.rejects.reject_filter import never_ran, refuse_no_match
from pipelines.rejects.untranslated_codes import UntranslatedCode, candidates_of, untranslated_codes
from schemas.code_maps.code_files import descriptions_of
from schemas.code_maps.gem import GemMap
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification


@dataclass(frozen=True)
class CodeExport:
    """The codes that no map translates.

    Attributes:
        codes: A line for each code and reason, those with most rows first.
        left_out: How many codes are left out, because no decision would count for their rows.
        left_out_rows: How many rows have them.
    """

    codes: tuple[ExportedCode, ...]
    left_out: int
    left_out_rows: int


def export_codes(
    specification: Specification,
    wanted: ViolationFilter | None = None,
    output: Path | None = None,
) -> CodeExport:
    """Collect the codes that no map translates, and write them as CSV.

    Codes on which the site has decided meanwhile are left out. So are those for whose rows no
    decision would count, but they are counted.

    Args:
        specification: That of the job.
        wanted: The filter of rejected rows (``filter_rejects``); None means all.
        output: The file to write; None to write none.

    Returns:
        The codes.

    Raises:
        TransfuseError: USER-001 for another code than TRANS-002, and for a filter that matches
            nothing; SYS-005 if the file can't be written; all errors of ``untranslated_codes``.
    """
    wanted = wanted or ViolationFilter()
    _refuse_other_code(wanted)
    with open_databases(specification) as databases:
        ensure_current_version(databases.ledger)
        _refuse_no_match(databases, wanted)
        codes = [code for code in untranslated_codes(databases, wanted) if not code.decided]
        left_out = [code for code in codes if not code.is_decidable]
        lines = _lines(databases, [code for code in codes if code.is_decidable])
        databases.ledger.audit.record("export_codes", details={"codes": len(lines)})
    if output is not None:
        write_code_csv(output, lines)
    return CodeExport(tuple(lines), len(left_out), sum(code.rows for code in left_out))


def _refuse_other_code(wanted: ViolationFilter) -> None:
    if wanted.code in (None, ErrorCode.TRANS_002):
        return
    message = "only codes that aren't translated are exported"
    remedy = "use --code TRANS-002, or leave it out"
    raise TransfuseError(Problem(ErrorCode.USER_001, message, "--code", remedy))


def _refuse_no_match(databases: Databases, wanted: ViolationFilter) -> None:
    if wanted.is_any:
        return
    ledger = databases.ledger
    if ledger.job.read() is None:
        raise TransfuseError(never_ran(databases.specification))
    # Only such codes are exported, so a rule or a table without any is mistyped as well.
    codes = replace(wanted, code=ErrorCode.TRANS_002)
    refuse_no_match(ledger, codes, rejected_only=True)


def _lines(databases: Databases, codes: Sequence[UntranslatedCode]) -> list[ExportedCode]:
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
        candidates = candidates_of(gem, code.looked_up)
        lines.append(
            ExportedCode(
                key=f"{code.map}:{code.code}",
                map=code.map,
                source_code=code.code,
                source_description=of_source.get(code.looked_up, ""),
                reason=code.reason,
                rows=code.rows,
                candidates=" | ".join(_candidate(gem, *one, of_target) for one in candidates),
            )
        )
    return lines


def _candidate(gem: GemMap, target: str, flags: str, texts: dict[str, str]) -> str:
    """A target as people read it: with its dot, its description, its place in combinations."""
    readable = f"{gem.target.with_dot(target)} {texts.get(target, '(not in the release)')}".rstrip()
    return f"{readable} [scenario {flags[3]}, list {flags[4]}]" if flags[2] == "1" else readable
