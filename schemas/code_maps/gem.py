"""The General Equivalence Mappings (GEMs) between ICD-9 and ICD-10, and how codes fall in them.

GEMs are no crosswalk. A row has five flags, one digit each: *approximate* (the target is
no exact equivalent), *no map*, *combination*, *scenario*, *choice list*. Rows with
combination 1 belong together: one code of every choice list of one scenario. Rows that
share scenario and choice list, and several rows with combination 0, are alternatives.

Source of the flags' meaning: CMS, "Diagnosis Code Set General Equivalence Mappings:
Documentation and User's Guide", 2018.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

import pyarrow as pa

from schemas.code_maps.code_system import ICD9CM, ICD10CM, CodeSystem


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
    def reason(self) -> str:
        """The reason of a rejection, or of a warning: every kind of ambiguity is a ``choice``."""
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
    the file's bytes. Two maps are equal when these are. ``source`` and ``target`` are the code
    systems that it leads from and to.

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
    source: CodeSystem = ICD9CM
    target: CodeSystem = ICD10CM

    @classmethod
    def from_rows(
        cls,
        name: str,
        version: str,
        sha256: str,
        rows: Iterable[GemRow],
        source: CodeSystem = ICD9CM,
        target: CodeSystem = ICD10CM,
    ) -> GemMap:
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
            source,
            target,
        )

    @property
    def is_held(self) -> bool:
        """Whether its rows are here, or have to be got from where they are stored."""
        return bool(self.codes.num_columns)

    def unheld(self) -> GemMap:
        """The map without its rows."""
        nothing = pa.RecordBatch.from_arrays([], [])
        return replace(self, entries=nothing, codes=nothing)

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
