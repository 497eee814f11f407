"""The checks within a specification, each by a specification that fails it."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import TransfuseError
from schemas.specification.reading import read_specification

ONE_SOURCE = "source: {url: postgresql:///a}"
TWO_SOURCES = "sources: {old: {url: postgresql:///a}, files: {path: exports, format: csv}}"
GEM = "icd: {gem: icd9_to_icd10}"
CSV = "sexes: {csv: sexes.csv}"


def problems_of(
    folder: Path, tables: str, maps: str = "", sources: str = ONE_SOURCE
) -> list[tuple[str, str]]:
    """Where a specification has problems, and the message of each."""
    (folder / "sexes.csv").write_text("source,target\nm,male\n")
    path = folder / "specification.yaml"
    path.write_text(
        f"job: checked\n{sources}\ntarget: {{url: postgresql:///b}}\n"
        + (f"maps: {{{maps}}}\n" if maps else "")
        + f"tables:\n{tables}\n"
    )
    try:
        read_specification(path, {})
    except TransfuseError as error:
        return [(p.where.rpartition(" ")[2], p.message) for p in error.problems]
    return []


def names(problems: list[tuple[str, str]], where: str, message: str) -> bool:
    """Whether one of the problems is at this place (its end suffices) and has this message."""
    return any(place.endswith(where) and message in text for place, text in problems)


def load(fields: str, more: str = "key: [id], ", name: str = "a") -> str:
    return f"  {name}: {{from: {name}, {more}fields: {{id: {{from: id}}{fields}}}}}"


def with_field(field: str, more: str = "key: [id], ") -> str:
    return load(f", x: {field}", more)


@pytest.mark.parametrize(
    ("tables", "maps", "where", "message"),
    [
        (load("", "key: [no], "), "", "tables.a.key.0", "'no' is not among the fields"),
        (load("", "write: upsert, "), "", "tables.a.write", "'write: upsert' needs a 'key'"),
        (load("", "write: skip_existing, "), "", "tables.a.write", "needs a 'key'"),
        (load("", "duplicates: {keep: last}, "), "", "tables.a.duplicates", "needs a 'key'"),
        (load("", "copy: [id], "), "", "tables.a", "'id' is filled twice"),
        (
            with_field("{from: x, map: icd, into: {id: category}}"),
            GEM,
            "tables.a",
            "'id' is filled twice",
        ),
        (
            with_field("{generate: sequence}", "key: [id], write: upsert, "),
            "",
            "tables.a.fields.x.generate",
            "an upsert would give rows",
        ),
        (with_field("{from: x, transform: [trin]}"), "", "fields.x.transform.0", "'trin'"),
        (with_field("{from: x, type: numeric(}"), "", "fields.x.type", "numeric("),
        (
            load("").replace("{from: id}", "{from: id, on_error: set_null}"),
            "",
            "fields.id.on_error",
            "part of the key",
        ),
        (with_field("{from: x, map: other}"), GEM, "fields.x.map", "there is no map 'other'"),
        (with_field("{from: x, map: sexes, coded_in: y}"), CSV, "fields.x.coded_in", "GEM map"),
        (with_field("{from: x, map: icd, into: {y: nothing}}"), GEM, "into.y", "'nothing'"),
        (with_field("{from: [x, y], map: icd}"), GEM, "fields.x.from", "several columns"),
        (with_field("{from: x, ref: nobody}"), "", "fields.x.ref", "'nobody'"),
        (with_field("{from: x, ref: a}"), "", "fields.x.ref", "second pass"),
        (
            with_field("{from: x, ref: a, deferred: true, on_missing: {placeholder: {y: 1}}}"),
            "",
            "fields.x.ref",
            "neither 'placeholder' nor 'take'",
        ),
        (
            load("").replace("{from: id}", "{from: id, ref: a, deferred: true}"),
            "",
            "fields.id.ref",
            "part of the key",
        ),
        (
            with_field(
                "{from: x, ref: a, deferred: true, on_missing: reject}",
                "key: [id], write: upsert, ",
            ),
            "",
            "fields.x.on_missing",
            "can't be taken back",
        ),
        (
            with_field("{from: x, ref: b, deferred: true}") + "\n" + load("", name="b"),
            "",
            "fields.x.deferred",
            "for a reference to its own table",
        ),
        (
            with_field("{from: x, ref: b}") + "\n" + load(", y: {from: y}", "key: [id, y], ", "b"),
            "",
            "fields.x.ref",
            "its key has 2 columns",
        ),
        (
            load(", x: {from: x, ref: b}") + "\n" + load(", y: {from: y, ref: a}", name="b"),
            "",
            "fields.x.ref",
            "circle: a -> b -> a",
        ),
        (
            with_field(
                "{from: x, required: true, rule: same}", "key: [id], rules: {same: 'x > 1'}, "
            ),
            "",
            "rules.same",
            "the name of a field's required check",
        ),
    ],
)
def test_each_check_names_its_place(
    tables: str, maps: str, where: str, message: str, tmp_path: Path
) -> None:
    problems = problems_of(tmp_path, tables, maps)
    assert [place for place, text in problems if message in text and place.endswith(where)], (
        problems
    )
    assert len(problems) == 1, problems


@pytest.mark.parametrize(
    ("tables", "where", "message"),
    [
        (load(""), "tables.a.from", "each load says which one it reads"),
        (
            load("").replace("from: a,", "from: {source: new, table: a},"),
            "tables.a.from.source",
            "there is no source 'new'",
        ),
        (
            load("").replace(
                "from: a,", "from: [{source: old, table: a}, {source: files, file: b.csv}],"
            ),
            "tables.a.from.1",
            "a load reads from one source",
        ),
        (
            load("", "key: [id], partition: id, ").replace(
                "from: a,", "from: {source: files, file: b.csv},"
            ),
            "tables.a.partition",
            "files are divided without",
        ),
    ],
)
def test_checks_of_several_sources(tables: str, where: str, message: str, tmp_path: Path) -> None:
    problems = problems_of(tmp_path, tables, sources=TWO_SOURCES)
    assert [place for place, text in problems if message in text and place.endswith(where)], (
        problems
    )


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    tables = with_field("{from: x, ref: nobody}", "key: [no], ")
    assert len(problems_of(tmp_path, tables)) == 2


def test_a_consistent_specification_has_no_problems(tmp_path: Path) -> None:
    tables = with_field("{from: x, map: icd, into: {y: category}}") + "\n" + load("", name="b")
    assert problems_of(tmp_path, tables, GEM) == []


def test_defaults_are_those_of_the_readme(tmp_path: Path) -> None:
    path = tmp_path / "specification.yaml"
    path.write_text(
        f"{ONE_SOURCE}\njob: j\ntarget: {{url: postgresql:///b}}\ntables:\n{load('')}\n"
    )
    specification = read_specification(path, {})
    assert specification.limits.retry.attempts == 3
    assert specification.errors.budget.min_rows == 1000
