"""``codes import``: stores what somebody who knows the coding has decided on codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
from psycopg import sql

from pipelines.code_file import NO_TARGET, Decision, decisions_of, read_lines
from pipelines.console import print_json, stdout
from pipelines.context import with_site_decisions
from pipelines.gem_maps import named_gem
from pipelines.job import control_table, create_control_tables
from schemas.code_maps.code_system import CodeSystem
from schemas.code_maps.gem import GemMap
from schemas.code_maps.outcomes import site_outcomes
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import Repair, normalise
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.ready_rules.code_files import descriptions_of
from schemas.specification.root import Specification
from transforms.connections import connect
from transforms.mapping.maps import site_table
from transforms.run_context import GemUse


@dataclass(frozen=True)
class DecidedMap:
    """A map, its notation, and what releases say of the codes that it leads from and to."""

    gem: GemMap
    notation: str
    case: bool
    of_source: Mapping[str, str]
    of_target: Mapping[str, str]


def show_import(specification: Specification, path: Path, file: Path, as_json: bool) -> None:
    """Stores the decisions of ``file`` (``rejects export`` says what its columns are), all or none.

    Lines without a target are left undecided. Several lines with one source code are one
    decision, for a code that becomes several. What is in force already isn't stored again.

    Raises TransfuseError (USER-001) naming every line that can't be taken: a target that isn't a
    code of the target's release, a source code that is missing or isn't the one that its
    description tells of, a map that there isn't. USER-003 where a table ``code_mappings`` of the
    site lacks columns.
    """
    problems: list[Problem] = []
    lines = list(read_lines(file, problems))
    decisions, undecided = decisions_of(specification, file, lines, problems)
    maps = {
        name: _map(specification, path.parent, name)
        for name in dict.fromkeys(decision.map for decision in decisions)
    }
    rows = _rows(file, decisions, maps, problems)
    if problems:
        raise TransfuseError(problems)
    create_control_tables(specification)
    with connect(specification.target.url) as connection, connection.transaction():
        stored, unchanged = _store(connection, specification, maps, rows)
    if as_json:
        told = {"stored": stored, "unchanged": unchanged, "undecided": undecided}
        print_json({"job": specification.job, "file": str(file), **told})
        return
    stdout().print(
        f"{stored:,} codes decided, {unchanged:,} decided so already, {undecided:,} lines undecided"
    )
    if stored:
        stdout().print("'rejects replay --code TRANS-002' brings their rows in.")


def _map(specification: Specification, folder: Path, name: str) -> DecidedMap:
    entry = specification.maps[name]
    gem = named_gem(specification, folder, name)
    release = None if entry.release is None else folder / entry.release
    return DecidedMap(
        gem,
        entry.notation or "as_source",
        (entry.repair or Repair()).case,
        descriptions_of(gem.source),
        descriptions_of(gem.target, release),
    )


# -- what is stored ----------------------------------------------------------------------------


class Row(NamedTuple):
    """A row of ``code_mappings`` to be, and the form in which its code is looked up."""

    map: str
    looked_up: str
    source: str
    target: str | None
    description: str | None


def _rows(
    file: Path,
    decisions: list[Decision],
    maps: Mapping[str, DecidedMap],
    problems: list[Problem],
) -> list[Row]:
    """The rows of ``code_mappings``; a code without a target can't have one as well."""
    dotted = {name: any("." in d.source for d in decisions if d.map == name) for name in maps}
    rows: dict[Row, None] = {}
    without: dict[tuple[str, str], set[bool]] = {}
    for decision in decisions:
        used = maps[decision.map]
        source, target = used.gem.source, used.gem.target
        where = f"{file}:{decision.line}"
        code = _looked_up(decision.source, source, used.case)
        fault = _not_as_described(decision, code, used)
        if fault is not None:
            remedy = "write the code as text, with its zeros, as 'rejects export' gave it"
            problems.append(Problem(ErrorCode.USER_001, fault, where, remedy))
            continue
        kinds = without.setdefault((decision.map, code), set())
        kinds.add(decision.target is None)
        if len(kinds) > 1:
            told = f"the code has a target in one line and {NO_TARGET} in another"
            problems.append(Problem(ErrorCode.USER_001, told, where, "leave one of them out"))
        spelled = source.with_dot(code) if re.fullmatch(source.form, code) else code
        if decision.target is None:
            rows[Row(decision.map, code, spelled, None, None)] = None
            continue
        chosen = _looked_up(decision.target, target, True)
        if chosen not in used.of_target:
            told = f"{decision.target!r} is no billable code of the release of {target.name}"
            remedy = "choose one that is; with 'release' the map names another file of codes"
            problems.append(Problem(ErrorCode.USER_001, told, where, remedy))
            continue
        # A code that is too short for a dot goes by the others of the file.
        as_source = "." in decision.source or (dotted[decision.map] and spelled == code)
        if not decision.keyed:
            as_source = "." in decision.target
        with_dot = used.notation == "dotted" or (used.notation == "as_source" and as_source)
        written = target.with_dot(chosen) if with_dot else chosen
        description = used.of_target[chosen] or None
        rows[Row(decision.map, code, spelled, written, description)] = None
    return list(rows)


