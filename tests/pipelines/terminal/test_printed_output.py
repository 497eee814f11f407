"""What a command prints: one JSON document alone on stdout, and nowhere a value of a row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipelines.cli.main import main
from tests.support.databases.two_databases import TwoDatabases
from tests.support.project import PROJECT

Printed = subprocess.CompletedProcess[str]


def transfuse(databases: TwoDatabases, verb: str, *arguments: str) -> Printed:
    """The command in a process of its own: what Beam prints is caught too."""
    environment = os.environ | databases.variables
    environment.pop("TRANSFUSE_DEBUG", None)
    path = databases.folder / "specification.yaml"
    return subprocess.run(
        [sys.executable, "-m", "pipelines", verb, path, *arguments, "--json"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def document_of(printed: Printed) -> Any:
    assert "Traceback" not in printed.stderr
    assert "secret" not in printed.stdout + printed.stderr
    return json.loads(printed.stdout)


def people(databases: TwoDatabases, ddl: str) -> None:
    databases.legacy.run(
        "CREATE TABLE people (id int PRIMARY KEY, name text, boss int);"
        "INSERT INTO people SELECT i, 'secret' || i, 1 + i % 7 FROM generate_series(1, 30) i"
    )
    databases.target.run(ddl)


BODIES = {
    "prints": "print('seen', len(a))\n    return a",
    "leaves": "import sys\n    sys.exit(7)",
    "raises": "raise ValueError(a[0])",
}


@pytest.mark.parametrize("verb", ["migrate", pytest.param("plan", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "body",
    ["raises", *(pytest.param(name, marks=pytest.mark.slow) for name in ("prints", "leaves"))],
)
def test_a_python_function(databases: TwoDatabases, body: str, verb: str) -> None:
    people(databases, "CREATE TABLE people (id int PRIMARY KEY, name text)")
    databases.write(
        "tables: {people: {from: people, key: [id], copy: [id],"
        " fields: {name: {from: name, transform: 'own:function'}}}}"
    )
    (databases.folder / "own.py").write_text(f"def function(a):\n    {BODIES[body]}\n")
    printed = transfuse(databases, verb)
    assert printed.returncode == 0
    assert document_of(printed)["job"] == "moved"
    assert ("seen" in printed.stderr) == (body == "prints")


@pytest.mark.slow
def test_a_python_function_without_memory_rejects_no_row(databases: TwoDatabases) -> None:
    people(databases, "CREATE TABLE people (id int PRIMARY KEY, name text)")
    databases.write(
        "tables: {people: {from: people, key: [id], copy: [id],"
        " fields: {name: {from: name, transform: 'own:function'}}}}"
    )
    (databases.folder / "own.py").write_text("def function(a):\n    raise MemoryError\n")
    printed = transfuse(databases, "migrate")
    assert printed.returncode == 3
    document = document_of(printed)
    assert "SYS-001" in {problem["code"] for problem in document["problems"]}
    assert document["tables"]["people"]["rejected"] == 0


@pytest.mark.slow
def test_a_module_that_leaves_the_process(databases: TwoDatabases) -> None:
    people(databases, "CREATE TABLE people (id int PRIMARY KEY, name text)")
    databases.write(
        "tables: {people: {from: people, key: [id], copy: [id],"
        " fields: {name: {from: name, transform: 'leaving:function'}}}}"
    )
    (databases.folder / "leaving.py").write_text("raise SystemExit(3)\n")
    printed = transfuse(databases, "plan")
    assert printed.returncode == 2
    (problem,) = document_of(printed)["problems"]
    assert "'leaving' can't be imported" in problem["message"]


PANICS = """
import asyncio

import pyarrow as pa


class Panic(BaseException):
    "As extensions in Rust raise it."


KINDS = {"p": Panic, "k": KeyboardInterrupt, "s": SystemExit, "c": asyncio.CancelledError,
         "g": GeneratorExit, "v": ValueError}


def function(values):
    for value in values.to_pylist():
        kind = KINDS.get(value[0])
        if kind is not None:
            raise kind("secret " + value)
    return pa.array([value.upper() for value in values.to_pylist()])
