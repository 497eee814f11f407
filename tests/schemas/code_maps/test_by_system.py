"""Columns with codes of two systems, against the oracle that takes one code at a time."""

from __future__ import annotations

import pickle
import random
from typing import Any

import pyarrow as pa
import pytest

from schemas.code_maps.by_system import SystemTranslator
from schemas.code_maps.gem_file import packaged_gem
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import Repair
from schemas.code_maps.target_check import Outdated, target_check
from schemas.code_maps.translation import GemTranslator, Notation, Translation
from tests.oracle.translated_codes import packaged_map, reported_years, translate_by_system

GEM = packaged_gem("icd")
NINE = list(packaged_map()[0])
TEN = sorted(reported_years())
BOTH = [code for code in NINE if code in reported_years()]

COLUMNS = ("index", "target_code", "category", "flags", "cluster_seq", "source_code", "groups")


def translator(
    action: Outdated = Outdated.WARN,
    unknown_code: Any = "reject",
    notation: Notation = Notation.AS_SOURCE,
    **repair: bool,
) -> SystemTranslator:
    check, policy = target_check(GEM, action, None), GemPolicy(unknown_code=unknown_code)
    mending = Repair(**repair)
    made = GemTranslator(GEM, policy, notation, None, mending, check)
    return SystemTranslator(GEM, made, check, policy, notation, mending)


def spelled(code: str, chance: random.Random) -> str:
    place, dotted = chance.randrange(len(code) + 1), f"{code[:3]}.{code[3:]}"
    spellings = [code, code, dotted, dotted, dotted.lower(), f"{code[:place]}.{code[place:]}"]
    spellings += [code.rstrip("0"), code[:-1], f"{code},E11.9", f"{code[:4]}.{code[4:]}"]
    return chance.choice(spellings)


def some_rows(count: int) -> list[tuple[str | None, int | None, int | None]]:
    chance = random.Random(count)
    return [
        (
            chance.choice([spelled(chance.choice(chance.choice([NINE, TEN, BOTH])), chance), None]),
            chance.choice([None, None, 9, 10, 10, 0]),
            chance.choice([None, 9, 2016, 2017, 2020, 2023, 2026, 2031]),
        )
        for _ in range(count)
    ]


def reasons(batch: pa.RecordBatch) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in batch.to_pylist():
        found.setdefault(row["index"], []).append(row["reason"])
    return found


def translated(made: SystemTranslator, rows: list[Any]) -> Translation:
    codes, told, in_force = (list(column) for column in zip(*rows, strict=True))
    return made.translate(
        pa.array(codes, pa.string()), pa.array(told, pa.int8()), pa.array(in_force, pa.int16())
    )


def test_forty_nine_codes_are_of_both_systems() -> None:
    assert len(BOTH) == 49


@pytest.mark.slow
@pytest.mark.parametrize("action", Outdated)
@pytest.mark.parametrize(
    ("unknown_code", "notation", "repair"),
    [
        ("reject", Notation.AS_SOURCE, {}),
        ("keep_source", Notation.DOTTED, {"zeros": True}),
        ("reject", Notation.UNDOTTED, {"case": False, "dots": False}),
    ],
)
def test_it_agrees_with_the_oracle(
    action: Outdated, unknown_code: str, notation: Notation, repair: dict[str, bool]
) -> None:
    rows = some_rows(1_500)
    result = translated(translator(action, unknown_code, notation, **repair), rows)
    made: dict[int, list[tuple[Any, ...]]] = {}
    for index, *values in zip(*(result.column(c).to_pylist() for c in COLUMNS), strict=True):
        made.setdefault(index, []).append(tuple(values))
    rejected, warned, noted = map(reasons, (result.rejected, result.warned, result.noted))
    policy = {"unknown_code": unknown_code}
    for index, row in enumerate(rows):
        expected = translate_by_system(*row, policy, notation, {}, repair, action)
        against = [expected.reason] if expected.reason else []
        assert rejected.get(index, []) == ([] if expected.warning else against), row
        assert warned.get(index, []) == (against if expected.warning else []), row
        assert sorted(noted.get(index, [])) == sorted(expected.notes), row
        if index not in rejected:
            assert made[index] == [
                (t.target, t.category, t.flags, t.cluster_seq, t.source_code, t.groups)
                for t in expected.rows
            ], row


def test_codes_by_dictionary_with_null_among_them_and_empty_batches() -> None:
    made = pickle.loads(pickle.dumps(translator()))
    codes = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, None, 0], pa.int32()), pa.array(["E11.9", None])
    )
    result = made.translate(codes, pa.array([10] * 4, pa.int8()), pa.nulls(4, pa.int16()))
    assert result.column("target_code").to_pylist() == ["E11.9", None, None, "E11.9"]
    assert result.rejected.num_rows == 0
    empty = made.translate(
        pa.array([], pa.string()), pa.nulls(0, pa.int8()), pa.nulls(0, pa.int16())
    )
    assert empty.rows.num_rows == 0