def _not_as_described(decision: Decision, code: str, used: DecidedMap) -> str | None:
    """What is wrong with a source code that stands beside another one's description: a
    spreadsheet has taken it for a number, and 098.31 is 98.31 or 9831 then."""
    if decision.described and used.of_source.get(code, "") != decision.described:
        return f"{decision.source!r} isn't the code that its description is of"
    return None


def _looked_up(code: str, system: CodeSystem, case: bool) -> str:
    return str(normalise(pa.array([code], pa.string()), system, case)[0].as_py())


def _store(
    connection: psycopg.Connection[Any],
    specification: Specification,
    maps: Mapping[str, DecidedMap],
    rows: list[Row],
) -> tuple[int, int]:
    """Stores the decisions on codes that aren't in force already; how many are, and aren't."""
    table = control_table(specification, "code_mappings")
    _refuse_lacking(connection, table)
    uses = {name: GemUse(m.gem, GemPolicy(), "as_source") for name, m in maps.items()}
    decided = {
        name: site_outcomes(site_table(use.site), use.gem.source, maps[name].case)
        for name, use in with_site_decisions(connection, specification, uses).items()
    }
    by_code: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_code.setdefault((row.map, row.looked_up), []).append(row)
    fresh = []
    for (name, code), found in by_code.items():
        outcome = decided[name].get(code)
        in_force = None if outcome is None else [target.undotted for target in outcome.rows]
        if in_force != [row.target for row in found]:
            fresh.append(found)
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "INSERT INTO {} (source_system, target_system, source_code, target_code,"
                " description) VALUES (%s, %s, %s, %s, %s)"
            ).format(table),
            [
                (
                    maps[row.map].gem.source.names[0],
                    maps[row.map].gem.target.names[0],
                    row.source,
                    row.target,
                    row.description,
                )
                for found in fresh
                for row in found
            ],
        )
    return len(fresh), len(by_code) - len(fresh)


def _refuse_lacking(connection: psycopg.Connection[Any], table: sql.Identifier) -> None:
    """Raises TransfuseError (USER-003) where a table that the site has made lacks what is needed
    to take a decision back by a later one."""
    known = connection.execute(
        "SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = to_regclass(%s)"
        " AND attnum > 0 AND NOT attisdropped",
        [table.as_string()],
    ).fetchone()
    needed = {"description": "text", "decided_at": "timestamptz NOT NULL DEFAULT now()"}
    lacking = [name for name in needed if known is None or name not in (known[0] or ())]
    if lacking:
        added = ", ".join(f"ADD {name} {needed[name]}" for name in lacking)
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                f"it has no column {' and no column '.join(lacking)}",
                f"table {table.as_string()}",
                f"ALTER TABLE {table.as_string()} {added}",
            )
        )
