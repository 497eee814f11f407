"""Reads files of General Equivalence Mappings, of the site or packaged.

Source of the layout: CMS, "Diagnosis Code Set General Equivalence Mappings: Documentation
and User's Guide", 2018.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from schemas.bounded_files import CODES_AT_MOST, read_at_most
from schemas.code_maps.bad_lines import line_problems
from schemas.code_maps.code_system import ICD9CM, ICD9PROC, ICD10CM, ICD10PCS, CodeSystem
from schemas.code_maps.gem import GemMap, GemRow
from schemas.code_maps.packaged_codes import (
    GEM_FILES,
    GEM_VERSION,
    UNPACKAGED_GEM_FILES,
    packaged_content,
    packaged_sha256,
)
from schemas.errors import ErrorCode, Problem, TransfuseError

_Cells = tuple[str, str, str]
"""Source, target and flags of a line, as the file has them."""

_NO_TARGET = re.compile(r"No[A-Z][A-Za-z]*")
"""Stands in the place of the target in a row whose no-map flag is set: NoDx, NoPCS."""

_FLAGS = re.compile(r"[01]{3}[0-9]{2}")


@dataclass(frozen=True)
class Direction:
    """The code systems that a file translates between.

    ``stray_scenarios``: the file of CMS for fiscal year 2018 has a scenario or a choice list in
    rows that aren't combinations (of 3584 and 8628). Their combination flag counts.
    """

    source: CodeSystem
    target: CodeSystem
    stray_scenarios: bool = False

    @cached_property
    def source_form(self) -> re.Pattern[str]:
        return re.compile(self.source.form)

    @cached_property
    def target_form(self) -> re.Pattern[str]:
        return re.compile(self.target.form)

    @property
    def target_column(self) -> int:
        """The column of a line in which the target begins, counted from 0."""
        return 8 if self.source.longest > 5 else 6

    def cells(self, line: str) -> _Cells | None:
        """The cells of a line in the layout of CMS; None for a line in another.

        A code of ICD-9 has five columns and one of ICD-10 seven; the flags stand in 15 to 19.
        """
        start = self.target_column
        if len(line) != 19 or line[start - 1] != " " or line[13] != " ":
            return None
        # One code of 2018_I10gem.txt is written in small letters.
        source, target = line[: start - 1].rstrip().upper(), line[start:13].rstrip()
        return source, target if _NO_TARGET.fullmatch(target) else target.upper(), line[14:]

    def fits(self, line: str) -> bool:
        """Whether a line has this layout and codes of these systems."""
        cells = self.cells(line)
        return (
            cells is not None
            and self.source_form.fullmatch(cells[0]) is not None
            and (self.target_form.fullmatch(cells[1]) or _NO_TARGET.fullmatch(cells[1])) is not None
        )


DIRECTIONS = (
    Direction(ICD9CM, ICD10CM),
    Direction(ICD10CM, ICD9CM),
    Direction(ICD9PROC, ICD10PCS, stray_scenarios=True),
    Direction(ICD10PCS, ICD9PROC),
)


def read_gem(name: str, path: Path) -> GemMap:
    """Reads a GEM file of CMS: diagnoses or procedures, in either direction.

    Its codes show which of the four files it is.

    Args:
        name: The name of the map in the specification.
        path: The file, with source, target and five flags in each line; codes have no dots, and
            lines end with LF or CR LF.

    Raises:
        TransfuseError: SYS-004, the file can't be read, or has bad lines, of which the first 20
            are named.
    """
    try:
        content = read_at_most(path, CODES_AT_MOST)
    except OSError as error:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                f"the GEM file can't be read: {error.strerror}",
                str(path),
                "name a GEM file of CMS, or leave 'gem' out for the packaged one",
            )
        ) from error
    return _of_cms(name, str(path), path.stem, content)


@lru_cache(maxsize=4)
def _of_cms(name: str, file: str, version: str, content: bytes) -> GemMap:
    """Parses a file. Cached, since several jobs of one process use the same map."""
    lines = [(number, line) for number, line in _lines(_text(content)) if line]
    direction = _direction([line for _, line in lines])
    rows = _check_rows(file, ((n, direction.cells(line)) for n, line in lines), direction)
    systems = (direction.source, direction.target)
    return GemMap.from_rows(name, version, _sha256(content), rows, *systems)


def packaged_gem(name: str, direction: str = "icd9_to_icd10") -> GemMap:
    """Reads a packaged GEM of fiscal year 2018.

    Args:
        name: The name of the map in the specification.
        direction: One of ``GEM_FILES``, as ``packaged`` of a map names it.

    Raises:
        TransfuseError: SYS-004, the GEM isn't packaged, or the installation is damaged.
    """
    if direction not in GEM_FILES:
        message = f"the map {direction} isn't packaged"
        remedy = f"get {UNPACKAGED_GEM_FILES[direction]} of CMS, and name it: gem: FILE"
        raise TransfuseError(Problem(ErrorCode.SYS_004, message, f"maps.{name}", remedy))
    return replace(_read_packaged(direction), name=name)


@lru_cache(maxsize=4)
def _read_packaged(direction: str) -> GemMap:
    """Reads a file whose checksum holds, so its lines aren't checked one by one."""
    file = GEM_FILES[direction]
    lines = packaged_content(file).decode("ascii").splitlines()
    systems = next(d for d in DIRECTIONS if d.fits(lines[0]))
    start = systems.target_column
    text = pa.array(lines, pa.string())
    source, target, flags = (
        pc.utf8_slice_codeunits(text, first, last)
        for first, last in ((0, start - 1), (start, 13), (14, 19))
    )
    is_mapped = pc.equal(pc.utf8_slice_codeunits(flags, 1, 2), "0")
    target = pc.if_else(is_mapped, _bare(target), pa.scalar(None, pa.string()))
    columns = (_bare(source), target, flags)
    ends = (systems.source, systems.target)
    return GemMap.from_columns("", GEM_VERSION, packaged_sha256(file), *columns, *ends)


