"""Two samples of DE-SynPUF, from the files: the counts are those of an independent classification
of their codes by the FY2018 GEM file, and every row is accounted for."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import specs
from pipelines.cli.main import main
from schemas.code_maps.gem_file import read_gem
from schemas.summary import Summary
from tests.support.runs.predictions import assert_predicted

SPECS = Path(specs.__path__[0])

CATEGORIES = {
    "1": (14_829, 18_966, 11_668, 609, 376, 108, 26, 7, 1),
    "2": (14_962, 19_568, 11_906, 585, 320, 115, 29, 9, 0),
}
"""Exact, approximate, choice, unknown, no map, cluster, cluster with alternatives, scenarios,
mixed."""

SECOND_SEGMENTS = {"1": 7, "2": 4}


def claims(folder: Path, sample: str) -> Iterator[dict[str, str]]:
    path = folder / f"DE1_0_2008_to_2010_Inpatient_Claims_Sample_{sample}.csv"
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


@pytest.mark.slow
@pytest.mark.parametrize("sample", CATEGORIES)
def test_a_sample(
    sample: str, shared_data: Path, new_database: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, target = shared_data / "desynpuf", new_database()
    gem = shared_data / "gems" / "2018_I9gem.txt"
    with psycopg.connect(target) as connection:
        connection.execute((SPECS / "desynpuf_target.sql").read_bytes())
    given = {"FOLDER": folder, "SAMPLE": sample, "TARGET_URL": target, "GEM_FILE": gem}
    variables = [f"--var={name}={value}" for name, value in given.items()]
    specification = str(SPECS / "desynpuf.yaml")
    if sample == "1":
        assert main(["plan", specification, "--full", "--json", *variables]) == 0
        plan = json.loads(capsys.readouterr().out)
    status = main(["migrate", specification, "--json", *variables])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    summary = Summary.model_validate_json(printed.out)
    if sample == "1":
        assert_predicted(plan, summary)
    tables = summary.model_dump()["tables"]

    codes = read_gem("gem", gem).codes
    category = dict(
        zip(codes["source_code"].to_pylist(), codes["category"].to_pylist(), strict=True)
    )
    rows = list(claims(folder, sample))
    found = Counter(
        category.get(row[f"ICD9_DGNS_CD_{n}"], "unknown_code")
        for row in rows
        for n in range(1, 11)
        if row[f"ICD9_DGNS_CD_{n}"]
    )
    names: tuple[str, ...] = ("exact", "approximate", "choice", "unknown_code", "no_map", "cluster")
    names += ("cluster_choice", "scenarios", "mixed")
    assert tuple(found[name] for name in names) == CATEGORIES[sample]

    with psycopg.connect(target) as connection:
        arrived = connection.execute(
            "SELECT gem_category, count(DISTINCT (claim_id, segment, position)) FROM conditions"
            " GROUP BY 1"
        ).fetchall()
        rejected = connection.execute(
            "SELECT reason, count(*) FROM migration.migration_errors WHERE NOT warning GROUP BY 1"
        ).fetchall()
        later = connection.execute(
            "SELECT count(*), count(claim_from), min(paid) > 0 FROM encounters WHERE segment > 1"
        ).fetchone()
        patients = connection.execute(
            "SELECT count(*), count(DISTINCT as_of_file) FROM patients"
        ).fetchone()
    assert dict(arrived) == {name: found[name] for name in ("exact", "approximate", "cluster")}
    ambiguous = ("choice", "cluster_choice", "scenarios", "mixed")
    assert dict(rejected) == {
        "choice": sum(found[name] for name in ambiguous),
        "no_map": found["no_map"],
        "unknown_code": found["unknown_code"],
    }
    assert later == (SECOND_SEGMENTS[sample], 0, True)
    assert patients == (10_000, 3)

    conditions = tables["conditions"]
    assert conditions["read"] == len(rows) == tables["encounters"]["accepted"]
    assert conditions["candidates"] == sum(found.values())
    assert conditions["empty"] == sum(
        not any(row[f"ICD9_DGNS_CD_{n}"] for n in range(1, 11)) for row in rows
    )
    assert tables["patients"]["skipped"] == tables["patients"]["read"] - 10_000
    for table in tables.values():
        assert table["candidates"] == table["accepted"] + table["rejected"] + table["skipped"]
        assert table["written"] == table["accepted"] + table["expanded"]
