"""What becomes of a child, by what became of its parent and by what the specification decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.column_types import ColumnType
from tests.support.direct_calls.compiled_load import compile_one, rows_of
from transforms.mapping.loaded_maps import Maps
from transforms.mapping.stages import map_fields
from transforms.model.parent_reference import Reference
from transforms.references.check import check_references

ARRIVED, SKIPPED, REJECTED, BOTH, SIMILAR = "1", "2", "3", "4", "5"
"""Keys of parents: two candidates had the fourth, of which one was skipped, the other rejected;
the fifth is spelled otherwise in the target."""
UNKNOWN = "9"


@dataclass(frozen=True)
class Family:
    """The parents of these keys."""

    def contains(self, _: Reference, values: pa.Array, child: ColumnType) -> pa.Array:
        del child
        return _each(values, lambda key: key == int(ARRIVED), pa.bool_())

    def target_keys(self, _: Reference, source_keys: pa.Array) -> pa.Array:
        return _each(source_keys, lambda key: key if key == ARRIVED else None, pa.string())

    def ambiguous(self, _: Reference, source_keys: pa.Array) -> pa.Array:
        return pa.repeat(False, len(source_keys))

    def skipped(self, _: Reference, keys: pa.Array) -> pa.Array:
        return _each(keys, lambda key: key in (SKIPPED, BOTH), pa.bool_())

    def root_causes(self, _: Reference, keys: pa.Array) -> pa.Array:
        return _each(keys, lambda key: {REJECTED: "30", BOTH: "40"}.get(str(key)), pa.string())

    def differences(self, _: Reference, keys: pa.Array) -> pa.Array:
        return _each(keys, lambda key: "case" if key == SIMILAR else None, pa.string())

    def columns(self, _: Reference, values: pa.Array) -> pa.Table:
        born = _each(values, lambda key: 1950 if key == int(ARRIVED) else None, pa.int32())
        return pa.table({"born": born})


def _each(keys: pa.Array, answer: Callable[[object], object], kind: pa.DataType) -> pa.Array:
    return pa.array([None if key is None else answer(key) for key in keys.to_pylist()], kind)


Outcome = tuple[int | None, str | None, str | None, str | None]
"""The value of the child's field, its skip, and reason and root cause of its violation."""


def outcomes(folder: Path, reference: str, keys: Sequence[str | None]) -> list[Outcome]:
    columns = {"p": "text"}
    field = f"p: {{from: p, ref: parents, {reference}}}"
    program = compile_one(
        folder, f"fields: {{{field}}}", columns, {"p": "integer"}, "",
        {"id": "integer", "born": "integer"},
    )  # fmt: skip
    rows, _ = rows_of(program, {"p": keys})
    rows, _ = map_fields(rows, program, Maps())
    rows, violations = check_references(rows, program, Family())
    made: list[Outcome] = [
        (value, skip, None, None)
        for value, skip in zip(
            rows.column("out.p").to_pylist(), rows.column("_skip").to_pylist(), strict=True
        )
    ]
    for violation in violations.to_pylist():
        value, skip, *_ = made[violation["_ordinal"]]
        reason = f"{violation['reason']}{' (warning)' if violation['warning'] else ''}"
        made[violation["_ordinal"]] = (value, skip, reason, violation["root_cause"])
    return made


@pytest.mark.parametrize(
    ("reference", "key", "expected"),
    [
        ("on_missing: reject", ARRIVED, (1, None, None, None)),
        ("on_missing: reject", None, (None, None, None, None)),
        ("on_missing: reject", UNKNOWN, (9, None, "missing_parent", None)),
        ("on_missing: reject", REJECTED, (3, None, "parent_rejected", "30")),
        ("on_missing: reject", SIMILAR, (5, None, "case", None)),
        ("on_missing: set_null", UNKNOWN, (None, None, "set_null (warning)", None)),
        ("on_missing: set_null", REJECTED, (None, None, "set_null (warning)", None)),
        ("on_missing: allow", UNKNOWN, (9, None, None, None)),
        ("on_missing: placeholder", UNKNOWN, (9, None, "placeholder (warning)", None)),
        # Children of skipped parents.
        ("on_skipped: skip", SKIPPED, (2, "p.ref", None, None)),
        ("on_skipped: reject", SKIPPED, (2, None, "parent_skipped", None)),
        ("on_skipped: skip, on_missing: set_null", SKIPPED, (2, "p.ref", None, None)),
        ("on_skipped: skip", UNKNOWN, (9, None, "missing_parent", None)),
        # What was rejected names the cause, even if another candidate of the key was skipped.
        ("on_skipped: skip", BOTH, (4, None, "parent_rejected", "40")),
        ("on_skipped: reject", BOTH, (4, None, "parent_rejected", "40")),
        ("on_skipped: skip, on_missing: set_null", BOTH, (None, None, "set_null (warning)", None)),
    ],
)
def test_a_child(reference: str, key: str | None, expected: Outcome, tmp_path: Path) -> None:
    # Whatever becomes of a child, its neighbour is none the worse for it.
    assert outcomes(tmp_path, reference, [ARRIVED, key]) == [(1, None, None, None), expected]
