"""Translating codes by a GEM: which policy decides, which notation is written, what comes out.

Nothing is guessed. A code that the map leaves open is rejected, or kept without a target,
unless the specification asks for all of its alternatives; and a code that isn't written as it
should be is repaired where it can only have meant one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.gem import GemCategory, GemMap
from schemas.code_maps.outcomes import (
    AMBIGUOUS_CODE,
    SEVERAL_CODES,
    UNTRANSLATED,
    CodeOutcome,
    map_outcomes,
    site_outcomes,
    unknown_outcome,
)
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import Readings, Repair, Speller
from schemas.code_maps.target_check import TargetCheck


class Notation(str, Enum):
    """How target codes are written: as the source code was, with a dot, or without one."""

    AS_SOURCE = "as_source"
    DOTTED = "dotted"
    UNDOTTED = "undotted"


_UNKNOWN = (GemCategory.UNKNOWN_CODE.value, AMBIGUOUS_CODE, SEVERAL_CODES)
"""The reasons why a text has no outcome of its own."""


class Translation:
    """The translation of a column of codes.

    ``columns``, in the order of the codes, at least one row for each code: index (int32, the
    code's position), target_code (string), category (string, a value of GemCategory,
    SITE or SAME), flags (string, five digits), groups (string, scenario and choice list of each of
    the target's rows in the map: ``1.2`` or ``1.1 2.1``, ``0.0`` by itself; both null for a
    site's decision), decision (string, the name of such a decision), cluster_seq (int32,
    counts the rows of a code from 1), source_code (string, as it was looked up). A rejected code
    has one row as well, for the later checks; its target_code, category, flags and groups are
    null. A null code has one row that is null but for index and cluster_seq. A column is computed
    when it is asked for.

    ``rejected``, ``warned`` and ``noted``: index (int32), reason (string). The reasons of the
    first two are approximate, cluster, choice, no_map, unknown_code, ambiguous_code,
    several_codes and outdated_target; those of ``noted`` are outdated_target, repaired_case,
    repaired_dot and repaired_zero.
    """

    def __init__(
        self,
        columns: Mapping[str, Callable[[], pa.Array]],
        rejected: pa.RecordBatch,
        warned: pa.RecordBatch,
        noted: pa.RecordBatch,
    ) -> None:
        self.columns = columns
        self.rejected = rejected
        self.warned = warned
        self.noted = noted

    def column(self, name: str) -> pa.Array:
        return self.columns[name]()

    @property
    def rows(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict({name: make() for name, make in self.columns.items()})


class GemTranslator:
    """Translates columns of codes by a GEM, a policy and the decisions of the site.

    ``site`` has the columns source_code and target_code (string), and may have ``decision``
    and ``name`` as ``site_outcomes`` takes them. Its rows win over the map: their source codes are
    compared in normalised form, and several different targets of one source code are a cluster in
    the table's order. ``notation`` is how targets that are codes are written, ``repair`` the
    repairs of source codes, ``check`` the release that targets are compared with.

    The outcome of each code is decided here once, so that ``translate`` only looks it up.
    """

    def __init__(
        self,
        gem: GemMap,
        policy: GemPolicy | None = None,
        notation: Notation = Notation.AS_SOURCE,
        site: pa.Table | None = None,
        repair: Repair | None = None,
        check: TargetCheck | None = None,
    ) -> None:
        self._notation = notation
        policy = policy or GemPolicy()
        outcomes = map_outcomes(gem, policy, check)
        case = repair is None or repair.case
        as_source = notation is Notation.AS_SOURCE
        decided_on = site_outcomes(site, gem.source, case, gem.target, as_source, check)
        outcomes.update(decided_on)
        self._decided = pa.array(list(decided_on), pa.string())
        self._sources = pa.array(list(outcomes), pa.string())
        self._speller = Speller(self._sources, gem.source, repair or Repair())
        unknown = [unknown_outcome(policy, reason) for reason in _UNKNOWN]
        decided = [*outcomes.values(), *unknown, CodeOutcome([UNTRANSLATED])]
        self._null = len(decided) - 1

        rows = [row for outcome in decided for row in outcome.rows]
        self._row_count = len(rows)
        self._counts = np.array([len(outcome.rows) for outcome in decided], np.int32)
        self._firsts = np.cumsum(self._counts, dtype=np.int32) - self._counts
        self._targets = pa.array(
            [row.undotted for row in rows] + [row.dotted for row in rows], pa.string()
        )
        self._flags = pa.array([row.flags for row in rows], pa.string())
        self._groups = pa.array([row.groups for row in rows], pa.string())
        self._categories = pa.array([row.category for row in rows], pa.string())
        self._decisions = pa.array([row.decision for row in rows], pa.string())
        self._cluster_seqs = pa.array([row.cluster_seq for row in rows], pa.int32())
        self._rejected = pa.array([outcome.rejected for outcome in decided], pa.string())
        self._warned = pa.array([outcome.warned for outcome in decided], pa.string())
        self._noted = pa.array([outcome.noted for outcome in decided], pa.string())

    def translate(self, codes: pa.Array) -> Translation:
        """Translates a column of codes.

        Args:
            codes: The codes (string, also by dictionary), nulls included.

        Returns:
            The translation, in the order of the codes.
        """
        encoded = codes if pa.types.is_dictionary(codes.type) else codes.dictionary_encode()
        distinct = encoded.dictionary
        readings = self._speller.read(distinct)
        # One more distinct code stands for null, behind the others.
        position = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
        noted = repair_reasons(readings, position)
        outcome = np.append(self._outcomes(readings), self._null)[position]

        counts = self._counts[outcome]
        if len(codes) and counts.max() > 1:
            ends = np.cumsum(counts)
            index = np.repeat(np.arange(len(codes), dtype=np.int32), counts)
            row = np.arange(len(index)) + np.repeat(self._firsts[outcome] - (ends - counts), counts)
            position = position[index]
        else:
            index = np.arange(len(codes), dtype=np.int32)
            row = self._firsts[outcome]
        return Translation(
            {
                "index": lambda: pa.array(index),
                "target_code": lambda: self._target_codes(distinct, position, row),
                "category": lambda: self._categories.take(pa.array(row)),
                "flags": lambda: self._flags.take(pa.array(row)),
                "groups": lambda: self._groups.take(pa.array(row)),
                "decision": lambda: self._decisions.take(pa.array(row)),
                "cluster_seq": lambda: self._cluster_seqs.take(pa.array(row)),
                "source_code": lambda: pa.concat_arrays(
                    [readings.codes, pa.nulls(1, pa.string())]
                ).take(pa.array(position)),
            },
            _reasons(self._rejected, outcome),
            _reasons(self._warned, outcome),
            pa.concat_batches([noted, _reasons(self._noted, outcome)]),
        )

    def knows(self, codes: pa.Array) -> npt.NDArray[np.bool_]:
        """Which of ``codes`` (string) the map or the site has as they are."""
        return self._speller.knows(codes)

    def decides(self, codes: pa.Array) -> npt.NDArray[np.bool_]:
        """Which of ``codes`` (string) the site has decided on as they are."""
        read = self._speller.normalise(codes)
        decided: npt.NDArray[np.bool_] = pc.is_in(read, value_set=self._decided).to_numpy(
            zero_copy_only=False
        )
        return decided

    def _outcomes(self, readings: Readings) -> npt.NDArray[np.int32]:
        """The position of the outcome of each distinct code."""
        first = len(self._sources)
        places = pc.fill_null(pc.index_in(readings.codes, value_set=self._sources), first)
        outcomes: npt.NDArray[np.int32] = places.to_numpy(zero_copy_only=False).copy()
        outcomes[readings.ambiguous] = first + _UNKNOWN.index(AMBIGUOUS_CODE)
        outcomes[readings.several] = first + _UNKNOWN.index(SEVERAL_CODES)
        if readings.codes.null_count:
            outcomes[pc.is_null(readings.codes).to_numpy(zero_copy_only=False)] = self._null
        return outcomes

    def _target_codes(
        self, distinct: pa.Array, position: npt.NDArray[np.int32], row: npt.NDArray[np.int32]
    ) -> pa.Array:
        dotted = np.append(self._is_dotted(distinct), False)[position]
        return self._targets.take(pa.array(row + dotted * np.int32(self._row_count)))

    def _is_dotted(self, distinct: pa.Array) -> npt.NDArray[np.bool_]:
        """For each distinct code, whether its target is written with a dot."""
        if self._notation is Notation.AS_SOURCE:
            has_dot = pc.fill_null(pc.match_substring(distinct, "."), False)
            dotted: npt.NDArray[np.bool_] = has_dot.to_numpy(zero_copy_only=False)
            return dotted
        return np.full(len(distinct), self._notation is Notation.DOTTED)


def repair_reasons(readings: Readings, position: npt.NDArray[np.integer]) -> pa.RecordBatch:
    """The positions of repaired codes with the reason: index (int32), reason (string)."""
    indices, reasons = [pa.array([], pa.int32())], [pa.array([], pa.string())]
    for reason, mask in readings.repaired.items():
        if mask.any():
            index = np.flatnonzero(np.append(mask, False)[position]).astype(np.int32)
            indices.append(pa.array(index))
            reasons.append(pa.repeat(reason, len(index)))
    return pa.RecordBatch.from_pydict(
        {"index": pa.concat_arrays(indices), "reason": pa.concat_arrays(reasons)}
    )


def _reasons(reasons: pa.Array, outcome: npt.NDArray[np.int32]) -> pa.RecordBatch:
    """The positions whose outcome has a reason, with it: index (int32), reason (string)."""
    has_reason = pc.is_valid(reasons).to_numpy(zero_copy_only=False)[outcome]
    index = np.flatnonzero(has_reason).astype(np.int32)
    return pa.RecordBatch.from_pydict(
        {"index": pa.array(index), "reason": reasons.take(pa.array(outcome[index]))}
    )
