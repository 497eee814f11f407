"""Checks codes that are already of the target's system: those that were in force stay as they are.

A code that no packaged release has (I10.00 of another country, HCPCS) counts as unknown.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.code_system import CodeSystem
from schemas.code_maps.gem import GemCategory
from schemas.code_maps.outcomes import AMBIGUOUS_CODE, SEVERAL_CODES
from schemas.code_maps.packaged_codes import LAST_YEAR, code_history
from schemas.code_maps.row_systems import CUTOVER_YEAR, Mask
from schemas.code_maps.spelling import Readings, Repair, Speller
from schemas.code_maps.target_check import OUTDATED_TARGET, Outdated, TargetCheck
from schemas.code_maps.translation import Notation

SAME = "same"
"""The category of a code that was already of the target's system."""

NOT_IN_FORCE = "code_not_in_force"
"""The reason to reject a code that wasn't in force on the row's date."""

_NOTHING = pa.scalar(None, pa.string())


class KeptOutcomes(NamedTuple):
    """The outcomes of distinct codes, read as those of the target's system.

    All columns are strings, null where nothing applies. They have a row for each code, a row for
    null, then a row for each code where it isn't in force at the row's date, and one for each where
    it is (``outcome_places``).
    """

    target_code: pa.Array
    category: pa.Array
    source_code: pa.Array
    rejected: pa.Array
    warned: pa.Array
    noted: pa.Array


def outcome_places(
    place: npt.NDArray[np.int64], count: int, lapsed: Mask, current: Mask
) -> npt.NDArray[np.int64]:
    """Finds the row of ``KeptOutcomes`` for each row of a column.

    Args:
        place: The place of the row's code among ``count`` distinct codes, ``count`` for null.
        count: The number of distinct codes.
        lapsed: The rows whose code isn't in force at their date.
        current: The rows whose code is. A row is in neither where that can't be decided.

    Returns:
        The places of the outcomes, row by row.
    """
    behind = np.where(lapsed, count + 1, np.where(current, 2 * count + 1, 0))
    places: npt.NDArray[np.int64] = place + behind
    return places


