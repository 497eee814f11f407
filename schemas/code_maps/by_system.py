"""Codes of which some are of the system that the map leads to already.

Around 1 October 2015 a column holds ICD-9-CM and ICD-10-CM. Which one a code is of says its row,
else the code itself: undotted, 49 codes (E8020) are both, and then the date decides. A code of the
target's system stays what it is, if it ever was one and was one on the row's date: one that no
packaged release has (I10.00 of another country, HCPCS) is as unknown as any other.

Source of the date: 45 CFR 162.1002 (b) and (c): ICD-9-CM through 30 September 2015, ICD-10-CM and
ICD-10-PCS on and after 1 October 2015; CMS counts the day of discharge.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.gem import GemCategory, GemMap
from schemas.code_maps.outcomes import AMBIGUOUS_CODE, SEVERAL_CODES
from schemas.code_maps.packaged_codes import LAST_YEAR, code_history
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import Readings, Repair, Speller, normalise
from schemas.code_maps.target_check import OUTDATED_TARGET, TargetCheck
from schemas.code_maps.translation import GemTranslator, Notation, Translation, noted_repairs

SAME = "same"
"""The category of a code that was of the target's system already."""

CUTOVER, CUTOVER_YEAR = "2015-10-01", 2016
"""The first day of ICD-10-CM, and the fiscal year that it began (the US government's)."""

UNKNOWN_SYSTEM = "unknown_code_system"
NOT_IN_FORCE = "code_not_in_force"
"""Why a code isn't accepted that was none yet, or none any more, on the row's date."""

_CLASHES = {9: "icd9_after_cutover", 10: "icd10_before_cutover"}
"""Why a code isn't accepted whose system, by revision, wasn't in force."""

_NOTHING = pa.scalar(None, pa.string())

_Mask = npt.NDArray[np.bool_]


class _SameCodes(NamedTuple):
    """What becomes of distinct codes that are read as those of the target's system: all strings,
    null where there is nothing to tell. A row for each code, a row for null, then a row for each
    code where it isn't in force, and one for each where it is at the row's date."""

    target_code: pa.Array
    category: pa.Array
    source_code: pa.Array
    rejected: pa.Array
    warned: pa.Array
    noted: pa.Array


