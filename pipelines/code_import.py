"""``codes import``: stores what somebody who knows the coding has decided on codes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from pipelines.code_export import COLUMNS
from pipelines.console import print_json, stdout
from pipelines.gem_maps import named_gem
from pipelines.job import control_table, create_control_tables
from schemas.code_maps.code_system import CodeSystem
from schemas.code_maps.spelling import normalise
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.ready_rules.code_files import descriptions_of
from schemas.specification.root import Specification
from transforms.connections import connect

NO_TARGET = "NONE"
"""What stands for the decision that a code has no target: the row is written without one."""

_NEEDED = ("source_code", "target_code")


@dataclass(frozen=True)
class Decision:
    """A line of the file in which a target is filled in; ``target`` None for NO_TARGET."""

    line: int
    map: str
    source: str
    target: str | None


@dataclass(frozen=True)
class Target:
    """A map's systems, and what the release says of each code that it may lead to."""

    source: CodeSystem
    target: CodeSystem
    notation: str
    descriptions: Mapping[str, str]


def show_import(specification: Specification, path: Path, file: Path, as_json: bool) -> None:
    """Stores the decisions of ``file`` (``rejects export`` says what its columns are), all or none.

    Lines without a target are left undecided. Several lines with one source code are one
    decision, for a code that becomes several. What the site has decided already in the same way
    isn't stored again.

    Raises TransfuseError (USER-001) naming every line that can't be taken: a target that isn't a
    code of the target's release, a source code that is missing, a map that there isn't.
    """
    problems: list[Problem] = []
    lines = list(_read(file))
    decisions, undecided = _decisions(specification, file, lines, problems)
    targets = {
        name: _target(specification, path.parent, name)
        for name in dict.fromkeys(decision.map for decision in decisions)
    }
    rows = _rows(file, decisions, targets, problems)
    if problems:
        raise TransfuseError(problems)
    create_control_tables(specification)
    with connect(specification.target.url) as connection, connection.transaction():
        stored, unchanged = _store(connection, specification, rows)
    if as_json:
        told = {"stored": stored, "unchanged": unchanged, "undecided": undecided}
        print_json({"job": specification.job, "file": str(file), **told})
        return
    stdout().print(
        f"{stored:,} codes decided, {unchanged:,} decided so already, {undecided:,} lines undecided"
    )
    if stored:
        stdout().print("'rejects replay --code TRANS-002' brings their rows in.")


# -- the file ----------------------------------------------------------------------------------


