"""Reading codes that aren't written as they should be, over the whole of a map."""

from __future__ import annotations

import itertools
import random

import pyarrow as pa
import pytest

from schemas.code_maps.code_system import ICD9CM
from schemas.code_maps.gem_file import packaged_gem
from schemas.code_maps.spelling import Repair, Speller
from tests.oracle.damaged_codes import published_procedures, read

CODES: list[str] = packaged_gem("icd").codes.column("source_code").to_pylist()
KNOWN = pa.array(CODES)

Told = tuple[str, "str | None", tuple[str, ...]]
"""The code as it is looked up, why it is none, and what was repaired."""


def readings(cells: list[str], **repair: bool) -> list[Told]:
    found = Speller(KNOWN, ICD9CM, Repair(**repair)).read(pa.array(cells, pa.string()))
    return [
        (
            code,
            "ambiguous_code" if ambiguous else "several_codes" if several else None,
            tuple(reason for reason, mask in found.repaired.items() if mask[place]),
        )
        for place, (code, ambiguous, several) in enumerate(
            zip(found.codes.to_pylist(), found.ambiguous, found.several, strict=True)
        )
    ]


@pytest.mark.parametrize(
    ("cell", "code", "unclear", "repairs"),
    [
        # As they should be.
        ("401.9", "4019", None, ""),
        (" 4019\t", "4019", None, ""),
        ("486.", "486", None, ""),
        # Small letters.
        ("v12.59", "V1259", None, "repaired_case"),
        ("e880.0", "E8800", None, "repaired_case"),
        ("nodx", "NODX", None, ""),
        # Blanks of Unicode, without a width too, and the byte order mark.
        ("\u00a0401.9\u200b", "4019", None, ""),
        ("\ufeff\u2060V12.59\u3000", "V1259", None, ""),
        # The dot is somewhere else, and no other code can be meant.
        ("2500.0", "25000", None, "repaired_dot"),
        ("5990.", "5990", None, "repaired_dot"),
        ("4019.", "4019", None, "repaired_dot"),
        (".4019", "4019", None, "repaired_dot"),
        ("V1.259", "V1259", None, "repaired_dot"),
        ("e8.800", "E8800", None, "repaired_case repaired_dot"),
        ("40.1.9", "40.1.9", None, ""),
        # 098.31 without its zero, or 983.1.
        ("98.31", "98.31", "ambiguous_code", ""),
        # Procedure codes as they stand, and with a zero in front that is lost.
        ("40.19", "40.19", "ambiguous_code", ""),
        ("18.5", "18.5", "ambiguous_code", ""),
        ("4.12", "4.12", "ambiguous_code", ""),
        ("00.01", "00.01", None, ""),
        # By its dot this is a code of ICD-10-CM (and E880.1 another thing).
        ("E88.01", "E88.01", None, ""),
        # Numbers are taken as they stand, and zeros aren't added.
        ("9831", "9831", None, ""),
        ("98.3", "98.3", None, ""),
        ("8.5", "8.5", None, ""),
        ("250.0", "2500", None, ""),
        # Parents of longer codes.
        ("041.4", "0414", None, ""),
        ("V85.4", "V854", None, ""),
        # Several codes.
        ("253.2, E23.0", "253.2, E23.0", "several_codes", ""),
        ("4019;25000", "4019;25000", "several_codes", ""),
        ("401.9 / 250.00 / 486", "401.9 / 250.00 / 486", "several_codes", ""),
        ("401.9 250.00", "401.9 250.00", "several_codes", ""),
        ("401.9,", "401.9,", None, ""),
        ("250 00", "250 00", None, ""),
        ("401.9, see chart", "401.9, SEE CHART", None, ""),
    ],
)
def test_how_a_cell_is_read(cell: str, code: str, unclear: str | None, repairs: str) -> None:
    assert readings([cell]) == [(code, unclear, tuple(repairs.split()))]


