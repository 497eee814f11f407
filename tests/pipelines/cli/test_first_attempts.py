"""What a first attempt gets wrong: each message has a remedy that works as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import run, run_json
from tests.support.project import PROJECT

Capsys = pytest.CaptureFixture[str]

HEADER = """
job: first
sources:
  lists: {path: lists, format: csv DELIMITER}
  legacy: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration}
limits: {retry: {attempts: 1, delay: 10ms}}
"""

SPECIFICATION = """
tables:
  wards:
    from: {source: lists, file: wards.csv}
    key: [id]
    fields: {id: {from: id, type: int}, name: {from: name}}
  names: {from: {source: lists, file: names.csv}, copy: [name]}
  typed:
    from: {source: legacy, table: typed}
    key: [id]
    copy: [id]
    fields:
      b: {B}
      f: {F}
      m: {M}
      o: {O}
"""


@pytest.mark.slow
def test_what_a_first_attempt_gets_wrong(databases: TwoDatabases, capsys: Capsys) -> None:
    databases.legacy.run("CREATE TABLE typed (id int PRIMARY KEY); INSERT INTO typed VALUES (258)")
    databases.target.run(
        "CREATE TABLE wards (id int PRIMARY KEY, name text); CREATE TABLE names (name text);"
        "CREATE TABLE typed (id int PRIMARY KEY, b bytea, f bit(10), m money, o oid)"
    )
    folder = databases.folder / "lists"
    folder.mkdir()
    (folder / "wards.csv").write_text("id;name\n1;North\n2;South\n")
    # Two rows of PostgreSQL's COPY without a value, or nothing at all.
    (folder / "names.csv").write_text('name\nAda\n\n"" \n""\r\n\r\nZoe\n')
    fields = dict.fromkeys("bfmo", "from: id")

    def write(delimiter: str) -> None:
        text = SPECIFICATION
        for name, steps in fields.items():
            text = text.replace(f"{{{name.upper()}}}", f"{{{steps}}}")
        databases.write(text, HEADER.replace(" DELIMITER", delimiter))

    write("")
    problems = run_json(databases, capsys, ["plan", "SPEC"], 2)["problems"]
    (of_file,) = {p["remedy"] for p in problems if p["where"].endswith("wards.fields.id.from")}
    (delimiter,) = re.findall("'(delimiter: .*)'", of_file)
    for name in fields:
        (remedy,) = [p["remedy"] for p in problems if p["where"].endswith(f"typed.fields.{name}")]
        (steps,) = re.findall('sql: ".*"', remedy)
        fields[name] = steps.replace("COLUMN", "id")
    write(f", {delimiter}")
    summary = run_json(databases, capsys, ["migrate", "SPEC"])
    assert databases.target.row("SELECT b, f::text, m::text, o::int FROM typed") == (
        b"\0\0\1\2", "0100000010", "$258.00", 258,
    )  # fmt: skip
    assert databases.target.row("SELECT count(*) FROM wards") == (2,)

    # Nothing that may be a row is lost in silence.
    assert summary["tables"]["names"]["candidates"] == 6
    assert databases.target.values("SELECT name FROM names ORDER BY name") == ["Ada", "Zoe", None]
    assert sorted(databases.errors("source_key, reason")) == [
        ('["names.csv","3"]', "blank_line"),
        ('["names.csv","4"]', "text_after_quote"),
        ('["names.csv","6"]', "blank_line"),
    ]

    # The status of a job that is complete doesn't depend on what can be printed.
    path = databases.folder / "specification.yaml"
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            ended = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pipelines",
                    "migrate",
                    path,
                ],
                cwd=PROJECT,
                env=os.environ | databases.variables,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert ended.returncode == 0, ended.stderr
        assert "USER-004 stdout: the summary can't be written" in ended.stderr


def test_faults_of_urls_and_of_loads_are_reported_together(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.write(
        "tables:\n  people: {copy: [id]}\n",
        'job: first\nsource: {url: "postgresql://h/db?sslmode=requird"}\n'
        'target: {url: "postgresql://h:x/db"}\n',
    )
    assert run(databases, "plan", "SPEC") == 2
    told = capsys.readouterr().err
    assert "'from' is missing" in told
    assert "one of: disable, allow, prefer, require, verify-ca, verify-full" in told
    assert "port is not a number" in told
