"""The General Equivalence Mappings (GEMs) between ICD-9 and ICD-10, and categories of their codes.

A GEM is not a one-to-one crosswalk. A row has five flags, one digit each: *approximate* (the
target isn't an exact equivalent), *no map*, *combination*, *scenario*, *choice list*. Rows with
combination 1 belong together: one code of every choice list of one scenario. Rows that share
scenario and choice list, and several rows with combination 0, are alternatives.

Source of the flags' meaning: CMS, "Diagnosis Code Set General Equivalence Mappings:
Documentation and User's Guide", 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.code_system import ICD9CM, ICD10CM, CodeSystem


class GemCategory(str, Enum):
    """The relation of a source code to its targets in a GEM."""

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
    """The map doesn't have the code."""

    @property
    def reason(self) -> str:
        """The reason of its violations: every kind of ambiguity is a ``choice``."""
        return _CHOICES.get(self, self.value)


_CHOICES = {
    GemCategory.CLUSTER_CHOICE: "choice",
    GemCategory.SCENARIOS: "choice",
    GemCategory.MIXED: "choice",
}


class GemRow(NamedTuple):
    """A row of a GEM: codes without dots (``target`` None for no map), five digits as flags."""

    source: str
    target: str | None
    flags: str


@dataclass(frozen=True)
class GemMap:
    """A GEM: its name, its origin and its rows.

    ``name`` is its name in the specification, ``version`` the stem of the file's name
    (``2018_I9gem``) or the package with its version, ``sha256`` the hexadecimal digest of
    the file's bytes. Two maps are equal when these are. ``source`` and ``target`` are the code
    systems that it translates between.

    ``entries`` has a row for each row of the file: source_code (string), target_code
    (string, null for no map), flags (string). The rows of a code stand together, by
    scenario, choice list and then in the file's order; the codes in the file's order.

    ``codes`` has a row for each source code: source_code (string), category (string, a
    value of GemCategory), first and count (int32), which give its slice of ``entries``.
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
        rows: Sequence[GemRow],
        source: CodeSystem = ICD9CM,
        target: CodeSystem = ICD10CM,
    ) -> GemMap:
        """Builds a map of rows as ``read_gem`` accepts them, in any order."""
        sources, targets, flags = zip(*rows, strict=True) if rows else ((), (), ())
        return cls.from_columns(
            name,
            version,
            sha256,
            pa.array(sources, pa.string()),
            pa.array(targets, pa.string()),
            pa.array(flags, pa.string()),
            source,
            target,
        )

    @classmethod
    def from_columns(
        cls,
        name: str,
        version: str,
        sha256: str,
        source_codes: pa.Array,
        target_codes: pa.Array,
        flags: pa.Array,
        source: CodeSystem = ICD9CM,
        target: CodeSystem = ICD10CM,
    ) -> GemMap:
        """Builds a map of the columns of its rows (string), in any order."""
        encoded = source_codes.dictionary_encode()
        code = encoded.indices.to_numpy()
        digits = _digits(flags)
        place = digits[:, 3] * 10 + digits[:, 4]
        order = np.lexsort((place, code))
        counts = np.bincount(code, minlength=len(encoded.dictionary)).astype(np.int32)
        firsts = np.cumsum(counts, dtype=np.int32) - counts
        sorted_rows = pa.RecordBatch.from_arrays(
            [source_codes, target_codes, flags], ["source_code", "target_code", "flags"]
        ).take(pa.array(order))
        is_no_map = sorted_rows.column("target_code").is_null().to_numpy(zero_copy_only=False)
        categories = _categories(digits[order], is_no_map, firsts, counts)
        codes = {
            "source_code": encoded.dictionary,
            "category": pa.array(categories, pa.string()),
            "first": pa.array(firsts),
            "count": pa.array(counts),
        }
        return cls(
            name,
            version,
            sha256,
            sorted_rows,
            pa.RecordBatch.from_pydict(codes),
            source,
            target,
        )

    @property
    def has_content(self) -> bool:
        """Whether its rows are here; otherwise ``map_store`` has them."""
        return bool(self.codes.num_columns)

    def without_content(self) -> GemMap:
        """The map without its rows."""
        nothing = pa.RecordBatch.from_arrays([], [])
        return replace(self, entries=nothing, codes=nothing)

    @property
    def label(self) -> str:
        """The map's name in a translated row: ``icd9_to_icd10/2018_I9gem/sha256:44f4079c698e``."""
        return f"{self.name}/{self.version}/sha256:{self.sha256[:12]}"


def _digits(flags: pa.Array) -> npt.NDArray[np.int8]:
    """The five flags of each row as numbers."""
    columns = [
        pc.cast(pc.utf8_slice_codeunits(flags, place, place + 1), pa.int8()).to_numpy()
        for place in range(5)
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((0, 5), np.int8)


def _categories(
    digits: npt.NDArray[np.int8],
    is_no_map: npt.NDArray[np.bool_],
    firsts: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int32],
) -> npt.NDArray[np.object_]:
    """The category of each code. Its rows stand together, by scenario and choice list."""
    if not len(firsts):
        return np.array([], np.object_)
    combinations = np.add.reduceat(digits[:, 2], firsts, dtype=np.int32)
    scenarios = digits[:, 3]
    several = np.maximum.reduceat(scenarios, firsts) > np.minimum.reduceat(scenarios, firsts)
    # Within one scenario the rows are in the order of choice lists: count where a list begins.
    begins = np.append(True, digits[1:, 4] != digits[:-1, 4])
    begins[firsts] = True
    lists = np.add.reduceat(begins, firsts, dtype=np.int32)
    kinds = [
        (np.logical_or.reduceat(is_no_map, firsts), GemCategory.NO_MAP),
        ((combinations == 0) & (counts > 1), GemCategory.CHOICE),
        ((combinations == 0) & (digits[firsts, 0] == 1), GemCategory.APPROXIMATE),
        (combinations == 0, GemCategory.EXACT),
        (combinations < counts, GemCategory.MIXED),
        (several, GemCategory.SCENARIOS),
        (lists < counts, GemCategory.CLUSTER_CHOICE),
    ]
    conditions, categories = zip(*kinds, strict=True)
    values = [np.array(category.value, np.object_) for category in categories]
    return np.select(conditions, values, GemCategory.CLUSTER.value)
