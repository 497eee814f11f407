"""Decides the code system of each row's code around the cutover from ICD-9-CM to ICD-10.

The row may name the system of its code; otherwise the code itself decides. Without their dots 49
codes (E8020) are of both systems, and then the date decides.

Source of the date: 45 CFR 162.1002 (b) and (c): ICD-9-CM through 30 September 2015, ICD-10-CM and
ICD-10-PCS on and after 1 October 2015; CMS counts the day of discharge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CUTOVER, CUTOVER_YEAR = "2015-10-01", 2016
"""The first day of ICD-10-CM, and the fiscal year that it began (the US government's)."""

UNKNOWN_SYSTEM = "unknown_code_system"
"""The reason to reject a code whose row names an unknown system."""

_CLASHES = {9: "icd9_after_cutover", 10: "icd10_before_cutover"}
"""The reasons to reject a code whose system, by revision, wasn't in force."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RowCodes:
    """The codes of a column, row by row, with the facts that decide the system of each."""

    present: Mask
    """Whether the row has a code."""
    in_source: Mask
    """Whether the map has the code."""
    in_target: Mask
    """Whether it is a code of the target's system, of any release."""
    decided: Mask
    """Whether the site has decided on it, and it isn't a code of the map's source."""
    named: npt.NDArray[np.int8]
    """The revision of the ICD that the row names; 0 where it names something else, -1 nothing."""
    in_force: npt.NDArray[np.int16]
    """The revision in force at the row's date, of ICD-10 its fiscal year; -1 without a date."""


@dataclass(frozen=True)
class RowSystems:
    """The system of each row's code. A row with a code is in exactly one of the masks."""

    refused: dict[str, Mask]
    """By reason: the row names an unknown system, or one that wasn't in force at its date."""
    of_source: Mask
    of_target: Mask


def decide_systems(rows: RowCodes, source: int, target: int) -> RowSystems:
    """Decides of which system the code of each row is.

    Args:
        rows: The codes, with these facts.
        source: The revision of the system that the map translates from.
        target: The revision of the system that it translates to.

    Returns:
        Masks of the rows. A code that neither system has is of the source.
    """
    in_force = np.where(rows.in_force >= CUTOVER_YEAR, 10, rows.in_force)
    of_both = np.where(in_force > 0, in_force, source)
    by_code = np.where(rows.in_target, np.where(rows.in_source, of_both, target), source)
    revision = np.where(rows.named < 0, by_code, rows.named)
    nameless = rows.present & (rows.named == 0)
    named = rows.present & ~nameless
    # A code that only the site has is of neither system, so no date contradicts it.
    is_sure = (rows.named > 0) | (rows.in_source & ~rows.decided) | rows.in_target
    clash = named & is_sure & (in_force > 0) & (revision != in_force)
    of_target = named & ~clash & (revision == target)
    return RowSystems(
        refused={
            **{reason: clash & (revision == number) for number, reason in _CLASHES.items()},
            UNKNOWN_SYSTEM: nameless,
        },
        of_source=named & ~clash & ~of_target,
        of_target=of_target,
    )
