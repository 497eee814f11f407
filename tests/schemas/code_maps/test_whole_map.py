"""Every code of the files of CMS for fiscal year 2018 through the translator, held against the
file's lines: where it belongs, what is written of it, and that nothing else is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.code_maps.code_system import ICD10CM
from schemas.code_maps.gem_file import read_gem
from schemas.code_maps.packaged_codes import packaged_release
from schemas.code_maps.policy import CodeAction, GemPolicy
from schemas.code_maps.target_check import Outdated, TargetCheck, target_check
from schemas.code_maps.translation import GemTranslator

Alternatives = dict[tuple[str, str, str], list[str]]
"""Targets by combination flag, scenario and choice list."""

Rows = dict[str, list[tuple[Any, ...]]]
"""Target, category and position in its cluster of each row of a source code."""

Reasons = dict[str, str]
"""The reason against a source code."""

CATEGORIES = {
    "exact": 3_521,
    "approximate": 7_244,
    "choice": 2_712,
    "cluster": 305,
    "cluster_choice": 297,
    "scenarios": 61,
    "mixed": 5,
    "no_map": 422,
}
"""Of the 14,567 source codes of 2018_I9gem.txt, as a classification of its own counts them."""

REASONS = {"choice": 2_712 + 297 + 61 + 5, "no_map": 422}


def lines_of(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Target and flags of each source code."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in path.read_text("ascii").splitlines():
        source, target, flags = line.split()
        found.setdefault(source, []).append((target, flags))
    return found


def translated(
    path: Path, policy: GemPolicy, check: TargetCheck | None = None
) -> tuple[Rows, Reasons, Reasons, Reasons]:
    """For each source code its rows (target, category, seq), and the reasons for and against it."""
    codes = list(lines_of(path))
    result = GemTranslator(read_gem("icd", path), policy, check=check).translate(pa.array(codes))
    rows: Rows = {code: [] for code in codes}
    names = ("index", "target_code", "category", "cluster_seq")
    for index, *row in zip(*(result.column(n).to_pylist() for n in names), strict=True):
        rows[codes[index]].append(tuple(row))
    rejected, warned, noted = (
        {codes[row["index"]]: row["reason"] for row in batch.to_pylist()}
        for batch in (result.rejected, result.warned, result.noted)
    )
    return rows, rejected, warned, noted


@pytest.fixture
def diagnoses(shared_data: Path) -> Path:
    return shared_data / "gems" / "2018_I9gem.txt"


def test_each_code_lands_in_its_category(diagnoses: Path) -> None:
    kept = dict.fromkeys(("approximate", "cluster", "choice", "no_map"), "keep_source")
    rows, rejected, warned, _ = translated(diagnoses, GemPolicy.model_validate(kept))
    assert len(rows) == 14_567
    assert Counter(found[0][1] for found in rows.values()) == CATEGORIES
    assert rejected == {}
    assert Counter(warned.values()) == {**REASONS, "approximate": 7_244, "cluster": 305}


def test_what_the_policy_rejects_is_not_translated_and_nothing_else_is_rejected(
    diagnoses: Path,
) -> None:
    rows, rejected, warned, noted = translated(diagnoses, GemPolicy())
    assert Counter(rejected.values()) == REASONS
    assert warned == noted == {}
    for code, found in rows.items():
        assert (found == [(None, None, 1)]) == (code in rejected), code


def test_each_translation_is_that_of_the_file(diagnoses: Path) -> None:
    lines = lines_of(diagnoses)
    rows, rejected, _, _ = translated(diagnoses, GemPolicy())
    clusters = 0
    for code, found in rows.items():
        if code in rejected:
            continue
        (category,) = {category for _, category, _ in found}
        assert [seq for _, _, seq in found] == list(range(1, len(found) + 1))
        targets = [target for target, _, _ in found]
        if category == "cluster":
            # One code of every choice list of the one scenario: all of them, none twice.
            clusters += 1
            assert {flags[2] for _, flags in lines[code]} == {"1"}
            assert len({flags[3] for _, flags in lines[code]}) == 1
            assert len({flags[4] for _, flags in lines[code]}) == len(lines[code]) == len(targets)
            by_list = sorted(lines[code], key=lambda line: line[1][4])
            assert targets == [target for target, _ in by_list]
        else:
            ((target, flags),) = lines[code]
            assert targets == [target]
            assert category == {"0": "exact", "1": "approximate"}[flags[0]]
    assert clusters == 305


@pytest.mark.parametrize(
    "name",
    [
        "2018_I9gem.txt",
        pytest.param("gem_i9pcs.txt", marks=pytest.mark.slow),
        pytest.param("2018_I10gem.txt", marks=pytest.mark.slow),
    ],
)
def test_expanded_alternatives_are_all_targets_of_the_file_and_each_once(
    shared_data: Path, name: str
) -> None:
    path = shared_data / "gems" / name
    rows, rejected, _, _ = translated(path, GemPolicy(choice=CodeAction.EXPAND))
    assert set(rejected.values()) == {"no_map"}
    for code, lines in lines_of(path).items():
        if code not in rejected:
            targets = [target for target, _, _ in rows[code]]
            assert sorted(targets) == sorted({target.upper() for target, _ in lines}), code


def test_outdated_targets_are_told_by_a_release(diagnoses: Path) -> None:
    gem = read_gem("icd", diagnoses)
    valid = set(packaged_release(ICD10CM, 2024).codes.to_pylist())
    lines = lines_of(diagnoses)
    accepted, rejected, _, _ = translated(diagnoses, GemPolicy())
    outdated = {
        code for code in accepted if code not in rejected and {t for t, _ in lines[code]} - valid
    }
    assert len(target_check(gem, Outdated.WARN, 2024).outdated) == 167
    assert len(outdated) == 173

    rows, rejected_now, _, noted = translated(
        diagnoses, GemPolicy(), target_check(gem, Outdated.WARN, 2024)
    )
    assert (rows, rejected_now) == (accepted, rejected)
    assert noted == dict.fromkeys(outdated, "outdated_target")

    _, rejected_now, _, noted = translated(
        diagnoses, GemPolicy(), target_check(gem, Outdated.REJECT, 2024)
    )
    assert noted == {}
    assert rejected_now == {**rejected, **dict.fromkeys(outdated, "outdated_target")}


def test_a_release_of_ones_own(diagnoses: Path, tmp_path: Path) -> None:
    gem = read_gem("icd", diagnoses)
    release = tmp_path / "icd10cm-codes.txt"
    release.write_text("A00.0  Cholera\nA001\n")
    check = target_check(gem, Outdated.REJECT, release)
    rows, rejected, _, _ = translated(diagnoses, GemPolicy(), check)
    assert {code for code in rows if code not in rejected} == {"0010", "0011"}
