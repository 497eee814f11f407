"""Specifications that can't be used: each is refused with the place of its fault, and nothing
is started."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.main import main
from schemas.errors import TransfuseError
from schemas.specification.reading import read_specification
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.broken_specifications import (
    BROKEN,
    LEGACY,
    TARGET,
    UNREADABLE,
    VALID,
    Broken,
    Unreadable,
    changed,
    line_of,
)


@pytest.fixture(scope="module")
def hospital(shared_databases: TwoDatabases) -> TwoDatabases:
    shared_databases.legacy.run(LEGACY)
    shared_databases.target.run(TARGET)
    return shared_databases


def refusal(
    hospital: TwoDatabases, content: str | bytes, capsys: Any, *flags: str
) -> list[dict[str, str]]:
    """The problems of a migration that must end with 2 within 3 seconds and leave no trace."""
    path = hospital.folder / "specification.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return refusal_of(hospital, path, capsys, *flags)


def refusal_of(
    hospital: TwoDatabases, path: Path, capsys: Any, *flags: str
) -> list[dict[str, str]]:
    given = [f"--var={name}={value}" for name, value in hospital.variables.items()]
    begun = time.process_time()
    status = main(["migrate", str(path), "--json", *given, *flags])
    assert time.process_time() - begun < 3
    shown = capsys.readouterr()
    assert status == 2, shown.err
    assert "Traceback" not in shown.err
    assert_untouched(hospital)
    problems: list[dict[str, str]] = json.loads(shown.out)["problems"]
    for problem in problems:
        problem["where"] = problem["where"].removeprefix(f"{hospital.folder}{os.sep}")
        assert "\n" not in problem["message"]
        assert problem["message"] in shown.err
    return problems


def assert_untouched(hospital: TwoDatabases) -> None:
    """Neither rows nor control tables nor their schema have been written."""
    (written,) = hospital.target.row(
        "SELECT (SELECT count(*) FROM patients) + (SELECT count(*) FROM encounters)"
        " + (SELECT count(*) FROM conditions)"
        " + (SELECT count(*) FROM pg_class WHERE relname LIKE 'migration%')"
        " + (SELECT count(*) FROM pg_namespace WHERE nspname = 'migration')"
    )
    assert written == 0


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: b.name)
def test_a_fault_is_told_with_its_place(
    broken: Broken, hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    (problem,) = refusal(hospital, broken.text, capsys)
    assert problem["where"] == broken.where
    assert broken.message in problem["message"]
    assert problem["code"] == broken.code


def test_the_specification_without_a_fault_is_not_refused(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    path = databases.write(VALID, header="")
    given = [f"--var={name}={value}" for name, value in databases.variables.items()]
    assert main(["migrate", str(path), *given]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("broken", UNREADABLE, ids=lambda b: b.name)
def test_a_file_that_is_no_specification_is_refused(
    broken: Unreadable, hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    (problem,) = refusal(hospital, broken.content, capsys)
    line = "" if broken.line is None else f":{broken.line}"
    assert problem["where"] == f"specification.yaml{line} {broken.path}".rstrip()
    assert broken.message in problem["message"]
    assert problem["code"] == broken.code


def test_a_folder_or_nothing_in_the_place_of_a_file_is_refused(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder,) = refusal_of(hospital, hospital.folder, capsys)
    assert (folder["code"], folder["where"]) == ("USER-001", str(hospital.folder))
    assert "Is a directory" in folder["message"]
    (absent,) = refusal_of(hospital, hospital.folder / "absent.yaml", capsys)
    assert (absent["code"], absent["where"]) == ("USER-001", "absent.yaml")
    assert "No such file" in absent["message"]


def test_variables_that_are_not_set_are_told_all_at_once(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH", raising=False)
    text = changed("{const: MEDI}", '{const: "${NO_SUCH}"}').replace("500MB", '"${NONE_EITHER}"')
    found = refusal(hospital, text, capsys)
    assert [(p["where"], p["message"]) for p in found] == [
        (
            f"specification.yaml:{line_of('memory', text)} limits.memory",
            "the variable NONE_EITHER is not set",
        ),
        (
            f"specification.yaml:{line_of('NO_SUCH', text)}"
            " tables.patients.fields.source_system.const",
            "the variable NO_SUCH is not set",
        ),
    ]
    assert "--var NO_SUCH=" in found[1]["remedy"]


def test_faults_of_the_file_itself_are_told_all_at_once(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    text = VALID.replace("job: broken", "jobb: broken").replace("write: insert", "write: never")
    found = refusal(hospital, text, capsys)
    assert {p["where"] for p in found} == {
        "specification.yaml:1",
        "specification.yaml:1 jobb",
        f"specification.yaml:{line_of('write: never', text)} tables.patients.write",
    }
    assert next(p for p in found if p["where"].endswith("jobb"))["remedy"] == "did you mean 'job'?"


def test_faults_against_the_databases_are_told_all_at_once(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    text = VALID
    for old, new in (
        ("from: mother,", "from: mum,"),
        ("const: MEDI", "const: MEDITECH"),
        ("BORN: birth_date", "BORN: born"),
        ("legacy_visit: {", "legacy_number: {"),
        ("sql: trim(kind)", "sql: max(knd) || now() || rank"),
        ("order: [updated_at]", "order: [updated_on, random()]"),
        ("transform: [trim, upper]", "transform: [trimm, upper]"),
        ("select * from legacy_diagnoses", "select * from diagnoses"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    found = refusal(hospital, text, capsys)
    parts = [
        ("TRANS-001", "from: mum", "tables.patients.fields.mother_id.from"),
        ("TRANS-004", "MEDITECH", "tables.patients.fields.source_system.const"),
        ("TRANS-001", "BORN: born", "tables.patients.rules.BORN"),
        ("TRANS-004", "legacy_number", "tables.encounters.fields.legacy_number"),
        # What is wrong whatever the databases look like hides nothing that they would say.
        ("SYS-004", "sql: max(knd)", "tables.encounters.fields.kind.sql"),
        ("SYS-004", "sql: max(knd)", "tables.encounters.fields.kind.sql"),
        ("TRANS-001", "sql: max(knd)", "tables.encounters.fields.kind.sql"),
        ("TRANS-001", "sql: max(knd)", "tables.encounters.fields.kind.sql"),
        ("TRANS-001", "updated_on", "tables.patients.duplicates.order.0"),
        ("SYS-004", "trimm", "tables.patients.fields.last_name.transform.0"),
        ("SYS-004", "random()", "tables.patients.duplicates.order.1"),
        ("SYS-004", "from diagnoses", "tables.conditions.from.query"),
    ]
    assert sorted((p["code"], p["where"]) for p in found) == sorted(
        (code, f"specification.yaml:{line_of(part, text)} {path}") for code, part, path in parts
    )


def test_a_clock_is_told_where_no_server_is_reached(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    path = hospital.folder / "specification.yaml"
    path.write_text(VALID.replace("sql: trim(kind)", "sql: now()::text"))
    nowhere = "postgresql://u@127.0.0.1:9/d?connect_timeout=1"
    given = [f"--var={name}={nowhere}" for name in hospital.variables]
    assert main(["migrate", str(path), "--json", *given]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [p["code"] for p in problems] == ["SYS-004", "CONN-004"]


def test_what_gives_several_rows_or_a_clock_is_refused_wherever_it_stands(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    text = VALID
    for old, new in (
        ("sql: trim(kind)", "sql: \"unnest(string_split(kind, ';'))\""),
        ("TEST: \"upper(lname) = 'ZZTEST'\"", "TEST: \"unlist([lname, 'x']) = 'x'\""),
        ("BORN: birth_date", "BORN: regexp_split_to_table(patient_id, ';') <> '' AND birth_date"),
        ("order: [updated_at]", "order: [updated_at, 'generate_subscripts([id, id], 1)']"),
        ("const: MEDI", "sql: current_localtimestamp()"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    found = {p["where"].split(" ")[1]: p["message"] for p in refusal(hospital, text, capsys)}
    clock = found.pop("tables.patients.fields.source_system.sql")
    assert "current_localtimestamp() depends on clock" in clock
    assert set(found) == {
        "tables.encounters.fields.kind.sql",
        "tables.patients.skip.TEST",
        "tables.patients.rules.BORN",
        "tables.patients.duplicates.order.1",
    }
    assert all("gives several rows" in message for message in found.values())


def test_a_missing_parent_is_one_problem_and_hides_no_other(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    text = VALID.replace("  patients:\n", "  patients:\n    into: people\n")
    text = text.replace("ref: patients}\n", "ref: patients, take: {born: birth_date}}\n")
    text = text.replace(
        "{sql: trim(kind)}", "{sql: trim(knid)}\n    rules: {LATER: admitted_at > born}"
    )
    found = refusal(hospital, text, capsys)
    assert [p["message"] for p in found] == [
        "the target has no table 'people'",
        "public.legacy_visits has no column 'knid'",
    ]


def test_a_gem_file_that_is_none_is_told_with_its_lines(
    hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    (hospital.folder / "gem.txt").write_text("25000 E119    10000\n25001 E109\nnonsense\n")
    text = changed("policy: {cluster: expand}", "gem: gem.txt")
    found = refusal(hospital, text, capsys)
    place = f"specification.yaml:{line_of('gem.txt', text)} maps.icd.gem"
    assert [p["where"] for p in found] == [place, place]
    lines = [re.search(r"\(.*gem\.txt:(\d+)\)$", p["message"]) for p in found]
    assert [found[1] for found in lines if found] == ["2", "3"]


def test_no_password_is_told(hospital: TwoDatabases, capsys: pytest.CaptureFixture[str]) -> None:
    text = changed('source: {url: "${LEGACY_URL}"}', "source: 'postgresql://u:geheim@h/d'")
    (problem,) = refusal(hospital, text, capsys)
    assert problem["where"] == "specification.yaml:2 source"
    text = changed('source: {url: "${LEGACY_URL}"}', "source: {url: 'postgres//u:geheim@h/d'}")
    (other,) = refusal(hospital, text, capsys)
    assert other["where"] == "specification.yaml:2 source.url"
    assert "geheim" not in json.dumps([problem, other])


def test_what_is_unusual_but_right_is_taken(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET + 'ALTER TABLE patients RENAME last_name TO "nom de l\'hôpital"')
    text = VALID.replace("job: broken", "job: hôpital").replace("last_name:", "nom de l'hôpital:")
    text = text.replace("{const: MEDI}", "{const: médi😀}")
    text = text.replace(
        "      sex:\n        from: sex\n        map: sex\n",
        "      sex:\n        map: sex\n        <<: [*coded, {default: M}]\n        from: sex\n",
    )
    text = "x-coded: &coded {from: nothing, transform: trim}\n" + text
    path = databases.folder / "ünusual.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    given = [f"--var={name}={value}" for name, value in databases.variables.items()]
    assert main(["migrate", str(path), *given]) == 0, capsys.readouterr().err
    assert databases.target.rows("SELECT source_system, sex FROM patients") == [("médi😀", "M")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("job: broken", "job: [broken"),
        ("write: insert", "write: never"),
        ("{from: pat_id, required: true, rule: PATIENT_ID}", "{from: patient}"),
    ],
    ids=["invalid YAML", "wrong value", "unknown column"],
)
def test_the_command_itself_ends_with_2_and_no_traceback(
    old: str, new: str, hospital: TwoDatabases
) -> None:
    path = hospital.folder / "specification.yaml"
    path.write_text(changed(old, new))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        [sys.executable, "-m", "pipelines", "migrate", str(path)],
        env={**os.environ, **hospital.variables},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert f"{path}:" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3
    assert_untouched(hospital)


def test_a_file_with_a_line_missing_or_misplaced_is_read_or_refused_with_its_place(
    tmp_path: Path,
) -> None:
    path = tmp_path / "specification.yaml"
    urls = {"LEGACY_URL": "postgresql:///legacy", "TARGET_URL": "postgresql:///hospital"}
    lines = VALID.rstrip("\n").split("\n")
    read = 0
    for position, line in enumerate(lines):
        others = lines[:position] + lines[position + 1 :]
        for changed_lines in (
            others,
            [*others, line],
            [*lines[:position], f"  {line}", *lines[position + 1 :]],
            [*lines[:position], line.partition(":")[0] + ": []", *lines[position + 1 :]],
        ):
            path.write_text("\n".join(changed_lines))
            try:
                read_specification(path, urls)
                read += 1
            except TransfuseError as error:
                for problem in error.problems:
                    place = re.match(r"(\d+)( |$)", problem.where.removeprefix(f"{path}:"))
                    assert place, problem
                    assert 1 <= int(place[1]) <= len(changed_lines)
    assert 0 < read < len(lines) * 2