class SystemTranslator:
    """Translates codes by ``translator``, and leaves those of the target's system as they are.

    ``check`` knows the release that the target goes by, and what becomes of a code that isn't in it
    but in an earlier one: the same as of an outdated target. One that no release has, or none of
    the row's time, goes the way of an unknown code, unless the site has decided on it and it is no
    code of the source's system either.
    """

    def __init__(
        self,
        gem: GemMap,
        translator: GemTranslator,
        check: TargetCheck,
        policy: GemPolicy | None = None,
        notation: Notation = "as_source",
        repair: Repair | None = None,
    ) -> None:
        self._source, self._target = gem.source, gem.target
        self._translator = translator
        self._check = check
        self._keeps_unknown = (policy or GemPolicy()).unknown_code == "no_target"
        self._notation = notation
        self._repair = repair or Repair()

    @cached_property
    def _speller(self) -> Speller:
        # Releases are only held against a map's own targets where no column has both systems.
        known = pa.concat_arrays([code_history(self._target).codes, self._check.valid]).unique()
        return Speller(known, self._target, self._repair)

    def translate(self, codes: pa.Array, told: pa.Array, in_force: pa.Array) -> Translation:
        """Translates ``codes`` (string, also by dictionary), row by row.

        ``told`` (int8) is the revision of the ICD that the row names, 9 or 10; 0 where it names
        something else, null where nothing. ``in_force`` (int16) is what was in force at the row's
        date: 9, or of ICD-10 the fiscal year (the earlier one where the time zone leaves two); null
        where that can't be told.
        """
        encoded = codes if pa.types.is_dictionary(codes.type) else codes.dictionary_encode()
        distinct = encoded.dictionary
        position = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
        known = np.append(self._translator.knows(distinct), False)[position]
        known_there = np.append(self._speller.knows(distinct), False)[position]
        named, year = (
            values.fill_null(-1).to_numpy(zero_copy_only=False) for values in (told, in_force)
        )
        force = np.where(year >= CUTOVER_YEAR, 10, year)
        own, other = self._source.revision, self._target.revision
        either = np.where(force > 0, force, own)
        by_code = np.where(known_there, np.where(known, either, other), own)
        revision = np.where(named < 0, by_code, named)
        present = np.append(pc.is_valid(distinct).to_numpy(zero_copy_only=False), False)[position]
        nameless = present & (named == 0)
        decided = np.append(self._is_decided(distinct), False)[position]
        # What only the site knows is of neither system, so no date speaks against it.
        sure = present & ((named > 0) | (known & ~decided) | known_there)
        clash = sure & ~nameless & (force > 0) & (revision != force)
        same = present & ~nameless & ~clash & (revision == other)
        readings = self._speller.read(distinct) if same.any() else None
        lapsed, current = (same & mask for mask in self._judge_by_date(readings, position, year))
        same &= ~decided | (known_there & ~lapsed)
        mapped = present & ~nameless & ~clash & ~same

        indices = pc.if_else(
            pa.array(mapped), encoded.indices, pa.scalar(None, encoded.indices.type)
        )
        translation = self._translator.translate(pa.DictionaryArray.from_arrays(indices, distinct))
        if mapped.sum() == present.sum():
            return translation
        readings = self._speller.read(distinct) if readings is None else readings
        there = np.where(same, position, len(distinct))
        repairs = noted_repairs(readings, there)
        there = np.where(same & lapsed, position + len(distinct) + 1, there)
        there = np.where(same & current, position + 2 * len(distinct) + 1, there)
        found = self._same(distinct, readings)
        return Translation(
            {
                **translation.columns,
                **{
                    name: _laid_over(translation, name, same, getattr(found, name), there)
                    for name in ("target_code", "category", "source_code")
                },
            },
            pa.concat_batches(
                [
                    translation.rejected,
                    *(_told(clash & (revision == r), reason) for r, reason in _CLASHES.items()),
                    _told(nameless, UNKNOWN_SYSTEM),
                    _reasons(found.rejected, there),
                ]
            ),
            pa.concat_batches([translation.warned, _reasons(found.warned, there)]),
            pa.concat_batches([translation.noted, repairs, _reasons(found.noted, there)]),
        )

    def takes_decisions(
        self,
        codes: pa.Array,
        looked_up: pa.Array,
        told: pa.Array,
        in_force: pa.Array,
        lapsed: pa.Array,
    ) -> _Mask:
        """For which rows a decision on ``looked_up`` would count, if there were one.

        The rows are such as ``translate`` rejects because of their codes, the arrays such as it
        takes; ``looked_up`` is the source code that it gives, and ``lapsed`` (bool) says of which
        the code isn't in force.
        """
        known_there = self._speller.knows(codes)
        is_lapsed = lapsed.to_numpy(zero_copy_only=False)
        named, year = (
            values.fill_null(-1).to_numpy(zero_copy_only=False) for values in (told, in_force)
        )
        by_date = known_there & (year >= CUTOVER_YEAR)
        is_own = np.where(named < 0, ~by_date, named == self._source.revision)
        as_written = normalise(codes, self._source, self._repair.case)
        of_source = pc.is_in(as_written, value_set=code_history(self._source).codes)
        is_free = pc.and_not(pc.equal(as_written, looked_up).fill_null(False), of_source)
        counts: _Mask = is_own | (
            is_free.to_numpy(zero_copy_only=False) & (~known_there | is_lapsed)
        )
        return counts

    def _is_decided(self, distinct: pa.Array) -> _Mask:
        """Which codes the site has decided on that are not codes of the map's source.

        A decision on an ICD-9 code is not one on the same characters in a row of ICD-10.
        """
        decided: _Mask = self._translator.decides(distinct)
        if decided.any():
            codes = normalise(distinct, self._source, self._repair.case)
            of_source = pc.is_in(codes, value_set=code_history(self._source).codes)
            decided &= ~of_source.to_numpy(zero_copy_only=False)
        return decided

    def _judge_by_date(
        self,
        readings: Readings | None,
        position: npt.NDArray[np.int64],
        year: npt.NDArray[np.int16],
    ) -> tuple[_Mask, _Mask]:
        """Which rows have a code that no release of the row's time has, and which one that has.

        Both only of codes that some release has, and of rows with a date. ``year`` may be one too
        early, where the time zone leaves two: so the next one counts too.
        """
        none = np.zeros(len(position), np.bool_)
        dated = year >= CUTOVER_YEAR
        history = code_history(self._target)
        if readings is None or not dated.any() or history.first.null_count:
            return none, none
        place = pc.index_in(readings.codes, value_set=history.codes)
        first, last = (
            np.append(pc.fill_null(years.take(place), 0).to_numpy(zero_copy_only=False), 0)[
                position
            ]
            for years in (history.first, history.last)
        )
        judged = dated & (first > 0)
        lapsed = (first > year + 1) | (last < np.minimum(year, LAST_YEAR))
        return judged & lapsed, judged & ~lapsed

    def _same(self, distinct: pa.Array, readings: Readings) -> _SameCodes:
        """What becomes of the codes as those of the target's system."""
        valid = pc.is_in(readings.codes, value_set=self._check.valid)
        known = pa.array(self._speller.knows(readings.codes))
        reason = pc.if_else(known, _NOTHING, GemCategory.UNKNOWN_CODE.value)
        reason = pc.if_else(pa.array(readings.ambiguous), AMBIGUOUS_CODE, reason)
        reason = pc.if_else(pa.array(readings.several), SEVERAL_CODES, reason)
        outdated = pc.and_(pc.is_null(reason), pc.invert(valid))
        as_outdated = pc.if_else(outdated, OUTDATED_TARGET, _NOTHING)
        nothing = pa.nulls(len(distinct), pa.string())
        lapsed = pa.repeat(NOT_IN_FORCE, len(distinct))
        as_unknown = pa.repeat(GemCategory.UNKNOWN_CODE.value, len(distinct))
        keeps = self._keeps_unknown
        if_lapsed = (
            nothing,
            as_unknown if keeps else nothing,
            readings.codes,
            nothing if keeps else lapsed,
            lapsed if keeps else nothing,
            nothing,
        )
        undated = self._known(distinct, readings, reason, as_outdated)
        # A release in a file is the site's own word about codes of any time.
        if_current = self._known(distinct, readings, reason, nothing)
        if not self._check.name:
            if_current = undated
        null = pa.nulls(1, pa.string())
        return _SameCodes(
            *(
                pa.concat_arrays([one, null, lapsed_one, current_one])
                for one, lapsed_one, current_one in zip(undated, if_lapsed, if_current, strict=True)
            )
        )

    def _known(
        self, distinct: pa.Array, readings: Readings, reason: pa.Array, as_outdated: pa.Array
    ) -> tuple[pa.Array, ...]:
        """The columns of ``_SameCodes`` for each code; ``reason`` is why it is none."""
        nothing = pa.nulls(len(distinct), pa.string())
        rejected, warned = (nothing, reason) if self._keeps_unknown else (reason, nothing)
        if self._check.action == "reject":
            rejected = pc.coalesce(rejected, as_outdated)
        written = pc.and_(pc.is_null(rejected), pc.is_null(reason))
        kept = pc.if_else(pc.is_valid(warned), GemCategory.UNKNOWN_CODE.value, _NOTHING)
        return (
            pc.if_else(written, self._written(distinct, readings.codes), _NOTHING),
            pc.if_else(written, SAME, kept),
            readings.codes,
            rejected,
            warned,
            as_outdated if self._check.action == "warn" else nothing,
        )

    def _written(self, distinct: pa.Array, codes: pa.Array) -> pa.Array:
        """The codes with or without a dot, as the notation says."""
        if not self._target.head or self._notation == "undotted":
            return codes
        dotted = pc.replace_substring_regex(codes, rf"^({self._target.head})(.+)$", r"\1.\2")
        if self._notation == "dotted":
            return dotted
        return pc.if_else(pc.match_substring(distinct, "."), dotted, codes)


def _laid_over(
    translation: Translation,
    name: str,
    same: _Mask,
    values: pa.Array,
    there: npt.NDArray[np.int64],
) -> Callable[[], pa.Array]:
    """A column of the translation, with other values in the rows of codes that stay as they are."""

    def column() -> pa.Array:
        index = translation.column("index").to_numpy()
        mask = pa.array(same[index])
        return pc.if_else(mask, values.take(pa.array(there[index])), translation.column(name))

    return column


def _told(mask: _Mask, reason: str) -> pa.RecordBatch:
    index = np.flatnonzero(mask).astype(np.int32)
    return pa.RecordBatch.from_pydict(
        {"index": pa.array(index), "reason": pa.repeat(reason, len(index))}
    )


def _reasons(reasons: pa.Array, there: npt.NDArray[np.int64]) -> pa.RecordBatch:
    of_rows = reasons.take(pa.array(there))
    index = np.flatnonzero(pc.is_valid(of_rows).to_numpy(zero_copy_only=False)).astype(np.int32)
    return pa.RecordBatch.from_pydict(
        {"index": pa.array(index), "reason": of_rows.take(pa.array(index))}
    )