@pytest.mark.parametrize(
    ("cell", "code", "unclear", "repairs"),
    [
        # With its dot a number says how many zeros it has lost.
        ("8.5", "0085", None, "repaired_zero"),
        ("1.0", "0010", None, "repaired_zero"),
        ("98.31", "98.31", "ambiguous_code", ""),
        ("983.1", "9831", None, ""),
        # Without, it may be another code as it stands.
        ("9831", "9831", "ambiguous_code", ""),
        ("4019", "4019", None, ""),
        ("85", "85", "ambiguous_code", ""),
        # 010 is a category, 0010 a code; 085 and 0085 likewise.
        ("10", "10", "ambiguous_code", ""),
        # 250.0 is the category of 250.00 and others; 041.4 has no code that ends in 0.
        ("250.0", "2500", "ambiguous_code", ""),
        ("041.4", "0414", None, ""),
    ],
)
def test_where_zeros_may_be_lost(cell: str, code: str, unclear: str | None, repairs: str) -> None:
    assert readings([cell], zeros=True) == [(code, unclear, tuple(repairs.split()))]


def test_what_is_repaired_can_be_chosen() -> None:
    assert readings(["v12.59", "2500.1"], case=False) == [
        ("v12.59", None, ()),
        ("25001", None, ("repaired_dot",)),
    ]
    assert readings(["v12.59", "2500.1"], dots=False) == [
        ("V1259", None, ("repaired_case",)),
        ("2500.1", None, ()),
    ]


@pytest.mark.parametrize("zeros", [False, True])
def test_no_procedure_code_with_its_dot_becomes_a_diagnosis(zeros: bool) -> None:
    cells = sorted(published_procedures())
    assert len(cells) == 3_882
    read_as = readings(cells, zeros=zeros)
    assert not {code for code, _, _ in read_as} & set(CODES)
    assert not [repairs for _, _, repairs in read_as if repairs]


@pytest.mark.parametrize("zeros", [False, True])
def test_no_heading_of_procedures_with_its_dot_becomes_a_diagnosis(zeros: bool) -> None:
    """Such as 48.6, a resection of the rectum: 486 is pneumonia."""
    headings = sorted({cell[:4] for cell in published_procedures()})
    assert "48.6" in headings
    read_as = readings(headings, zeros=zeros)
    assert not [repairs for _, _, repairs in read_as if repairs]
    assert not {code for code, _, _ in read_as} & set(CODES)


def test_a_code_that_begins_with_zero_has_lost_none() -> None:
    short = [code for code in CODES if code.startswith("0") and f"0{code}" in CODES]
    assert len(short) == 25
    assert readings(short, zeros=True) == [(code, None, ()) for code in short]
    assert readings(["42"], zeros=True) == [("42", "ambiguous_code", ())]


def test_every_code_as_it_is_published_is_read_as_itself() -> None:
    expected = [(code, None, ()) for code in CODES]
    assert readings(CODES) == expected
    assert readings([ICD9CM.with_dot(code) for code in CODES]) == expected


def test_a_lost_zero_in_front_is_never_guessed() -> None:
    """What is left of each code that begins with 0 is it, or is ambiguous, or stays as it is."""
    lost = [code for code in CODES if code.startswith("0")]
    cells = [code.lstrip("0") for code in lost]
    valid = set(CODES)
    for code, cell, (read_as, unclear, repairs) in zip(
        lost, cells, readings(cells, zeros=True), strict=True
    ):
        if cell in valid:
            assert unclear == "ambiguous_code"
        elif repairs:
            assert read_as == code
    assert [r for r in readings(cells) if r[2]] == []


def some_cells() -> list[str]:
    chance = random.Random(9)
    cells = ["253.2,E23.0", "E88.01", "", ".", "X", "8."]
    for code in chance.sample(CODES, 700):
        place = chance.randrange(7)
        dotted = f"{code[:3]}.{code[3:]}"
        cells += [code, dotted, f"{code[:place]}.{code[place:]}", f" {code[:4]}.{code[4:]}".lower()]
        cells += [code.lstrip("0"), code.rstrip("0"), dotted.strip("0"), dotted.rstrip("0")]
        cells += [code[:3], code[:4], code[1:], f"{code};401.9"]
    alphabet = "0123456789EV.v, "
    cells += ["".join(chance.choices(alphabet, k=chance.randrange(8))) for _ in range(2_000)]
    return list(dict.fromkeys(cells))


@pytest.mark.slow
@pytest.mark.parametrize("repair", list(itertools.product([True, False], repeat=3)))
def test_cells_are_read_as_by_looking_for_every_spelling_of_every_code(
    repair: tuple[bool, bool, bool],
) -> None:
    cells = some_cells()
    asked = dict(zip(("case", "dots", "zeros"), repair, strict=True))
    known = frozenset(CODES)
    expected = [tuple(read(cell, known, asked)) for cell in cells]
    assert readings(cells, **asked) == expected