class TargetCodes:
    """Decides the outcome of codes of the target's system.

    Args:
        system: The target's system.
        check: The release that the target uses. A code that it lacks and an earlier release has is
            treated as an outdated target.
        keeps_unknown: Whether the row of an unknown code is written without it. So is a code that
            no release has, or none of the row's time.
        notation: How codes are written.
        repair: The repairs of codes.
    """

    def __init__(
        self,
        system: CodeSystem,
        check: TargetCheck,
        keeps_unknown: bool,
        notation: Notation,
        repair: Repair,
    ) -> None:
        self._system = system
        self._check = check
        self._keeps_unknown = keeps_unknown
        self._notation = notation
        self._repair = repair

    @cached_property
    def speller(self) -> Speller:
        """The speller of codes of all releases."""
        # The map's own release may have codes that no packaged one has.
        codes = pa.concat_arrays([code_history(self._system).codes, self._check.valid]).unique()
        return Speller(codes, self._system, self._repair)

    def split_by_date(
        self,
        readings: Readings | None,
        position: npt.NDArray[np.int64],
        year: npt.NDArray[np.int16],
    ) -> tuple[Mask, Mask]:
        """Finds the rows whose code no release of their time has, and those whose code one has.

        Args:
            readings: The distinct codes; None where no row has a code of this system.
            position: The place of each row's code among them.
            year: The fiscal year of each row. It may be one too early, where the time zone leaves
                two possible years, so a code counts that is one in the next year.

        Returns:
            Two masks of the rows. Rows without a date, and codes that no release has, are in
            neither.
        """
        none = np.zeros(len(position), np.bool_)
        dated = year >= CUTOVER_YEAR
        history = code_history(self._system)
        if readings is None or not dated.any() or history.first.null_count:
            return none, none
        place = pc.index_in(readings.codes, value_set=history.codes)
        first, last = (
            np.append(pc.fill_null(years.take(place), 0).to_numpy(zero_copy_only=False), 0)[
                position
            ]
            for years in (history.first, history.last)
        )
        is_decidable = dated & (first > 0)
        lapsed = (first > year + 1) | (last < np.minimum(year, LAST_YEAR))
        return is_decidable & lapsed, is_decidable & ~lapsed

    def outcomes(self, distinct: pa.Array, readings: Readings) -> KeptOutcomes:
        """Decides the outcome of each code, at any date.

        Args:
            distinct: The codes as written (string).
            readings: Their readings by ``speller``.
        """
        valid = pc.is_in(readings.codes, value_set=self._check.valid)
        is_code = pa.array(self.speller.knows(readings.codes))
        reason = pc.if_else(is_code, _NOTHING, GemCategory.UNKNOWN_CODE.value)
        reason = pc.if_else(pa.array(readings.ambiguous), AMBIGUOUS_CODE, reason)
        reason = pc.if_else(pa.array(readings.several), SEVERAL_CODES, reason)
        outdated = pc.and_(pc.is_null(reason), pc.invert(valid))
        as_outdated = pc.if_else(outdated, OUTDATED_TARGET, _NOTHING)
        nothing = pa.nulls(len(distinct), pa.string())
        undated = self._outcomes_without_dates(distinct, readings, reason, as_outdated)
        # A release in a file holds for codes of any time.
        if_current = (
            self._outcomes_without_dates(distinct, readings, reason, nothing)
            if self._check.name
            else undated
        )
        null = pa.nulls(1, pa.string())
        return KeptOutcomes(
            *(
                pa.concat_arrays([one, null, lapsed, current])
                for one, lapsed, current in zip(
                    undated, self._outcomes_out_of_force(readings), if_current, strict=True
                )
            )
        )

    def _outcomes_without_dates(
        self, distinct: pa.Array, readings: Readings, reason: pa.Array, as_outdated: pa.Array
    ) -> tuple[pa.Array, ...]:
        """The columns of the outcomes at any date; ``reason`` is why a text isn't a code."""
        nothing = pa.nulls(len(distinct), pa.string())
        rejected, warned = (nothing, reason) if self._keeps_unknown else (reason, nothing)
        if self._check.action is Outdated.REJECT:
            rejected = pc.coalesce(rejected, as_outdated)
        written = pc.and_(pc.is_null(rejected), pc.is_null(reason))
        kept = pc.if_else(pc.is_valid(warned), GemCategory.UNKNOWN_CODE.value, _NOTHING)
        return (
            pc.if_else(written, self._in_notation(distinct, readings.codes), _NOTHING),
            pc.if_else(written, SAME, kept),
            readings.codes,
            rejected,
            warned,
            as_outdated if self._check.action is Outdated.WARN else nothing,
        )

    def _outcomes_out_of_force(self, readings: Readings) -> tuple[pa.Array, ...]:
        """The columns of the outcomes of codes that aren't in force."""
        count = len(readings.codes)
        nothing = pa.nulls(count, pa.string())
        lapsed = pa.repeat(NOT_IN_FORCE, count)
        if self._keeps_unknown:
            unknown = pa.repeat(GemCategory.UNKNOWN_CODE.value, count)
            return nothing, unknown, readings.codes, nothing, lapsed, nothing
        return nothing, nothing, readings.codes, lapsed, nothing, nothing

    def _in_notation(self, distinct: pa.Array, codes: pa.Array) -> pa.Array:
        """The codes with or without a dot, as the notation says."""
        if not self._system.head or self._notation is Notation.UNDOTTED:
            return codes
        dotted = pc.replace_substring_regex(codes, rf"^({self._system.head})(.+)$", r"\1.\2")
        if self._notation is Notation.DOTTED:
            return dotted
        return pc.if_else(pc.match_substring(distinct, "."), dotted, codes)
