from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from demo import fill_databases
from demo.tables import Hospital
from demo.truth import Truth, make_hospital
from schemas.specification.reading import read_specification

DEMO = Path(fill_databases.__file__).parent


@pytest.fixture(scope="module")
def made() -> tuple[Hospital, Truth]:
    return make_hospital(300, 9)


def test_the_databases_hold_the_rows_that_were_made(
    new_database: Callable[[], str], made: tuple[Hospital, Truth]
) -> None:
    hospital, truth = made
    legacy, target = new_database(), new_database()
    assert fill_databases.identity_in(legacy) is None

    identity = fill_databases.Identity.of(300, 9)
    fill_databases.fill_legacy(legacy, hospital, truth, identity)
    fill_databases.fill_target(target, hospital)

    assert fill_databases.identity_in(legacy) == identity
    with psycopg.connect(legacy) as connection:
        for table in hospital.legacy_tables:
            rows = connection.execute(
                f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {table.key}"
            ).fetchall()
            made_rows = [tuple(row.values()) for row in table.to_arrow().to_pylist()]
            assert rows == sorted(made_rows, key=lambda row: row[0])
        count = "SELECT count(*) FROM truth.violations"
        assert connection.execute(count).fetchone() == (truth.violations.num_rows,)
    with psycopg.connect(target) as connection:
        there = connection.execute("SELECT patient_id FROM patients ORDER BY 1").fetchall()
    assert [p for (p,) in there] == sorted(hospital.earlier["patient_id"])


def test_a_hospital_of_another_size_or_seed_has_another_identity() -> None:
    assert fill_databases.Identity.of(300, 9) == fill_databases.Identity.of(300, 9)
    assert (
        len(
            {
                fill_databases.Identity.of(300, 9),
                fill_databases.Identity.of(301, 9),
                fill_databases.Identity.of(300, 8),
            }
        )
        == 3
    )


@pytest.mark.parametrize(
    "name", ["hospital.yaml", "broken/trans_001.yaml", "broken/trans_004.yaml"]
)
def test_the_specifications_can_be_read(name: str) -> None:
    urls = {"LEGACY_URL": "postgresql:///legacy", "TARGET_URL": "postgresql:///hospital"}
    assert read_specification(DEMO / name, urls).tables


def test_the_truth_speaks_of_the_loads_and_rules_of_the_specification(
    made: tuple[Hospital, Truth],
) -> None:
    urls = {"LEGACY_URL": "postgresql:///legacy", "TARGET_URL": "postgresql:///hospital"}
    specification = read_specification(DEMO / "hospital.yaml", urls)
    _, truth = made
    for violation in truth.violations.to_pylist():
        loaded = specification.tables[violation["load"]]
        assert violation["source_table"] == loaded.from_[0].table
        rule = violation["rule_id"]
        if rule is None:
            continue
        field, dot, check = rule.partition(".")
        if dot:
            assert check in ("type", "map", "ref")
            assert field in loaded.fields
        else:
            names = {f.rule for f in loaded.fields.values()} | set(loaded.rules)
            assert rule in names
            warned = rule in loaded.rules and loaded.rules[rule].on_fail == "warn"
            assert violation["warning"] == warned
