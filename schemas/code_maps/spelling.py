"""Reads codes as people write them: unifies their form, and repairs what is unambiguous.

A code is repaired where only one code can have been meant. An undotted number may have lost a
leading zero or not: of the 1,064 codes of ICD-9-CM that begin with 0, 322 are another valid code
without it (09831, 9831). So nothing is padded unless the specification says that zeros are
lost, and then such a number is ambiguous. 40.19 may be 401.9 with its dot in the wrong place, and
is a procedure code as it stands: so it is ambiguous too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from schemas.blanks import INVISIBLE
from schemas.code_maps.code_system import ICD9CM, ICD9PROC, CodeSystem
from schemas.code_maps.packaged_codes import code_history

REPAIRED_CASE, REPAIRED_DOT, REPAIRED_ZERO = "repaired_case", "repaired_dot", "repaired_zero"

_ONE_CODE = (
    r"(?:[0-9]{3}(?:\.?[0-9]{1,2})?|[0-9]{2}\.[0-9]{1,2}|E[0-9]{3}\.[0-9]"
    r"|[A-Z][0-9][0-9A-Z](?:\.?[0-9A-Z]{1,4})?)"
)
_SEVERAL_CODES = rf"^{_ONE_CODE}(?:(?:\s*[,;/|&+]\s*|\s+){_ONE_CODE})+$"
"""Codes of ICD in one cell, of one system or of several."""

_ONE_DOT = r"^[0-9A-Z]*\.[0-9A-Z]*$"

_NOTHING = pa.scalar(None, pa.string())


class Repair(BaseModel):
    """The repairs to make: small letters, a dot in the wrong place, lost zeros."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: bool = True
    dots: bool = True
    zeros: bool = False


@dataclass(frozen=True)
class Readings:
    """The readings of codes, position by position.

    Attributes:
        codes: The codes (string) in the form in which they are looked up.
        ambiguous: Which of them can be read in two ways.
        several: Which of them are more than one code.
        repaired: Which of them were repaired, by reason.
    """

    codes: pa.Array
    ambiguous: npt.NDArray[np.bool_]
    several: npt.NDArray[np.bool_]
    repaired: Mapping[str, npt.NDArray[np.bool_]]


def normalise(codes: pa.Array, system: CodeSystem = ICD9CM, case: bool = True) -> pa.Array:
    """Writes codes (string) in the form in which they are looked up.

    Surrounding blanks go (``INVISIBLE``), a to z become capitals (unless ``case`` is false), and
    the dot goes where the system puts it: in ICD-9-CM after the third character, of an E-code
    after the fourth. A dot elsewhere stays, and no map has such a code. Zeros are left alone.
    """
    upper = _upper(codes, case)
    if not system.head:
        return upper
    return pc.replace_substring_regex(upper, system.dot_pattern, r"\1\2")


