"""The order of loads: which run together, and which wait for which."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from schemas.specification.load_order import levels
from schemas.specification.reading import read_specification
from schemas.specification.root import Specification


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def specification(folder: Path, *loads: str) -> Specification:
    """A specification with these loads, each ``NAME: {...}``."""
    path = folder / "specification.yaml"
    lines = ["job: ordered", "source: {url: postgresql:///a}", "target: {url: postgresql:///b}"]
    path.write_text("\n".join([*lines, "tables:", *(f"  {load}" for load in loads)]))
    return read_specification(path, {})


def keyed(name: str, into: str, **fields: str) -> str:
    """A load into a table with the key ``id``, and further fields as in YAML."""
    others = "".join(f", {field}: {value}" for field, value in fields.items())
    identity = "" if "id" in fields else "id: {from: id}"
    columns = f"{identity}{others}" if identity else others.removeprefix(", ")
    return f"{name}: {{from: {name}, into: {into}, key: [id], fields: {{{columns}}}}}"


def of_site(name: str, site: str) -> str:
    """A load into ``people``, whose key has a constant."""
    fields = f"{{id: {{from: id}}, site: {{const: {site}}}}}"
    return f"{name}: {{from: {name}, into: people, key: [id, site], fields: {fields}}}"


PATIENTS = keyed("patients", "patients")
VISITS = keyed("visits", "visits", patient="{from: p, ref: patients}")
SKIPPED = keyed("notes", "notes", visit="{from: v, ref: visits}")


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        ([PATIENTS], [["patients"]]),
        ([PATIENTS, keyed("wards", "wards")], [["patients", "wards"]]),
        ([SKIPPED, VISITS, PATIENTS], [["patients"], ["visits"], ["notes"]]),
        # A tree's own reference is settled after the load: it needs nobody.
        (
            [keyed("wards", "wards", above="{from: a, ref: wards, deferred: true}")],
            [["wards"]],
        ),
        # Two loads into one table, which may write the same key: the earlier one first.
        ([keyed("new", "people"), keyed("old", "people")], [["new"], ["old"]]),
        # A constant in the key keeps their keys apart only where it differs.
        (
            [
                of_site("new", "N"),
                of_site("old", "O"),
            ],
            [["new", "old"]],
        ),
        (
            [
                of_site("new", "N"),
                of_site("old", "N"),
            ],
            [["new"], ["old"]],
        ),
        # Numbers of one sequence never repeat; other generated keys may.
        (
            [
                keyed("new", "people", id="{generate: sequence}"),
                keyed("old", "people", id="{generate: sequence}"),
            ],
            [["new", "old"]],
        ),
        (
            [
                keyed("new", "people", id="{generate: sequence}"),
                keyed("old", "people", id="{from: number}"),
            ],
            [["new"], ["old"]],
        ),
        # All loads into a table are parents of whoever refers to the table ...
        (
            [
                keyed("new", "people"),
                keyed("old", "people"),
                keyed("visits", "visits", person="{from: p, ref: people}"),
            ],
            [["new"], ["old"], ["visits"]],
        ),
        # ... and of the others into it and whoever refers to one, the order decides.
        (
            [
                keyed("new", "people"),
                keyed("visits", "visits", person="{from: p, ref: new}"),
                keyed("old", "people"),
            ],
            [["new"], ["visits"], ["old"]],
        ),
    ],
)
def test_levels_follow_from_the_specification(
    loads: list[str], expected: list[list[str]], folder: Path
) -> None:
    assert levels(specification(folder, *loads)) == expected


@pytest.mark.parametrize(
    ("foreign_keys", "expected"),
    [
        ([], [["visits", "patients"]]),
        ([("visits", "patients")], [["patients"], ["visits"]]),
        ([("visits", "visits")], [["visits", "patients"]]),
        # Of a circle of foreign keys the order of the specification decides.
        ([("visits", "patients"), ("patients", "visits")], [["visits"], ["patients"]]),
    ],
)
def test_levels_follow_from_foreign_keys(
    foreign_keys: Collection[tuple[str, str]], expected: list[list[str]], folder: Path
) -> None:
    loads = [keyed("visits", "visits"), PATIENTS]
    assert levels(specification(folder, *loads), foreign_keys) == expected


def test_a_reference_outweighs_a_foreign_key(folder: Path) -> None:
    loads = specification(folder, VISITS, PATIENTS)
    assert levels(loads, [("patients", "visits")]) == [["patients"], ["visits"]]
