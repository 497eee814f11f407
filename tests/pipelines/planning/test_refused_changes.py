"""Which changes of a load are refused after rows of it were written, and which may be accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.planning.load_definition import definition
from pipelines.planning.refused_changes import find_differences, other_rows, refuse_changes
from schemas.specification.reading import read_specification
from schemas.specification.root import Specification
from tests.support.direct_calls.compiled_load import compile_one
from transforms.model.program import LoadProgram

COLUMNS = {"id": "integer", "a": "text", "b": "text"}
LOAD = "source_key: [id], key: [id], fields: {id: {from: id}, a: {from: a}}"
RULED = f"{LOAD}, rules: {{R: 'a is not null'}}"
MAPPED = "source_key: [id], key: [id], fields: {id: {from: id}, a: {from: a, map: m}}"
MAP = "maps: {m: {values: {x: y}}}"
COMPARED = (
    "source_key: [id], key: [a, b], duplicates: {order: [b]},"
    " fields: {id: {from: id}, a: {from: a}, b: {from: b}}"
)
SKIPPING = f"skip: {{OLD: \"b = 'x'\"}}, {LOAD}"

Compiled = tuple[Specification, LoadProgram]


def compiled(folder: Path, load: str, maps: str) -> Compiled:
    program = compile_one(folder, load, COLUMNS, COLUMNS, maps)
    return read_specification(folder / "specification.yaml", {}), program


def refused(before: Compiled, now: Compiled, accepted: bool) -> bool:
    """Whether the job may not go on with the changed load."""
    stored, present = definition(*before), definition(*now)
    differences = list(find_differences(stored, present))
    fields = stored["load"]["fields"]
    return bool(refuse_changes(*now, fields, differences, accepted, "transfuse reset SPEC"))


@pytest.mark.parametrize(
    ("before", "now", "acceptable"),
    [
        # How a field that nothing rests on gets its value.
        (LOAD, LOAD.replace("a: {from: a}", "a: {from: b}"), True),
        (LOAD, LOAD.replace("a: {from: a}", "a: {sql: 'upper(a)'}"), True),
        (LOAD, LOAD.replace("a: {from: a}", "a: {const: N}"), True),
        (LOAD, LOAD.replace("from: a}", "from: a, transform: [trim]}"), True),
        (LOAD, LOAD.replace("from: a}", "from: a, default: N}"), True),
        (LOAD, LOAD.replace("from: a}", "from: a, required: true}"), True),
        # Which fields there are.
        (LOAD, LOAD.replace("a: {from: a}}", "a: {from: a}, b: {from: b}}"), False),
        (LOAD, LOAD.replace(", a: {from: a}", ""), False),
        # Rules.
        (LOAD, RULED, True),
        (RULED, LOAD, True),
        (RULED, RULED.replace("is not null", "is null"), True),
        # What rows are known by, and what decides between them.
        (LOAD, LOAD.replace("key: [id], f", "key: [a], f"), False),
        (LOAD, LOAD.replace("id: {from: id}", "id: {sql: 'id + 1'}"), False),
        (COMPARED, COMPARED.replace("b: {from: b}", "b: {sql: 'upper(b)'}"), False),
        (COMPARED, COMPARED.replace("order: [b]", "order: [a]"), False),
        (COMPARED, COMPARED.replace("order", "keep: last, order"), False),
        (LOAD, LOAD.replace("source_key: [id]", "source_key: [a]"), False),
        # Which rows there are, and what becomes of rows that are there.
        (LOAD, SKIPPING, False),
        (SKIPPING, SKIPPING.replace("'x'", "'y'"), False),
        (LOAD, f"write: skip_existing, {LOAD}", False),
        (LOAD, f"defaults: {{blank: keep}}, {LOAD}", False),
    ],
)
def test_a_change_after_rows_were_written(
    before: str, now: str, acceptable: bool, tmp_path: Path
) -> None:
    old, new = compiled(tmp_path, before, ""), compiled(tmp_path, now, "")
    assert refused(old, new, accepted=False)
    assert refused(old, new, accepted=True) is not acceptable


@pytest.mark.parametrize(
    ("load", "acceptable"), [(MAPPED, True), (MAPPED.replace("key: [id], f", "key: [a], f"), False)]
)
def test_a_changed_map(load: str, acceptable: bool, tmp_path: Path) -> None:
    old = compiled(tmp_path, load, MAP)
    new = compiled(tmp_path, load, MAP.replace("x: y", "x: z"))
    assert refused(old, new, accepted=False)
    assert refused(old, new, accepted=True) is not acceptable


@pytest.mark.parametrize("more", ["limits: {memory: 1GB}", "errors: {budget: {rejected: 1}}", MAP])
def test_what_decides_about_no_row_may_change(more: str, tmp_path: Path) -> None:
    old, new = compiled(tmp_path, LOAD, ""), compiled(tmp_path, LOAD, more)
    assert not refused(old, new, accepted=False)


@pytest.mark.parametrize(
    ("now", "others"),
    [
        (LOAD, False),
        (LOAD.replace("from: a}", "from: a, default: N}"), False),
        (RULED, False),
        (SKIPPING, False),
        (LOAD.replace("source_key: [id]", "source_key: [a]"), True),
        (LOAD.replace("key: [id], f", "key: [a], f"), True),
        (LOAD.replace("a: {from: a}", "a: {generate: uuid5}"), True),
    ],
)
def test_source_keys_may_mean_other_rows(now: str, others: bool, tmp_path: Path) -> None:
    stored = definition(*compiled(tmp_path, LOAD, ""))
    specification, program = compiled(tmp_path, now, "")
    problems = other_rows(specification, program, stored, "transfuse reset SPEC")
    assert bool(problems) is others
