"""The steps of a field: value, transform, map, type, default, required; and who fails with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.direct_calls.compiled_load import STARTED_AT, compile_one, compute

NOBODY: list[tuple[int, str, str]] = []

SEXES = "maps: {sexes: {values: {m: male, f: female}}}"
LENIENT = "maps: {sexes: {values: {m: male, f: female}, on_unmapped: {default: other}}}"
KEEPING = "maps: {sexes: {values: {m: male, f: female}, on_unmapped: keep}}"
NULLING = "maps: {sexes: {values: {m: male, f: female}, on_unmapped: set_null}}"

NO_VALUE, UNMAPPED = [(1, "DATA-001", "x.required")], [(1, "TRANS-002", "x.map")]
UNREADABLE = [(1, "DATA-003", "x.type")]


@pytest.mark.parametrize(
    ("field", "maps", "source", "values", "target", "expected", "violations"),
    [
        # Columns as they are, and what counts as missing.
        ("{from: v}", "", "text", ["a", None], "text", ["a", None], NOBODY),
        ("{from: v}", "", "text", ["a", "  "], "text", ["a", None], NOBODY),
        ("{from: v, required: true}", "", "text", ["a", " "], "text", ["a", None], NO_VALUE),
        ("{from: v, required: true}", "", "integer", [1, None], "bigint", [1, None], NO_VALUE),
        ("{const: N}", "", "text", ["a", None], "text", ["N", "N"], NOBODY),
        ("{system: job}", "", "text", ["a"], "text", ["compiled"], NOBODY),
        # A default comes after conversion, and satisfies required.
        ("{from: v, default: b}", "", "text", ["a", None], "text", ["a", "b"], NOBODY),
        (
            "{from: v, default: 7, required: true}", "", "text", ["1", ""], "integer", [1, 7],
            NOBODY,
        ),
        # A failure isn't a missing value: no default replaces it.
        ("{from: v, default: 7}", "", "text", ["1", "x"], "integer", [1, None], UNREADABLE),
        ("{from: v}", "", "text", ["1", "5.7"], "integer", [1, None], UNREADABLE),
        ("{from: v}", "", "numeric", ["1", "5.7"], "integer", [1, None], UNREADABLE),
        ("{from: v}", "", "bigint", [1, 2**40], "integer", [1, None], UNREADABLE),
        ("{from: v, on_error: set_null}", "", "text", ["1", "x"], "integer", [1, None], UNREADABLE),
        # Maps: NULL stays NULL; the map's own default is for values that it lacks.
        ("{from: v, map: sexes}", SEXES, "text", ["m", "f"], "text", ["male", "female"], NOBODY),
        ("{from: v, map: sexes}", SEXES, "text", ["m", "x"], "text", ["male", None], UNMAPPED),
        ("{from: v, map: sexes}", SEXES, "text", ["m", None], "text", ["male", None], NOBODY),
        ("{from: v, map: sexes}", LENIENT, "text", ["x", None], "text", ["other", None], NOBODY),
        ("{from: v, map: sexes}", KEEPING, "text", ["m", "x"], "text", ["male", "x"], NOBODY),
        ("{from: v, map: sexes}", NULLING, "text", ["m", "x"], "text", ["male", None], UNMAPPED),
        (
            "{from: v, transform: [lower], map: sexes}", SEXES, "text", ["M", "F"], "text",
            ["male", "female"], NOBODY,
        ),
        # Transformations run in the order in which they are written.
        ("{from: v, transform: [trim, upper]}", "", "text", [" a ", None], "text", ["A", None],
         NOBODY),
        # Expressions that raise.
        (
            "{sql: '10 // v'}", "", "integer", [5, None], "integer", [2, None], NOBODY,
        ),
        (
            "{sql: 'CAST(v AS INTEGER)'}", "", "text", ["5", "x"], "integer", [5, None],
            [(1, "TRANS-005", "x.sql")],
        ),
    ],
)  # fmt: skip
def test_a_field(
    field: str,
    maps: str,
    source: str,
    values: list[object],
    target: str,
    expected: list[object],
    violations: list[tuple[int, str, str]],
    tmp_path: Path,
) -> None:
    program = compile_one(tmp_path, f"fields: {{x: {field}}}", {"v": source}, {"x": target}, maps)
    rows, reported = compute(program, {"v": values})
    assert rows.column("out.x").to_pylist() == expected
    assert reported == violations


@pytest.mark.parametrize("first", ["x", "y"])
def test_a_field_that_reads_a_failed_one_fails_without_a_violation_of_its_own(
    first: str, tmp_path: Path
) -> None:
    fields = {"x": "x: {from: v}", "y": "y: {sql: 'out.x + 1', required: true}"}
    order = [fields[first], *(text for name, text in fields.items() if name != first)]
    program = compile_one(
        tmp_path, f"fields: {{{', '.join(order)}}}", {"v": "text"},
        {"x": "integer", "y": "integer"},
    )  # fmt: skip
    rows, reported = compute(program, {"v": ["1", "x", ""]})
    assert rows.column("out.y").to_pylist() == [2, None, None]
    assert sorted(reported) == [(1, "DATA-003", "x.type"), (2, "DATA-001", "y.required")]


def test_fields_are_computed_after_those_that_they_read_however_long_the_chain(
    tmp_path: Path,
) -> None:
    chain = [f"f{n}: {{sql: 'out.f{n - 1} + 1'}}" for n in range(5, 0, -1)]
    program = compile_one(
        tmp_path, f"fields: {{{', '.join(chain)}, f0: {{from: v}}}}", {"v": "integer"},
        {f"f{n}": "integer" for n in range(6)},
    )  # fmt: skip
    rows, reported = compute(program, {"v": [10]})
    assert [rows.column(f"out.f{n}")[0].as_py() for n in range(6)] == [10, 11, 12, 13, 14, 15]
    assert reported == NOBODY


def test_skips_and_rules_take_null_for_neither(tmp_path: Path) -> None:
    program = compile_one(
        tmp_path,
        "skip: {OLD: 'v = 1'}, fields: {x: {from: v}}, rules: {small: 'out.x < 1'}",
        {"v": "integer"}, {"x": "integer"},
    )  # fmt: skip
    rows, reported = compute(program, {"v": [0, 1, 2, None]})
    assert rows.column("_skip").to_pylist() == [None, "OLD", None, None]
    # The violations of a skipped row are removed when its partition is committed.
    assert [violation for violation in reported if violation[0] != 1] == [(2, "DATA-001", "small")]


def test_the_moment_at_which_the_job_began_is_the_same_in_every_row(tmp_path: Path) -> None:
    program = compile_one(
        tmp_path, "fields: {x: {system: started_at}}", {"v": "text"}, {"x": "timestamptz"}
    )
    rows, _ = compute(program, {"v": ["a", "b"]})
    assert {moment.isoformat() for moment in rows.column("out.x").to_pylist()} == {STARTED_AT}