def _read(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of the file, by number; spreadsheets also write semicolons and tabs."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it isn't UTF-8"
        remedy = "name the CSV that 'rejects export' has written, saved as UTF-8"
        raise TransfuseError(
            Problem(ErrorCode.USER_001, f"the file can't be read: {why}", str(file), remedy)
        ) from None
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    # strict: a quote that is opened and not closed would swallow the lines behind it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in _NEEDED if name not in names]
        if missing:
            told = f"the file has no column {' and no column '.join(missing)}"
            remedy = f"its columns are: {', '.join(COLUMNS)}"
            raise TransfuseError(Problem(ErrorCode.USER_001, told, f"{file}:1", remedy))
        for cells in reader:
            if any(cell.strip() for cell in cells):
                row = dict(zip(names, (_bare(cell) for cell in cells), strict=False))
                yield reader.line_num, row
    except csv.Error as error:
        where = f"{file}:{reader.line_num}"
        told = f"the line is no CSV: {error}"
        raise TransfuseError(Problem(ErrorCode.USER_001, told, where, "mend it")) from None


def _bare(cell: str) -> str:
    """A cell without blanks, and without the apostrophe that keeps it from being a formula."""
    return cell.strip().removeprefix("'")


def _decisions(
    specification: Specification,
    file: Path,
    lines: list[tuple[int, dict[str, str]]],
    problems: list[Problem],
) -> tuple[list[Decision], int]:
    """The lines in which something is decided, and the number of the others."""
    gems = [name for name, entry in specification.maps.items() if entry.is_gem]
    found, undecided = [], 0
    for number, row in lines:
        where = f"{file}:{number}"
        name = row.get("map", "") or (gems[0] if len(gems) == 1 else "")
        if not row.get("target_code"):
            undecided += 1
            continue
        if name not in gems:
            told = f"'{name}' is no map of codes" if name else "the line doesn't say of which map"
            remedy = f"the specification has: {', '.join(gems) or 'none'}"
            problems.append(Problem(ErrorCode.USER_001, told, where, remedy))
        elif not row.get("source_code"):
            told = "the line has no source_code"
            problems.append(Problem(ErrorCode.USER_001, told, where, "say which code is meant"))
        else:
            target = row["target_code"]
            none = target.upper() == NO_TARGET
            decision = Decision(number, name, row["source_code"], None if none else target)
            found.append(decision)
    return found, undecided


def _target(specification: Specification, folder: Path, name: str) -> Target:
    entry = specification.maps[name]
    gem = named_gem(specification, folder, name)
    release = None if entry.release is None else folder / entry.release
    descriptions = descriptions_of(gem.target, release)
    return Target(gem.source, gem.target, entry.notation or "as_source", descriptions)


# -- what is stored ----------------------------------------------------------------------------

Row = tuple[str, str, str, str | None, str | None]
"""Source system, target system, source code, target code and its description."""


def _rows(
    file: Path,
    decisions: list[Decision],
    targets: Mapping[str, Target],
    problems: list[Problem],
) -> list[Row]:
    """The rows of ``code_mappings``; a code without a target can't have one as well."""
    dotted = {name: any("." in d.source for d in decisions if d.map == name) for name in targets}
    rows: dict[Row, None] = {}
    without: dict[tuple[str, str], set[bool]] = {}
    for decision in decisions:
        target = targets[decision.map]
        where = f"{file}:{decision.line}"
        source = _looked_up(decision.source, target.source)
        kinds = without.setdefault((decision.map, source), set())
        kinds.add(decision.target is None)
        if len(kinds) > 1:
            told = f"the code has a target in one line and {NO_TARGET} in another"
            problems.append(Problem(ErrorCode.USER_001, told, where, "leave one of them out"))
        if re.fullmatch(target.source.form, source):
            source = target.source.with_dot(source)
        systems = target.source.names[0], target.target.names[0], source
        if decision.target is None:
            rows[systems + (None, None)] = None
            continue
        code = _looked_up(decision.target, target.target)
        if code not in target.descriptions:
            told = f"{decision.target!r} is no billable code of the release of {target.target.name}"
            remedy = "choose one that is; with 'release' the map names another file of codes"
            problems.append(Problem(ErrorCode.USER_001, told, where, remedy))
            continue
        with_dot = target.notation == "dotted" or (
            target.notation == "as_source" and dotted[decision.map]
        )
        written = target.target.with_dot(code) if with_dot else code
        description = target.descriptions[code] or None
        rows[systems + (written, description)] = None
    return list(rows)


def _looked_up(code: str, system: CodeSystem) -> str:
    return str(normalise(pa.array([code], pa.string()), system)[0].as_py())


def _store(
    connection: psycopg.Connection[Any], specification: Specification, rows: list[Row]
) -> tuple[int, int]:
    """Stores the decisions on codes that aren't in force already; how many are, and aren't."""
    table = control_table(specification, "code_mappings")
    by_code: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        by_code.setdefault(row[:3], []).append(row)
    fresh = [
        found
        for code, found in by_code.items()
        if _in_force(connection, table, code) != {row[3] for row in found}
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "INSERT INTO {} (source_system, target_system, source_code, target_code,"
                " description) VALUES (%s, %s, %s, %s, %s)"
            ).format(table),
            [row for found in fresh for row in found],
        )
    return len(fresh), len(by_code) - len(fresh)


def _in_force(
    connection: psycopg.Connection[Any], table: sql.Identifier, code: tuple[str, str, str]
) -> set[str | None]:
    """The targets that were decided on last for a code, spelled as ``codes import`` does."""
    rows = connection.execute(
        sql.SQL(
            "SELECT target_code FROM (SELECT target_code, decided_at, max(decided_at) OVER () AS"
            " newest FROM {} WHERE source_system = %s AND target_system = %s"
            " AND source_code = %s) AS m WHERE decided_at = newest"
        ).format(table),
        list(code),
    ).fetchall()
    return {target for (target,) in rows} if rows else {""}