"""


@pytest.mark.slow
def test_a_function_that_raises_what_is_no_exception(databases: TwoDatabases) -> None:
    people(databases, "CREATE TABLE people (id int PRIMARY KEY, name text)")
    names = "('anna'), ('panics'), ('kills'), ('stops'), ('cancels'), ('generates'), ('vetoes')"
    databases.legacy.run(
        "TRUNCATE people; INSERT INTO people SELECT row_number() OVER (), name"
        f" FROM (VALUES {names}, ('otto')) AS names (name)"
    )
    databases.write(
        "tables: {people: {from: people, key: [id], copy: [id],"
        " fields: {name: {from: name, transform: 'panicking:function'}}}}"
    )
    (databases.folder / "panicking.py").write_text(PANICS)
    printed = transfuse(databases, "migrate")
    assert printed.returncode == 0, printed.stderr
    assert databases.target.values("SELECT name FROM people ORDER BY id") == ["ANNA", "OTTO"]
    assert databases.errors() == [
        ("people", str(number), "TRANS-005", "name.sql", "raised") for number in range(2, 8)
    ]
    assert "secret" not in printed.stdout + printed.stderr
    assert "Traceback" not in printed.stderr


RAISES = (
    "CREATE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE 'secret %', new; END $$;"
)


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (
            "try:\n    raise ValueError('secret')\nexcept ValueError as error:\n"
            "    logging.getLogger('apache_beam.runners').exception(error)",
            "ERROR apache_beam.runners: ValueError\n",
        ),
        (
            "def run(): raise ValueError('secret')\n"
            "thread = threading.Thread(target=run, name='reader')\nthread.start(); thread.join()",
            "ERROR reader: ValueError\n",
        ),
    ],
    ids=["logged", "ends a thread"],
)
def test_an_exception_of_beams(capfd: pytest.CaptureFixture[str], program: str, told: str) -> None:
    begin = (
        "import logging, threading\n"
        "from pipelines.logs.stderr_log import log_to_stderr\nlog_to_stderr()\n"
    )
    subprocess.run(
        [sys.executable, "-c", begin + program],
        cwd=PROJECT,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "TRANSFUSE_DEBUG"},
    )
    assert capfd.readouterr().err == told


@pytest.mark.slow
def test_losers_that_cannot_be_stored(databases: TwoDatabases) -> None:
    people(databases, "CREATE TABLE people (boss int PRIMARY KEY, name text)")
    databases.legacy.run("CREATE TABLE one (id int)")
    databases.target.run("CREATE TABLE one (id int)")
    databases.migrate("tables: {one: {from: one, copy: [id]}}\n", job="first")
    databases.target.run(
        RAISES + "CREATE TRIGGER t BEFORE INSERT ON migration.migration_duplicates"
        " FOR EACH ROW EXECUTE FUNCTION raises()"
    )
    databases.write("tables: {people: {from: people, key: [boss], copy: [boss, name]}}")
    printed = transfuse(databases, "migrate")
    assert printed.returncode == 3
    assert document_of(printed)["state"] == "incomplete"
    assert "the losers among its duplicates couldn't be found or stored" in printed.stderr
    databases.target.run("DROP TRIGGER t ON migration.migration_duplicates")
    printed = transfuse(databases, "migrate")
    assert printed.returncode == 0
    assert document_of(printed)["violations"] == {"DATA-004": 23}


@pytest.mark.slow
def test_a_load_that_cannot_be_settled(databases: TwoDatabases) -> None:
    people(
        databases,
        "CREATE TABLE people (id int PRIMARY KEY, name text, boss int);"
        + RAISES.replace("new", "new USING ERRCODE = 'internal_error'")
        + "CREATE TRIGGER t BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION raises()",
    )
    databases.write(
        "tables: {people: {from: people, key: [id], copy: [id, name],"
        " fields: {boss: {from: boss, ref: people, deferred: true}}}}"
    )
    printed = transfuse(databases, "migrate")
    assert printed.returncode == 3
    assert document_of(printed)["state"] == "incomplete"
    assert "SYS-004 table people: it couldn't be settled" in printed.stderr
    assert "SQLSTATE XX000, in raises(), line 1" in printed.stderr


@pytest.mark.parametrize(
    "arguments",
    [["unknown"], ["migrate"], ["status", "a.yaml", "--unknown"], ["rejects", "show", "a.yaml"]],
    ids=" ".join,
)
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--json"])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    (problem,) = json.loads(printed.out)["problems"]
    assert problem["code"] == "USER-001"
    assert problem["message"] in printed.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--runner=NoSuchRunner", "Beam can't make the runner 'NoSuchRunner'"),
        ("--direct_num_workers=many", "argument --direct_num_workers: invalid int value: 'many'"),
        ("--direct_num_workers=-5", "the connection limits allow 1 to 4 workers"),
    ],
)
def test_a_flag_that_beam_refuses(databases: TwoDatabases, flag: str, told: str) -> None:
    people(databases, "CREATE TABLE people (id int PRIMARY KEY, name text)")
    databases.write("tables: {people: {from: people, key: [id], copy: [id, name]}}")
    printed = transfuse(databases, "migrate", flag)
    assert printed.returncode == 2
    (problem,) = document_of(printed)["problems"]
    assert problem["code"] == "USER-001"
    assert told in problem["message"]
    assert "usage:" not in printed.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    "form", [["--json"], pytest.param([], marks=pytest.mark.slow)], ids=["json", "text"]
)
def test_a_full_disk_where_it_prints(databases: TwoDatabases, form: list[str]) -> None:
    people(databases, "CREATE TABLE people (id int PRIMARY KEY, name text)")
    path = databases.write("tables: {people: {from: people, key: [id], copy: [id, name]}}")
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "pipelines", "plan", path, *form],
            cwd=PROJECT,
            env=os.environ | databases.variables,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 3
    assert "SYS-005 what is printed: it can't be written" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_command_that_is_stopped(databases: TwoDatabases, number: signal.Signals) -> None:
    people(databases, "CREATE TABLE people (id int PRIMARY KEY, name text)")
    path = databases.write("tables: {people: {from: people, key: [id], copy: [id, name]}}")
    with psycopg.connect(databases.target.url) as keeper:
        keeper.execute("LOCK TABLE pg_attribute IN ACCESS EXCLUSIVE MODE")
        with subprocess.Popen(
            [sys.executable, "-m", "pipelines", "plan", path, "--json"],
            cwd=PROJECT,
            env=os.environ | databases.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell has the commands that it starts in the background ignore SIGINT.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not databases.legacy.row(waiting)[0]:
                assert process.poll() is None
            process.send_signal(number)
            keeper.rollback()
            out, err = process.communicate(timeout=30)
    assert process.returncode == 4
    assert json.loads(out) == {"problems": []}
    assert err == "interrupted; nothing was written\n"
