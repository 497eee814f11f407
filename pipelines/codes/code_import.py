"""``codes import``: stores what somebody who knows the coding has decided on codes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.codes.code_file import NO_TARGET, Decision, decisions_of, read_lines, some_of
from pipelines.codes.decision_checks import codes_written_before, refuse_unknown_sources
from pipelines.ledger.control_schema import create_control_tables, ensure_current_version
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.reset_scope import command_to_reset
from pipelines.maps.gem_maps import named_gem
from pipelines.maps.stored_decisions import DecidedMap, DecisionRow, looked_up, store_decisions
from schemas.code_maps.code_files import descriptions_of
from schemas.code_maps.spelling import Repair
from schemas.code_maps.translation import Notation
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.postgres.connections import connect


@dataclass(frozen=True)
class CodeImport:
    """What an import of decisions on codes changed.

    Attributes:
        stored: How many codes were decided.
        unchanged: How many were decided in this way already.
        undecided: How many lines have no target.
        written_before: Codes by load whose rows may be written already, with the targets that they
            had before.
        reset_command: The command that removes such rows; empty if there are none.
    """

    stored: int
    unchanged: int
    undecided: int
    written_before: Mapping[str, tuple[str, ...]]
    reset_command: str


def import_codes(specification: Specification, file: Path) -> CodeImport:
    """Store the decisions of a file with the columns of ``rejects export``, all or none.

    Lines without a target are left undecided. Several lines with one source code are one
    decision, for a code that becomes several. Decisions that are in force aren't stored again.

    Args:
        specification: That of the job.
        file: The CSV.

    Returns:
        The numbers of decisions, and the codes whose rows they come too late for.

    Raises:
        TransfuseError: USER-001 naming the lines that can't be taken: a target that isn't a code of
            the target's release, a source code that is missing, unknown to the map and to every
            rejected row, or not the one of its description, a map that doesn't exist, two maps
            between the same systems that decide otherwise. USER-003 if a table ``code_mappings`` of
            the site lacks columns, refuses the rows, or has others that would stay in force.
    """
    problems: list[Problem] = []
    lines = read_lines(file, problems)
    decisions, undecided = decisions_of(specification, file, lines, problems)
    maps = {
        name: _map(specification, name)
        for name in dict.fromkeys(decision.map for decision in decisions)
    }
    rows = _rows(file, decisions, maps, problems)
    if problems:
        raise TransfuseError(some_of(problems, file))
    with connect(specification.target.url) as target:
        ensure_current_version(JobLedger(target, specification))
    refuse_unknown_sources(specification, file, rows, maps)
    create_control_tables(specification)
    with connect(specification.target.url) as connection, connection.transaction():
        ledger = JobLedger(connection, specification)
        stored = store_decisions(ledger, maps, list(rows))
        ledger.audit.record(
            "import_codes", ", ".join(maps), details={"decisions": len(stored.fresh)}
        )
        written = codes_written_before(ledger, stored.fresh, stored.before)
        command = command_to_reset(ledger, written) if written else ""
    return CodeImport(len(stored.fresh), stored.unchanged, undecided, written, command)


def _map(specification: Specification, name: str) -> DecidedMap:
    entry = specification.maps[name]
    gem = named_gem(specification, specification.folder, name)
    return DecidedMap(
        gem,
        entry.notation or Notation.AS_SOURCE,
        (entry.repair or Repair()).case,
        descriptions_of(gem.source),
        descriptions_of(gem.target, entry.release_in(specification.folder)),
    )


def _rows(
    file: Path,
    decisions: list[Decision],
    maps: Mapping[str, DecidedMap],
    problems: list[Problem],
) -> dict[DecisionRow, int]:
    """The rows of ``code_mappings`` with their lines; a code without a target can't have one as
    well."""
    dotted = {name: any("." in d.source for d in decisions if d.map == name) for name in maps}
    rows: dict[DecisionRow, int] = {}
    without: dict[tuple[str, str], set[bool]] = {}
    for decision in decisions:
        used = maps[decision.map]
        source, target = used.gem.source, used.gem.target
        where = f"{file}:{decision.line}"
        code = looked_up(decision.source, source, used.case)
        fault = _not_as_described(decision, code, used)
        if fault is not None:
            remedy = "write the code as text, with its zeros, as 'rejects export' gave it"
            problems.append(Problem(ErrorCode.USER_001, fault, where, remedy))
            continue
        kinds = without.setdefault((decision.map, code), set())
        kinds.add(decision.target is None)
        if len(kinds) > 1:
            message = f"the code has a target in one line and {NO_TARGET} in another"
            problems.append(Problem(ErrorCode.USER_001, message, where, "leave one of them out"))
        spelled = source.with_dot(code) if re.fullmatch(source.form, code) else code
        if decision.target is None:
            row = DecisionRow(decision.map, code, spelled, None, None, None)
            rows.setdefault(row, decision.line)
            continue
        chosen = looked_up(decision.target, target, True)
        if chosen not in used.of_target:
            message = f"{decision.target!r} is no billable code of the release of {target.name}"
            remedy = "choose one that is; with 'release' the map names another file of codes"
            problems.append(Problem(ErrorCode.USER_001, message, where, remedy))
            continue
        # A code that is too short for a dot goes by the others of the file.
        as_source = "." in decision.source or (dotted[decision.map] and spelled == code)
        if not decision.keyed:
            as_source = "." in decision.target
        follows = used.notation is Notation.AS_SOURCE and as_source
        with_dot = follows or used.notation is Notation.DOTTED
        written = target.with_dot(chosen) if with_dot else chosen
        description = used.of_target[chosen] or None
        row = DecisionRow(decision.map, code, spelled, written, description, chosen)
        rows.setdefault(row, decision.line)
    problems += _contradicting(file, list(rows), maps)
    return rows


def _not_as_described(decision: Decision, code: str, used: DecidedMap) -> str | None:
    """What is wrong with a source code that stands beside another one's description: a
    spreadsheet has taken it for a number, and 098.31 is 98.31 or 9831 then."""
    if decision.described and used.of_source.get(code, "") != decision.described:
        return f"{decision.source!r} isn't the code that its description is of"
    return None


def _contradicting(
    file: Path, rows: list[DecisionRow], maps: Mapping[str, DecidedMap]
) -> Iterator[Problem]:
    """What two maps say of one code, where they translate between the same systems: a decision
    holds for both of them."""
    said: dict[tuple[str, str, str], dict[str, set[str | None]]] = {}
    for row in rows:
        said.setdefault(row.shared_by(maps), {}).setdefault(row.map, set()).add(row.undotted)
    for (_, _, code), by_map in said.items():
        if len({frozenset(targets) for targets in by_map.values()}) > 1:
            yield Problem(
                ErrorCode.USER_001,
                f"the lines of the maps {' and '.join(by_map)} decide otherwise on the code"
                f" {code}, and a decision holds for both",
                str(file),
                "write the same targets into both, or leave one of them out",
            )
