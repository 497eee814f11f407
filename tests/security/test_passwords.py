"""Passwords appear in nothing that is printed, logged, stored or listed, whatever fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.support.databases.two_databases import TwoDatabases
from tests.support.project import PROJECT
from tests.support.waiting import wait_until

ROLE = "keeper"
PASSWORD = "Gh7/x@9%q \"Zt'ü:#?&=\\k"
PIECES = ("Gh7", "9%q", "9%25q", "Zt'", "Zt%27", "%25q")
"""Parts of the password, as it is and percent-encoded, that occur nowhere else."""

TABLES = """
tables:
  people: {from: people, key: [id], copy: [id, name]}
"""


class Hospital:
    """Two databases to which a role with a password moves rows."""

    def __init__(self, databases: TwoDatabases) -> None:
        self.databases = databases
        self.printed = ""

    def url(self, name: str, password: str = PASSWORD) -> str:
        host = conninfo_to_dict(self.databases.legacy.url)["host"]
        return f"postgresql://{ROLE}:{quote(password, safe='')}@/{name}?host={host}"

    def write(self, legacy: str, target: str) -> Path:
        path = self.databases.folder / "specification.yaml"
        path.write_text(
            f"# once {legacy}\njob: moved\nsource: {{url: {json.dumps(legacy)}}}\n"
            f"target: {{url: {json.dumps(target)}, control_schema: migration}}\n"
            "limits: {retry: {attempts: 2, delay: 10ms}}\n"
            f"errors: {{path: '{self.databases.folder}/errors', format: avro}}\n{TABLES}",
            encoding="utf-8",
        )
        return path

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines", *map(str, arguments)],
            cwd=PROJECT,
            env=os.environ | {"TMPDIR": str(self.databases.folder / "tmp")} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, status: int, *arguments: str | Path, **environment: str) -> str:
        process = self.start(*arguments, **environment)
        printed, _ = process.communicate(timeout=120)
        self.printed += printed
        assert process.returncode == status, printed
        return printed

    def stored(self) -> str:
        """All that stands in the control tables, and in files that runs have left."""
        target = self.databases.target
        tables = target.values(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = to_regnamespace('migration')"
        )
        rows = [str(target.rows(f"SELECT t::text FROM {table} t")) for table in tables]
        files = [
            path.read_bytes().decode("latin-1")
            for path in self.databases.folder.rglob("*")
            if path.is_file() and path.suffix != ".yaml"
        ]
        return "".join([*rows, *files])


@pytest.fixture
def hospital(databases: TwoDatabases) -> Iterator[Hospital]:
    (databases.folder / "tmp").mkdir()
    (file,) = databases.target.values("SHOW hba_file")
    path = Path(file)
    known = path.read_text(encoding="utf-8")
    path.write_text(f"local all {ROLE} scram-sha-256\n{known}", encoding="utf-8")
    databases.target.run("SELECT pg_reload_conf()")
    databases.legacy.run(
        "CREATE TABLE people (id int PRIMARY KEY, name text);"
        "INSERT INTO people SELECT i, CASE WHEN i <> 3 THEN 'n' || i END"
        " FROM generate_series(1, 9) AS i"
    )
    databases.target.run("CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL)")
    create = sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}")
    databases.target.run(create.format(sql.Identifier(ROLE), PASSWORD).as_string())
    try:
        yield Hospital(databases)
    finally:
        path.write_text(known, encoding="utf-8")
        databases.target.run("SELECT pg_reload_conf()")
        databases.legacy.run(f"DROP OWNED BY {ROLE}")
        databases.target.run(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def arguments_of(process: subprocess.Popen[str]) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_bytes().decode(errors="replace")


def assert_hidden(text: str, pieces: Sequence[str] = PIECES) -> None:
    assert not [piece for piece in pieces if piece in text], text


@pytest.mark.slow
def test_a_password_appears_nowhere(hospital: Hospital) -> None:
    legacy, target = hospital.databases.legacy, hospital.databases.target
    urls = hospital.url(legacy.name), hospital.url(target.name)
    path = hospital.write(*urls)
    hospital.run(0, "plan", path)
    hospital.run(0, "migrate", path, TRANSFUSE_DEBUG="1")
    assert target.values("SELECT count(*) FROM people") == [8]
    hospital.run(0, "rejects", "list", path)
    # What fails: a login, a database, a table, a URL in the place of something else.
    wrong = hospital.url(legacy.name, PASSWORD + "x"), urls[1]
    assert "CONN-002" in hospital.run(3, "migrate", hospital.write(*wrong), "--job", "second")
    absent = hospital.write(hospital.url("nowhere"), urls[1])
    assert "CONN-002" in hospital.run(3, "plan", absent)
    misplaced = hospital.write(*urls)
    misplaced.write_text(misplaced.read_text().replace("from: people", "from: '${URL}'"))
    plain = f"postgresql://{ROLE}:{PASSWORD}@h/d"
    hospital.run(2, "plan", misplaced, URL=plain)
    hospital.run(2, "plan", hospital.write(plain, urls[1]))
    hospital.run(2, "plan", path, "--var", plain)
    hospital.run(2, "status", path, "--vars", plain)
    # The disks of an engine aren't ours.
    flags = ("--runner=FlinkRunner", "--flink_master=127.0.0.1:1", "--accept-changes")
    told = hospital.run(2, "migrate", hospital.write(*urls), "--job", "third", *flags)
    assert told.count("the URL holds a password") == 2
    assert_hidden(hospital.printed)
    assert_hidden(hospital.stored())
    # The variable's value stands in the arguments of a process, which every user can list.
    path.write_text(f"job: moved\nsource: {{url: '${{L}}'}}\ntarget: {{url: '${{T}}'}}\n{TABLES}")
    with psycopg.connect(target.url) as holder:
        holder.execute("LOCK TABLE people")
        process = hospital.start("plan", path, f"--var=L={urls[0]}", "--var", f"T={urls[1]}")
        try:
            wait_until(lambda: not any(p in arguments_of(process) for p in PIECES), 20)
            time.sleep(0.5)
            assert process.poll() is not None or "--var" in arguments_of(process)
        finally:
            holder.rollback()
            process.communicate(timeout=60)
