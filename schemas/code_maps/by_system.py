"""Translates columns in which some codes are already of the target's system.

Around 1 October 2015 a column holds ICD-9-CM and ICD-10-CM. ``row_systems`` decides which of them a
code is of, ``target_codes`` checks those that stay as they are; here both are joined with the
translation of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.gem import GemMap
from schemas.code_maps.packaged_codes import code_history
from schemas.code_maps.policy import CodeAction, GemPolicy
from schemas.code_maps.row_systems import (
    CUTOVER_YEAR,
    Mask,
    RowCodes,
    RowSystems,
    decide_systems,
)
from schemas.code_maps.spelling import Repair, normalise
from schemas.code_maps.target_check import TargetCheck
from schemas.code_maps.target_codes import KeptOutcomes, TargetCodes, outcome_places
from schemas.code_maps.translation import GemTranslator, Notation, Translation, repair_reasons


class SystemTranslator:
    """Translates codes by ``translator``, and leaves those of the target's system as they are.

    ``check``, ``policy``, ``notation`` and ``repair`` decide about the latter (``TargetCodes``). A
    code on which the site has decided is translated unless it is a code of the target's system
    that is in force.
    """

    def __init__(
        self,
        gem: GemMap,
        translator: GemTranslator,
        check: TargetCheck,
        policy: GemPolicy | None = None,
        notation: Notation = Notation.AS_SOURCE,
        repair: Repair | None = None,
    ) -> None:
        self._source, self._target = gem.source, gem.target
        self._translator = translator
        self._repair = repair or Repair()
        keeps_unknown = (policy or GemPolicy()).unknown_code is CodeAction.NO_TARGET
        self._of_target = TargetCodes(gem.target, check, keeps_unknown, notation, self._repair)

    def translate(self, codes: pa.Array, revisions: pa.Array, in_force: pa.Array) -> Translation:
        """Translates a column of codes, row by row.

        Args:
            codes: The codes (string, also by dictionary).
            revisions: The revision of the ICD that the row names (int8), 9 or 10; 0 where it names
                something else, null where nothing.
            in_force: The revision in force at the row's date (int16): 9, or of ICD-10 the fiscal
                year (the earlier one where the time zone leaves two); null where that can't be
                decided.

        Returns:
            The translation of all rows.
        """
        encoded = codes if pa.types.is_dictionary(codes.type) else codes.dictionary_encode()
        distinct = encoded.dictionary
        position = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
        rows = self._row_codes(distinct, position, _numbers(revisions), _numbers(in_force))
        systems = decide_systems(rows, self._source.revision, self._target.revision)
        readings = self._of_target.speller.read(distinct) if systems.of_target.any() else None
        lapsed, current = self._of_target.split_by_date(readings, position, rows.in_force)
        kept = systems.of_target & (~rows.decided | (rows.in_target & ~lapsed))
        mapped = systems.of_source | (systems.of_target & ~kept)
        indices = pc.if_else(
            pa.array(mapped), encoded.indices, pa.scalar(None, encoded.indices.type)
        )
        translation = self._translator.translate(pa.DictionaryArray.from_arrays(indices, distinct))
        if mapped.sum() == rows.present.sum():
            return translation
        if readings is None:
            readings = self._of_target.speller.read(distinct)
        place = np.where(kept, position, len(distinct))
        places = outcome_places(place, len(distinct), kept & lapsed, kept & current)
        repairs = repair_reasons(readings, place)
        outcomes = self._of_target.outcomes(distinct, readings)
        return _join(translation, systems, repairs, kept, outcomes, places)

    def takes_decisions(
        self,
        codes: pa.Array,
        looked_up: pa.Array,
        revisions: pa.Array,
        in_force: pa.Array,
        lapsed: pa.Array,
    ) -> Mask:
        """Finds the rows to which a decision on their code would apply, if there were one.

        Args:
            codes: The codes of rows that ``translate`` rejects because of their codes.
            looked_up: Their source codes in the translation (string).
            revisions: As for ``translate``.
            in_force: As for ``translate``.
            lapsed: Whether the row is rejected because its code isn't in force (bool).

        Returns:
            A mask of the rows.
        """
        in_target = self._of_target.speller.knows(codes)
        is_lapsed = lapsed.to_numpy(zero_copy_only=False)
        named, year = _numbers(revisions), _numbers(in_force)
        by_date = in_target & (year >= CUTOVER_YEAR)
        is_own = np.where(named < 0, ~by_date, named == self._source.revision)
        as_written = normalise(codes, self._source, self._repair.case)
        of_source = pc.is_in(as_written, value_set=code_history(self._source).codes)
        is_free = pc.and_not(pc.equal(as_written, looked_up).fill_null(False), of_source)
        counts: Mask = is_own | (is_free.to_numpy(zero_copy_only=False) & (~in_target | is_lapsed))
        return counts

    def _row_codes(
        self,
        distinct: pa.Array,
        position: npt.NDArray[np.int64],
        named: npt.NDArray[np.int8],
        in_force: npt.NDArray[np.int16],
    ) -> RowCodes:
        def of_rows(mask: Mask) -> Mask:
            return np.append(mask, False)[position]

        return RowCodes(
            present=of_rows(pc.is_valid(distinct).to_numpy(zero_copy_only=False)),
            in_source=of_rows(self._translator.knows(distinct)),
            in_target=of_rows(self._of_target.speller.knows(distinct)),
            decided=of_rows(self._is_decided(distinct)),
            named=named,
            in_force=in_force,
        )

    def _is_decided(self, distinct: pa.Array) -> Mask:
        """Finds the codes on which the site has decided, without codes of the map's source.

        A decision on an ICD-9 code is not one on the same characters in a row of ICD-10.
        """
        decided: Mask = self._translator.decides(distinct)
        if decided.any():
            codes = normalise(distinct, self._source, self._repair.case)
            of_source = pc.is_in(codes, value_set=code_history(self._source).codes)
            decided &= ~of_source.to_numpy(zero_copy_only=False)
        return decided


def _join(
    translation: Translation,
    systems: RowSystems,
    repairs: pa.RecordBatch,
    kept: Mask,
    outcomes: KeptOutcomes,
    places: npt.NDArray[np.int64],
) -> Translation:
    """Puts the kept codes, and the rejections by system, into the translation of the other rows.

    Args:
        translation: That of the mapped rows; the others are null in it.
        systems: The system of each row.
        repairs: The repairs of kept codes.
        kept: The rows whose codes stay as they are.
        outcomes: The outcomes of these codes.
        places: The place of each row's outcome among them.

    Returns:
        The translation of all rows.
    """
    columns = {
        name: _overlay(translation, name, kept, getattr(outcomes, name), places)
        for name in ("target_code", "category", "source_code")
    }
    refused = [_same_reason(mask, reason) for reason, mask in systems.refused.items()]
    rejected = [translation.rejected, *refused, _reasons(outcomes.rejected, places)]
    return Translation(
        {**translation.columns, **columns},
        pa.concat_batches(rejected),
        pa.concat_batches([translation.warned, _reasons(outcomes.warned, places)]),
        pa.concat_batches([translation.noted, repairs, _reasons(outcomes.noted, places)]),
    )


def _numbers(values: pa.Array) -> npt.NDArray[Any]:
    """The numbers with -1 for null."""
    numbers: npt.NDArray[Any] = values.fill_null(-1).to_numpy(zero_copy_only=False)
    return numbers


def _overlay(
    translation: Translation,
    name: str,
    kept: Mask,
    values: pa.Array,
    places: npt.NDArray[np.int64],
) -> Callable[[], pa.Array]:
    """A column of the translation, with other values in the rows of codes that stay as they are."""

    def column() -> pa.Array:
        index = translation.column("index").to_numpy()
        mask = pa.array(kept[index])
        return pc.if_else(mask, values.take(pa.array(places[index])), translation.column(name))

    return column


def _same_reason(mask: Mask, reason: str) -> pa.RecordBatch:
    """The rows of a mask, all with one reason: index (int32), reason (string)."""
    index = np.flatnonzero(mask).astype(np.int32)
    return pa.RecordBatch.from_pydict(
        {"index": pa.array(index), "reason": pa.repeat(reason, len(index))}
    )


def _reasons(reasons: pa.Array, places: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """The rows whose outcome has a reason, with it: index (int32), reason (string)."""
    of_rows = reasons.take(pa.array(places))
    index = np.flatnonzero(pc.is_valid(of_rows).to_numpy(zero_copy_only=False)).astype(np.int32)
    return pa.RecordBatch.from_pydict(
        {"index": pa.array(index), "reason": of_rows.take(pa.array(index))}
    )
