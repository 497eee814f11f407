"""The command: its exit status, its one JSON document, and how little a help needs."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pipelines.cli.main import main
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json
from tests.support.project import PROJECT

Capture = pytest.CaptureFixture[str]


VERBS = ("migrate", "plan", "try", "status", "rules", "rejects", "rejects list", "rejects show")

LOOKING = (
    ["plan", "SPEC"],
    ["try", "SPEC", "patients", "{}"],
    ["status", "SPEC"],
    ["rejects", "list", "SPEC"],
    ["rejects", "show", "SPEC", "1"],
)
"""Calls of the verbs that only look."""


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, capture_output=True, text=True, check=True
    )


def test_a_help_imports_next_to_nothing() -> None:
    called = "\n".join(
        f"""
try:
    main({[*verb.split(), "--help"]!r})
except SystemExit as ended:
    assert ended.code == 0"""
        for verb in ("", *VERBS)
    )
    heavy = (
        "apache_beam",
        "duckdb",
        "psycopg",
        "pyarrow",
        "pydantic",
        "rich",
        "sqlalchemy",
        "yaml",
    )
    printed = _python(
        "-c",
        f"import sys\nfrom pipelines.cli.main import main\n{called}\n"
        f"print([name for name in {heavy!r} if name in sys.modules])",
    ).stdout
    assert printed.count("usage: transfuse") == len(VERBS) + 1
    assert printed.splitlines()[-1] == "[]"


def test_the_help_has_a_line_for_each_verb() -> None:
    printed = _python("-m", "pipelines", "--help").stdout
    for verb in VERBS:
        assert re.search(rf"^ +{verb.split()[0]} {{2,}}\S", printed, re.MULTILINE), verb


def test_who_only_looks_imports_no_beam(databases: TwoDatabases) -> None:
    fill(databases)
    path = str(databases.write(TABLES))
    variables = [f"--var={name}={url}" for name, url in databases.variables.items()]
    calls = [[*(path if a == "SPEC" else a for a in words), *variables] for words in LOOKING]
    printed = _python(
        "-c",
        "import sys\nfrom pipelines.cli.main import main\n"
        f"for call in {calls!r}:\n    main(call)\n    print('beam:', 'apache_beam' in sys.modules)",
    ).stdout
    assert re.findall("^beam: (.*)", printed, re.MULTILINE) == ["False"] * len(LOOKING)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["migrate"],
        ["status", "a.yaml", "--unknown"],
        ["rejects", "a.yaml"],
        ["rejects", "revive", "a.yaml"],
        ["rejects", "show", "a.yaml"],
        ["try", "a.yaml"],
        ["status", "a.yaml", "--js"],
    ],
    ids=" ".join,
)
def test_wrong_use(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "usage: transfuse" in printed.err


@pytest.mark.parametrize("arguments", [["migrate", "SPEC"], *LOOKING])
def test_no_specification(arguments: list[str], capsys: Capture, tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere.yaml")
    assert main([*(path if a == "SPEC" else a for a in arguments), "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["code"] == "USER-001"


@pytest.mark.parametrize("arguments", [["migrate", "SPEC"], *LOOKING])
def test_a_wrong_specification(arguments: list[str], capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("job: x\nsource: {url: a}\ntarget: {url: b}\ntables: {t: {form: t}}\n")
    assert main([str(path) if a == "SPEC" else a for a in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "wrong.yaml:4" in printed.err
    assert "did you mean 'from'?" in printed.err


def test_variables(databases: TwoDatabases, capsys: Capture) -> None:
    fill(databases)
    path = str(databases.write(TABLES))
    assert main(["status", path, "--var", "LEGACY_URL"]) == 2
    assert "NAME=VALUE" in capsys.readouterr().err
    assert main(["status", path, f"--var=LEGACY_URL={databases.legacy.url}"]) == 2
    assert "TARGET_URL is not set" in capsys.readouterr().err
    assert run(databases, "plan", "SPEC") == 0


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port at which nobody listens, and which nobody else can take meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("arguments", [["migrate", "SPEC"], *LOOKING])
def test_an_unreachable_server(
    databases: TwoDatabases, capsys: Capture, silent_port: int, arguments: list[str]
) -> None:
    path = str(databases.write(TABLES))
    url = f"postgresql://somebody:secret@127.0.0.1:{silent_port}/hospital"
    variables = ["--var", f"LEGACY_URL={databases.legacy.url}", "--var", f"TARGET_URL={url}"]
    given = [path if a == "SPEC" else a for a in arguments]
    assert main([*given, "--json", *variables]) == 3
    printed = capsys.readouterr()
    (problem,) = json.loads(printed.out)["problems"]
    assert problem["code"] == "CONN-004"
    assert problem["where"] == f"127.0.0.1:{silent_port}/hospital"
    assert "secret" not in printed.out + printed.err


@pytest.mark.parametrize("missing", ["LEGACY_URL", "TARGET_URL"])
@pytest.mark.parametrize("verb", ["migrate", "plan"])
def test_a_database_that_there_isnt(
    databases: TwoDatabases, capsys: Capture, missing: str, verb: str
) -> None:
    fill(databases)
    path = str(databases.write(TABLES))
    urls = databases.variables
    name = psycopg.conninfo.conninfo_to_dict(urls[missing])["dbname"]
    urls[missing] = urls[missing].replace(f"/{name}?", "/nowhere?")
    assert main([verb, path, "--json", *(f"--var={n}={u}" for n, u in urls.items())]) == 3
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["code"] == "CONN-002"


def test_a_role_without_rights(databases: TwoDatabases, capsys: Capture, server: str) -> None:
    fill(databases)
    databases.migrate(TABLES)
    name = f"nobody{os.getpid()}"
    role = sql.Identifier(name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        try:
            url = databases.target.url.replace("//postgres@", f"//{name}@")
            variables = [f"--var=LEGACY_URL={url}", f"--var=TARGET_URL={url}"]
            path = str(databases.folder / "specification.yaml")
            capsys.readouterr()
            assert main(["rejects", "list", path, "--json", *variables]) == 2
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(role))
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["code"] == "USER-002"
    assert problem["remedy"] == f"GRANT USAGE ON SCHEMA migration TO {name};"


@pytest.mark.parametrize(
    ("variable", "where", "grant"),
    [
        ("LEGACY_URL", "source, public.people", "GRANT SELECT (id) ON public.people TO"),
        ("TARGET_URL", "target, table public.people", "GRANT INSERT (id), SELECT ON public.people"),
    ],
)
def test_a_role_that_may_not_read_a_table(
    databases: TwoDatabases, capsys: Capture, server: str, variable: str, where: str, grant: str
) -> None:
    for database in (databases.legacy, databases.target):
        database.run("CREATE TABLE people (id int PRIMARY KEY)")
    databases.write("tables: {people: {from: people, copy: [id]}}")
    name = f"reader{os.getpid()}"
    role = sql.Identifier(name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    try:
        databases.target.run(f"GRANT CREATE ON DATABASE {databases.target.name} TO {name}")
        urls = databases.variables
        urls[variable] = urls[variable].replace("//postgres@", f"//{name}@")
        path = str(databases.folder / "specification.yaml")
        given = [f"--var={n}={u}" for n, u in urls.items()]
        assert main(["migrate", path, "--json", *given]) == 2
    finally:
        databases.target.run(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["code"], problem["where"]) == ("USER-002", where)
    assert problem["remedy"].startswith(grant)


@pytest.mark.parametrize("source", ["broken", "{query: select a::int as a from things}"])
def test_a_source_that_fails(databases: TwoDatabases, capsys: Capture, source: str) -> None:
    databases.legacy.run(
        "CREATE TABLE things (a text); INSERT INTO things VALUES ('secret');"
        "CREATE VIEW broken AS SELECT a::int AS a FROM things"
    )
    databases.target.run("CREATE TABLE things (a int)")
    databases.write(f"tables: {{things: {{from: {source}, copy: [a]}}}}")
    assert run(databases, "plan", "SPEC", "--json") == 3
    printed = capsys.readouterr()
    (problem,) = json.loads(printed.out)["problems"]
    assert problem["code"] == "SYS-004"
    assert problem["where"] == "table things, in the source"
    assert "22P02" in problem["message"]
    assert "fix the view, query" in problem["remedy"]
    assert "secret" not in printed.out + printed.err


@pytest.mark.slow
def test_a_lock_that_is_held(databases: TwoDatabases, capsys: Capture) -> None:
    fill(databases)
    url = f"{databases.target.url}&options=-c%20lock_timeout%3D10"
    databases.write(TABLES, HEADER.replace("${TARGET_URL}", url))
    with databases.target.another() as holder:
        holder.execute("BEGIN; LOCK TABLE visits")
        assert run(databases, "migrate", "SPEC", "--json") == 3
        holder.execute("ROLLBACK")
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["code"], problem["where"]) == ("SYS-005", "table visits, in the target")
    assert "holds a lock" in problem["message"]
    assert "55P03" in problem["message"]
    run_json(databases, capsys, ["migrate", "SPEC"])


def test_a_crash_tells_no_value(
    databases: TwoDatabases, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("the patient's name")

    fill(databases)
    databases.write(TABLES)
    monkeypatch.delenv("TRANSFUSE_DEBUG", raising=False)
    monkeypatch.setattr("pipelines.watch.status.read_status", crash)
    (problem,) = run_json(databases, capsys, ["status", "SPEC"], 1)["problems"]
    assert problem["code"] == "SYS-003"
    assert problem["message"] == "crashed with RuntimeError"
    assert run(databases, "status", "SPEC") == 1
    assert "the patient's name" not in "".join(capsys.readouterr())