def _bare(codes: pa.Array) -> pa.Array:
    # One code of 2018_I10gem.txt is written in small letters.
    return pc.ascii_upper(pc.ascii_rtrim_whitespace(codes))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        yield number, line.rstrip()


def _direction(lines: list[str]) -> Direction:
    """The direction that most lines fit, since some lines may be bad."""
    best, most = DIRECTIONS[0], 0
    for direction in DIRECTIONS:
        count = sum(map(direction.fits, lines))
        if count > most:
            best, most = direction, count
        if most == len(lines):
            break
    return best


def _check_rows(
    file: str, lines: Iterable[tuple[int, _Cells | None]], direction: Direction
) -> list[GemRow]:
    """Checks lines and returns their rows. Raises TransfuseError naming the bad lines."""
    rows: list[GemRow] = []
    bad_lines: list[tuple[int, str]] = []
    line_of: dict[tuple[str, str, str], int] = {}
    no_map: dict[str, bool] = {}
    for number, cells in lines:
        reason = _reason_of_bad_line(cells, direction)
        if cells is not None and reason is None:
            source, target, flags = cells
            earlier = line_of.setdefault((source, target, flags[2:]), number)
            is_no_map = _NO_TARGET.fullmatch(target) is not None
            if earlier != number:
                reason = f"repeats line {earlier}"
            elif no_map.setdefault(source, is_no_map) != is_no_map:
                reason = "contradicts an earlier line: its code has a target and has none"
            else:
                rows.append(GemRow(source, None if is_no_map else target, flags))
        if reason is not None:
            bad_lines.append((number, reason))
    problems = line_problems(file, bad_lines)
    if not rows and not bad_lines:
        problems.append(Problem(ErrorCode.SYS_004, "the GEM file has no rows", file))
    if problems:
        raise TransfuseError(problems)
    return rows


def _reason_of_bad_line(cells: _Cells | None, direction: Direction) -> str | None:
    """The reason why a line is bad by itself; None for a good one."""
    to = direction.target
    if cells is None:
        return f"hasn't got the layout of a GEM: source, target of {to.name}, five flags"
    source, target, flags = cells
    if not direction.source_form.fullmatch(source):
        return f"{source!r} is no {direction.source.name} code without a dot"
    if not _FLAGS.fullmatch(flags):
        return f"{flags!r} are no GEM flags: five digits, the first three 0 or 1"
    no_target = _NO_TARGET.fullmatch(target) is not None
    if (flags[1] == "1") != no_target:
        return f"the no-map flag and the target {target!r} contradict each other"
    if not no_target and not direction.target_form.fullmatch(target):
        return f"{target!r} is no {to.name} code without a dot"
    stray = flags[2] == "0" and flags[3:] != "00" and not direction.stray_scenarios
    if stray or (flags[2] == "1" and "0" in flags[3:]):
        return f"flags {flags!r}: a scenario and a choice list go with a combination, and only so"
    return None


def _text(content: bytes) -> str:
    # Bytes that aren't text become a bad line, which is named by its number.
    return content.decode("utf-8-sig", errors="replace")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