class Speller:
    """Reads codes as those of a list.

    Args:
        codes: The list (string), in the form in which codes are looked up.
        system: The system of its codes.
        repair: The repairs to make.
    """

    def __init__(self, codes: pa.Array, system: CodeSystem, repair: Repair) -> None:
        self._codes = codes
        self._system = system
        self._repair = repair
        self._categories = _categories(codes, system)

    def normalise(self, written: pa.Array) -> pa.Array:
        """Writes codes (string) in the form in which they are looked up, without repairs."""
        return normalise(written, self._system, self._repair.case)

    def knows(self, written: pa.Array) -> npt.NDArray[np.bool_]:
        """Which of ``written`` (string) are in the list, with no repair but of small letters."""
        return self._is_known(self.normalise(written))

    def read(self, written: pa.Array) -> Readings:
        """Reads codes (string, nulls included). They should be distinct, since each takes time."""
        upper = _upper(written, self._repair.case)
        codes = self.normalise(written)
        known = self._is_known(codes)
        none = np.zeros(len(written), np.bool_)
        ambiguous, several, dots, zeros = none, none.copy(), none.copy(), none.copy()
        if self._repair.zeros:
            # A number can be one code as it stands, and another with zeros that it has lost.
            padded = [self._is_known(longer) for longer in self._longer_numbers(codes)]
            undotted = _matches(upper, "^[0-9]+$")
            ambiguous = known & undotted & np.logical_or.reduce([none, *padded])
        odd = np.flatnonzero(~known & _mask(pc.is_valid(written)))
        if len(odd):
            fixed, by_dot, unclear = self._repair_codes(upper.take(odd), codes.take(odd))
            several[odd] = _matches(pc.ascii_upper(upper.take(odd)), _SEVERAL_CODES)
            ambiguous[odd] = unclear
            made = _mask(pc.is_valid(fixed))
            dots[odd], zeros[odd] = made & by_dot, made & ~by_dot
            codes = pc.replace_with_mask(codes, pa.array(dots | zeros), fixed.drop_null())
        small = _mask(pc.not_equal(_upper(written, False), upper))
        formed = _matches(codes, f"^(?:{self._system.form})$")
        repaired = {
            REPAIRED_CASE: small & formed & (known | dots | zeros) & ~ambiguous,
            REPAIRED_DOT: dots,
            REPAIRED_ZERO: zeros,
        }
        return Readings(codes, ambiguous, several, repaired)

    def _repair_codes(
        self, upper: pa.Array, codes: pa.Array
    ) -> tuple[pa.Array, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Repairs codes that aren't in the list.

        Returns:
            The code that is meant (null where that is open), whether it was repaired by its dot
            rather than by zeros, and whether it can be read in several ways.
        """
        moved = self._without_misplaced_dot(upper)
        by_dot = _mask(pc.is_valid(moved))
        readings = [moved]
        category = np.zeros(len(codes), np.bool_)
        for short in self._short_forms(upper, codes):
            lost = (pc.binary_join_element_wise(short, zeros, "") for zeros in ("", "0", "00"))
            readings += map(self._if_known, lost)
            category |= _mask(pc.is_in(short, value_set=self._categories))
        meant = pc.coalesce(*readings)
        differs = [_mask(pc.not_equal(reading, meant)) for reading in readings]
        unclear = np.logical_or.reduce(differs) | category | self._is_procedure(upper, by_dot)
        unclear &= _mask(pc.is_valid(meant))
        allowed = np.where(by_dot, self._repair.dots, self._repair.zeros)
        fixed = pc.if_else(pa.array(allowed & ~unclear), meant, _NOTHING)
        return fixed, by_dot, unclear & (allowed | self._repair.zeros)

    def _is_procedure(
        self, upper: pa.Array, by_dot: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Which of ``upper`` are, as they stand, procedure codes of ICD-9-CM with their dot, in a
        column of diagnoses, headings of procedure codes included. Where a diagnosis is meant only
        ``by_dot``, they may be procedure codes that have lost a zero, too."""
        if self._system is not ICD9CM:
            return np.zeros(len(upper), np.bool_)
        known = _procedures_and_headings()
        parts = pc.extract_regex(upper, r"^(?P<head>[0-9]{1,2})\.(?P<tail>[0-9]{1,2})$")
        head, tail = pc.struct_field(parts, "head"), pc.struct_field(parts, "tail")
        whole = pc.binary_join_element_wise(head, tail, "")
        is_whole = _mask(pc.equal(pc.utf8_length(head), 2))
        padded = pc.binary_join_element_wise(pc.utf8_lpad(head, 2, "0"), tail, "")
        longer = pc.binary_join_element_wise(padded, "0", "")
        damaged = _mask(pc.is_in(padded, value_set=known)) | _mask(
            pc.is_in(longer, value_set=known)
        )
        return (is_whole & _mask(pc.is_in(whole, value_set=known))) | (by_dot & damaged)

    def _without_misplaced_dot(self, upper: pa.Array) -> pa.Array:
        """The code of the list that remains without a single misplaced dot."""
        movable = _matches(upper, _ONE_DOT) & ~_matches(upper, self._system.foreign)
        bare = pc.replace_substring(upper, ".", "")
        return self._if_known(pc.if_else(pa.array(movable), bare, _NOTHING))

    def _short_forms(self, upper: pa.Array, codes: pa.Array) -> list[pa.Array]:
        """The forms, undotted, that may lack trailing zeros: with all leading zeros that may be
        lost. Null where a form isn't possible."""
        place = self._system.digits_before_dot
        head = pc.replace_substring_regex(upper, r"\..*$", "")
        tail = pc.replace_substring_regex(upper, r"^[^.]*\.?", "")
        numbers = pc.match_substring_regex(upper, r"^[0-9]+\.[0-9]+$")
        short = pc.and_(numbers, pc.less(pc.utf8_length(head), place))
        # The dot shows how many zeros before it are lost.
        led = pc.binary_join_element_wise(pc.utf8_lpad(head, place, "0"), tail, "")
        undotted = pc.invert(pc.match_substring(codes, "."))
        # A number with its dot in place lacks nothing before it.
        plain = pc.invert(pc.match_substring(upper, "."))
        return [
            pc.if_else(short, led, _NOTHING),
            pc.if_else(undotted, codes, _NOTHING),
            *(pc.if_else(plain, longer, _NOTHING) for longer in self._longer_numbers(codes)),
        ]

    def _longer_numbers(self, codes: pa.Array) -> list[pa.Array]:
        """Numbers with one, two, ... leading zeros more, as far as codes are so long.

        A number that still begins with a zero has lost none: programs drop all of them.
        """
        numbers = pc.match_substring_regex(codes, "^[1-9][0-9]*$")
        longest = self._system.longest
        return [
            pc.if_else(
                pc.and_(numbers, pc.less_equal(pc.utf8_length(codes), longest - lost)),
                pc.binary_join_element_wise("0" * lost, codes, ""),
                _NOTHING,
            )
            for lost in range(1, self._system.digits_before_dot)
        ]

    def _is_known(self, codes: pa.Array) -> npt.NDArray[np.bool_]:
        return _mask(pc.is_in(codes, value_set=self._codes))

    def _if_known(self, codes: pa.Array) -> pa.Array:
        return pc.if_else(pa.array(self._is_known(codes)), codes, _NOTHING)


@lru_cache(maxsize=1)
def _procedures_and_headings() -> pa.Array:
    """The procedure codes of ICD-9-CM without their dots, and their headings."""
    codes = code_history(ICD9PROC).codes
    headings = pc.utf8_slice_codeunits(codes, 0, 3)
    return pc.unique(pa.concat_arrays([codes, headings]))


def _upper(codes: pa.Array, case: bool) -> pa.Array:
    trimmed = pc.utf8_trim(codes, characters=INVISIBLE)
    return pc.ascii_upper(trimmed) if case else trimmed


def _matches(codes: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    return _mask(pc.match_substring_regex(codes, pattern))


def _mask(values: pa.Array) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = pc.fill_null(values, False).to_numpy(zero_copy_only=False)
    return mask


def _categories(known: pa.Array, system: CodeSystem) -> pa.Array:
    """The beginnings of longer codes, which can be meant as they stand.

    A beginning of only one code, which continues with zeros alone, isn't among them: it is taken
    for that code without its zeros, though a category that was retired may look the same.
    """
    pieces: list[pa.Array] = []
    for length in range(system.digits_before_dot, system.longest):
        longer = known.filter(pc.greater(pc.utf8_length(known), length))
        start = pc.utf8_slice_codeunits(longer, 0, length)
        rest = pc.utf8_slice_codeunits(longer, length)
        table = pa.table(
            {"start": start, "other": pc.invert(pc.match_substring_regex(rest, "^0+$"))}
        )
        groups = table.group_by("start").aggregate([("start", "count"), ("other", "any")])
        several = pc.or_(pc.greater(groups["start_count"], 1), groups["other_any"])
        pieces.append(groups["start"].filter(several).combine_chunks())
    return pa.concat_arrays([pa.array([], pa.string()), *pieces])
