"""The MIMIC-III demo, loaded as it is and migrated: the counts are those of an independent
classification of its codes by the FY2018 GEM file."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from pipelines.cli.main import main
from schemas.code_maps.gem_file import read_gem
from specs import load_mimic3

SPECS = Path(load_mimic3.__file__).parent


class Migrated(NamedTuple):
    legacy: str
    target: str
    gem: Path
    summary: dict[str, Any]


@pytest.fixture
def urls(shared_data: Path, new_database: Callable[[], str]) -> tuple[str, str]:
    """The URLs of the demo as it was loaded, and of an empty target."""
    legacy, target = new_database(), new_database()
    load_mimic3.load_folder(shared_data / "mimic3demo", legacy)
    with psycopg.connect(target) as connection:
        connection.execute((SPECS / "mimic3_target.sql").read_text())
    return legacy, target


@pytest.fixture
def migrated(
    shared_data: Path, urls: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> Migrated:
    legacy, target = urls
    gem = shared_data / "gems" / "2018_I9gem.txt"
    given = {"LEGACY_URL": legacy, "TARGET_URL": target, "GEM_FILE": str(gem)}
    variables = [f"--var={name}={value}" for name, value in given.items()]
    status = main(["migrate", str(SPECS / "mimic3.yaml"), "--json", *variables])
    assert status == 0, capsys.readouterr().err
    return Migrated(legacy, target, gem, json.loads(capsys.readouterr().out))


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def test_the_demo_arrives_with_every_row_accounted_for(migrated: Migrated) -> None:
    summary = migrated.summary
    assert summary["state"] == "complete"
    names = ("read", "accepted", "rejected", "skipped", "written", "expanded")
    assert {load: tuple(t[n] for n in names) for load, t in summary["tables"].items()} == {
        "patients": (100, 100, 0, 0, 100, 0),
        "admissions": (129, 129, 0, 0, 129, 0),
        "diagnoses": (1761, 1286, 475, 0, 1288, 2),
        "procedures": (506, 506, 0, 0, 506, 0),
    }
    assert summary["violations"] == {"TRANS-002": 475}
    assert summary["warnings"] == {"DATA-005": 2}

    assert rows(
        migrated.target,
        "SELECT (SELECT count(*) FROM patients), (SELECT count(*) FROM admissions),"
        " (SELECT count(*) FROM diagnoses), (SELECT count(*) FROM procedures)",
    ) == [(100, 129, 1288, 506)]

    categories = rows(
        migrated.target,
        "SELECT gem_category, count(DISTINCT diagnosis_id), count(*) FROM diagnoses"
        " GROUP BY 1 ORDER BY 1",
    )
    assert categories == [("approximate", 667, 667), ("cluster", 2, 4), ("exact", 617, 617)]
    _each_translated_row_says_how(migrated)
    _the_rejected_codes_are_those_without_one_answer(migrated)
    _warnings_are_of_accepted_rows(migrated)
    _values_are_unchanged(migrated)


def _each_translated_row_says_how(migrated: Migrated) -> None:
    label = read_gem("icd9_to_icd10", migrated.gem).label
    assert rows(migrated.target, "SELECT DISTINCT gem_map, code_system FROM diagnoses") == [
        (label, "ICD10CM")
    ]
    flags = rows(
        migrated.target, "SELECT DISTINCT gem_category, gem_flags FROM diagnoses ORDER BY 1, 2"
    )
    assert flags == [
        ("approximate", "10000"),
        ("cluster", "10111"),
        ("cluster", "10112"),
        ("exact", "00000"),
    ]
    clusters = rows(
        migrated.target,
        "SELECT source_code, array_agg(code ORDER BY cluster_seq), min(cluster_seq)"
        " FROM diagnoses WHERE gem_category = 'cluster' GROUP BY source_code, diagnosis_id"
        " ORDER BY source_code",
    )
    assert clusters == [("25062", ["E1140", "E1165"], 1), ("25092", ["E118", "E1165"], 1)]


def _the_rejected_codes_are_those_without_one_answer(migrated: Migrated) -> None:
    errors = rows(
        migrated.target,
        "SELECT error_code, rule_id, reason, count(*), count(DISTINCT source_key)"
        " FROM migration.migration_errors WHERE NOT warning GROUP BY 1, 2, 3 ORDER BY 3",
    )
    assert errors == [
        ("TRANS-002", "code.map", "choice", 397, 397),
        ("TRANS-002", "code.map", "no_map", 33, 33),
        ("TRANS-002", "code.map", "unknown_code", 45, 45),
    ]
    codes = read_gem("icd9_to_icd10", migrated.gem).codes
    category = dict(
        zip(codes["source_code"].to_pylist(), codes["category"].to_pylist(), strict=True)
    )
    code_of = dict(rows(migrated.legacy, "SELECT row_id, icd9_code FROM diagnoses_icd"))
    rejected = rows(
        migrated.target, "SELECT source_key FROM migration.migration_errors WHERE NOT warning"
    )
    assert Counter(category.get(code_of[key], "unknown_code") for (key,) in rejected) == {
        "choice": 393,
        "cluster_choice": 3,
        "scenarios": 1,
        "no_map": 33,
        "unknown_code": 45,
    }
    arrived = rows(migrated.target, "SELECT DISTINCT diagnosis_id::text FROM diagnoses")
    assert {key for (key,) in arrived} == set(code_of) - {key for (key,) in rejected}


def _warnings_are_of_accepted_rows(migrated: Migrated) -> None:
    assert rows(
        migrated.target,
        "SELECT rule_id, (SELECT count(*) FROM admissions WHERE admission_id::text = source_key)"
        " FROM migration.migration_errors WHERE warning ORDER BY rule_id",
    ) == [("DIED_DURING_THE_STAY", 1), ("EMERGENCY_BEFORE_ADMISSION", 1)]


def _values_are_unchanged(migrated: Migrated) -> None:
    pairs = {
        "SELECT subject_id, gender, dob, dod, dod_hosp, dod_ssn, expire_flag FROM patients": (
            "SELECT patient_id::text, sex, birth_date || ' 00:00:00', death_date || ' 00:00:00',"
            " death_in_hospital || ' 00:00:00', death_in_ssa || ' 00:00:00', died::int::text"
            " FROM patients"
        ),
        "SELECT hadm_id, subject_id, admittime, dischtime, deathtime, edregtime, edouttime,"
        " admission_type, admission_location, discharge_location, insurance, language, religion,"
        " marital_status, ethnicity, diagnosis, hospital_expire_flag, has_chartevents_data"
        " FROM admissions": (
            "SELECT admission_id::text, patient_id::text, admitted_at::text, discharged_at::text,"
            " died_at::text, emergency_from::text, emergency_until::text, admission_type,"
            " admitted_from, discharged_to, insurance, language, religion, marital_status,"
            " ethnicity, diagnosis, died_in_hospital::int::text, has_chart::int::text"
            " FROM admissions"
        ),
        "SELECT row_id, subject_id, hadm_id, seq_num, icd9_code FROM procedures_icd": (
            "SELECT procedure_id::text, patient_id::text, admission_id::text, rank::text, code"
            " FROM procedures"
        ),
    }
    for legacy, target in pairs.items():
        assert set(rows(migrated.target, target)) == set(rows(migrated.legacy, legacy))


def decide(row: dict[str, str]) -> str:
    """What a coder fills in: the first candidate that is in the release, else a sign or symptom."""
    candidates = [c for c in row["candidates"].split(" | ") if c and "(not in the" not in c]
    return candidates[0].split()[0] if candidates else "R69"


@pytest.mark.slow
def test_codes_are_decided_and_exactly_their_rows_arrive(
    migrated: Migrated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workflow from the list of codes to the last of their rows, all by command."""
    variables = [
        f"--var={name}={value}"
        for name, value in {
            "LEGACY_URL": migrated.legacy,
            "TARGET_URL": migrated.target,
            "GEM_FILE": migrated.gem,
        }.items()
    ]
    specification = str(SPECS / "mimic3.yaml")

    def transfuse(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*arguments, *variables, "--json"]) == 0
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    code_of = dict(rows(migrated.legacy, "SELECT row_id, icd9_code FROM diagnoses_icd"))
    rejected = {
        key
        for (key,) in rows(
            migrated.target, "SELECT source_key FROM migration.migration_errors WHERE NOT warning"
        )
    }
    held_back = Counter(code_of[key] for key in rejected)

    listed = transfuse("rejects", "list", specification, "--code", "TRANS-002")["codes"]
    assert {c["looked_up"]: c["rows"] for c in listed if c["looked_up"] in held_back} == held_back
    assert [c["rows"] for c in listed] == sorted(held_back.values(), reverse=True)

    file = tmp_path / "codes.csv"
    transfuse("rejects", "export", specification, "--code", "TRANS-002", "--output", str(file))
    with file.open(encoding="utf-8-sig", newline="") as stream:
        exported = list(csv.DictReader(stream))
    assert [row["source_code"] for row in exported] == [c["code"] for c in listed]
    for row in exported:
        if row["reason"] == "choice":
            assert len(row["candidates"].split(" | ")) > 1, row
    decided = exported[:20]
    for row in decided:
        row["target_code"] = decide(row)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(exported[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(exported)
    stored = transfuse("codes", "import", specification, str(file))
    assert (stored["stored"], stored["unchanged"]) == (20, 0)
    assert transfuse("codes", "import", specification, str(file))["unchanged"] == 20

    before = set(rows(migrated.target, "SELECT t::text FROM diagnoses t"))
    replayed = transfuse("rejects", "replay", specification, "--code", "TRANS-002")
    codes = {row["source_code"]: row["target_code"] for row in decided}
    expected = {key for key in rejected if code_of[key] in codes}
    assert replayed["tables"]["diagnoses"] == {
        "rows": 475,
        "accepted": len(expected),
        "skipped": 0,
        "rejected": 475 - len(expected),
        "left": 0,
    }
    assert before < set(rows(migrated.target, "SELECT t::text FROM diagnoses t"))
    arrived = rows(
        migrated.target,
        "SELECT diagnosis_id::text, source_code, code, gem_map, cluster_seq FROM diagnoses"
        " WHERE gem_map LIKE 'code_mappings/%'",
    )
    assert {key for key, *_ in arrived} == expected
    assert len(arrived) == len(expected)
    for key, source, code, _, seq in arrived:
        assert (source, code, seq) == (code_of[key], codes[source].replace(".", ""), 1)

    _the_identity_holds(migrated)
    assert rows(
        migrated.target,
        "SELECT status, min(attempts), max(attempts), count(*) FROM migration.migration_errors"
        " WHERE NOT warning GROUP BY 1 ORDER BY 1",
    ) == [("open", 2, 2, 475 - len(expected)), ("replayed", 1, 1, len(expected))]

    # What is decided is brought in, and a second replay has nothing more to bring.
    content = rows(migrated.target, "SELECT t::text FROM diagnoses t ORDER BY 1")
    again = transfuse("rejects", "replay", specification, "--code", "TRANS-002")
    assert again["tables"]["diagnoses"]["accepted"] == 0
    assert rows(migrated.target, "SELECT t::text FROM diagnoses t ORDER BY 1") == content
    _the_identity_holds(migrated)
    left = transfuse("rejects", "list", specification, "--code", "TRANS-002")["codes"]
    assert [c["code"] for c in left] == [c["code"] for c in listed[20:]]


def _the_identity_holds(migrated: Migrated) -> None:
    assert rows(
        migrated.target,
        "SELECT sum(candidates)::int, sum(accepted + rejected + skipped)::int,"
        " sum(accepted + expanded)::int - (SELECT count(*) FROM diagnoses),"
        " sum(rejected)::int - (SELECT count(DISTINCT source_key) FROM migration.migration_errors"
        "  WHERE status = 'open' AND NOT warning)"
        " FROM migration.migration_partitions WHERE load = 'diagnoses'",
    ) == [(1761, 1761, 0, 0)]


TABLES = ("patients", "admissions", "diagnoses", "procedures")


@pytest.mark.slow
def test_the_files_themselves_give_the_same(
    migrated: Migrated,
    shared_data: Path,
    new_database: Callable[[], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = new_database()
    with psycopg.connect(target) as connection:
        connection.execute((SPECS / "mimic3_target.sql").read_text())
    text = (SPECS / "mimic3.yaml").read_text()
    text = text.replace('{url: "${LEGACY_URL}"}', '{path: "${FOLDER}", format: csv}')
    text, changed = re.subn(
        r"^    from: (\w+)$", lambda m: f"    from: {m[1].upper()}.csv.gz", text, flags=re.MULTILINE
    )
    assert changed == len(TABLES)
    path = tmp_path / "mimic3.yaml"
    path.write_text(text)
    given = {
        "FOLDER": shared_data / "mimic3demo",
        "TARGET_URL": target,
        "GEM_FILE": migrated.gem,
    }
    variables = [f"--var={name}={value}" for name, value in given.items()]
    assert main(["migrate", str(path), "--json", *variables]) == 0
    summary = json.loads(capsys.readouterr().out)
    # A file is divided otherwise than a table, and takes another time.
    figures = ("seconds", "partitions", "partitions_done")
    for found in (summary, migrated.summary, *summary["tables"].values()):
        found.update(dict.fromkeys(figures, 0))
    for found in migrated.summary["tables"].values():
        found.update(dict.fromkeys(figures, 0))
    assert summary == migrated.summary
    for table in TABLES:
        query = f"SELECT t::text FROM {table} t ORDER BY 1"
        assert rows(target, query) == rows(migrated.target, query)
    errors = (
        "SELECT error_code, rule_id, reason, source_key, target_key, field, warning"
        " FROM migration.migration_errors ORDER BY 1, 2, 3, 4"
    )
    assert rows(target, errors) == rows(migrated.target, errors)


def test_the_files_are_loaded_as_they_are(tmp_path: Path, database: str) -> None:
    def write(name: str, text: str) -> None:
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))

    write("ONE.csv.gz", '"ROW_ID","Note"\n1,"a ""b"", c\nd"\n2,\n3,""\n')
    write("two.csv.gz", "\ufeffrow_id,note\r\n010,é\r\n")
    assert load_mimic3.load_folder(tmp_path, database) == {"one": 3, "two": 1}
    assert rows(database, "SELECT row_id, note FROM one ORDER BY row_id") == [
        ("1", 'a "b", c\nd'),
        ("2", None),
        ("3", ""),
    ]
    assert rows(database, "SELECT row_id, note FROM two") == [("010", "é")]


def test_a_second_load_changes_nothing(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x\n1\n"))
    assert load_mimic3.main([str(tmp_path), database]) == 0
    (tmp_path / "_new.csv.gz").write_bytes(gzip.compress(b"x\n1\n"))
    assert load_mimic3.main([str(tmp_path), database]) == 2
    assert "already exists" in capsys.readouterr().err
    assert rows(database, "SELECT count(*) FROM a") == [(1,)]
    assert rows(database, "SELECT to_regclass('_new')") == [(None,)]


def test_an_empty_folder_is_refused(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_mimic3.main([str(tmp_path), database]) == 2
    assert "no .csv.gz file" in capsys.readouterr().err
