"""The verb ``explain``: all codes, one code, a specification, wrong arguments, its imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pipelines.cli.main import main
from pipelines.terminal.console import print_problems
from schemas.errors import ErrorCode, Problem
from tests.support.project import PROJECT

Capsys = pytest.CaptureFixture[str]

DEMO = str(PROJECT / "demo" / "hospital.yaml")

SPECIFICATION = """
job: plain
sources:
  adt: {url: "postgresql://reader:zXq7@adt-server:5433/adt"}
  files: {path: ./extract, format: csv}
target: {url: "postgresql://writer:zXq7@new-server/hospital"}
unknown_key: 1
tables:
  wards: {from: {source: adt, table: old.Ward}, key: [id], fields: {id: {from: order}}}
  beds: {from: {source: files, file: beds.csv}, key: [id], copy: [id]}
  stays:
    from: {source: adt, query: "select * from dblink('dbname=x password=zXq7', '') s(no int);"}
    key: [id]
    fields: {id: {from: no}, ward_id: {from: ward, ref: wards}}
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    written = tmp_path / "plain.yaml"
    written.write_text(SPECIFICATION)
    return str(written)


def test_it_lists_every_code_with_its_response_time(capsys: Capsys) -> None:
    assert main(["explain"]) == 0
    printed = capsys.readouterr().out
    for code in ErrorCode:
        assert code.value in printed
        assert code.severity.label in printed
    assert "15 minutes" in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert main(["explain", "--json"]) == 0
    codes = json.loads(capsys.readouterr().out)["codes"]
    assert [code["code"] for code in codes] == [code.value for code in ErrorCode]
    assert codes[0]["respond_within_seconds"] == 3600
    assert codes[0]["contacts"]["3"] == "Network Team"


@pytest.mark.parametrize("code", [code.value for code in ErrorCode])
def test_it_explains_every_code(code: str, capsys: Capsys) -> None:
    assert main(["explain", code]) == 0
    printed = capsys.readouterr().out
    for title in ("Symptoms", "Common causes", "What Transfuse does", "Diagnosis", "Resolution"):
        assert f"\n{title}" in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert main(["explain", code, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["code"] == code
    assert document["diagnosis"]
    assert document["resolution"]


def test_it_fills_in_what_a_wrong_specification_says(path: str, capsys: Capsys) -> None:
    assert main(["explain", "data-001", path, "--table", "wards"]) == 0
    printed = capsys.readouterr().out
    assert "on source adt adt-server:5433/adt:" in printed
    assert (
        'count(*) FILTER (WHERE nullif(btrim("order"::text), \'\') IS NULL) AS "order"' in printed
    )
    assert 'FROM old."Ward" AS r;' in printed
    assert "'old.\"Ward\"'::regclass" in printed
    assert main(["explain", "DATA-002", path]) == 0
    printed = capsys.readouterr().out
    assert "FROM (select * from dblink('dbname=x password=***'" in printed
    assert "beds.csv" not in printed
    assert "zXq7" not in printed


def test_a_specification_alone_gets_the_procedures(path: str, capsys: Capsys) -> None:
    assert main(["explain", path, "--job", "other"]) == 0
    printed = capsys.readouterr().out
    assert "Troubleshooting other" in printed
    assert "pg_isready -h adt-server -p 5433 -d adt" in printed
    assert f"transfuse status {path} --job other" in printed
    assert "WHERE job_id = 'other'" in printed
    assert "zXq7" not in printed
    assert main(["explain", path, "--json"]) == 0
    titles = [p["title"] for p in json.loads(capsys.readouterr().out)["procedures"]]
    assert titles == ["Health check", "Log analysis", "Performance", "Emergency"]


def test_variables_that_are_not_set_are_named(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TARGET_URL", raising=False)
    monkeypatch.setenv("LEGACY_URL", "postgresql://a@b:1/c")
    assert main(["explain", "CONN-001", DEMO, "--var", "TARGET_URL=postgresql://w:zXq7@new/d"]) == 0
    assert "nc -vz -w 5 new 5432" in capsys.readouterr().out
    assert main(["explain", "CONN-001", DEMO, "--var", "TARGET_URL=postgresql://w:z/Xq7@n/d"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "its URL has a fault" in printed
    assert "Xq7" not in printed
    assert main(["explain", "CONN-001", DEMO]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "stand for those of the target: its URL is not set" in printed
    assert "nc -vz -w 5 b 1" in printed


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["DATA-1"], "did you mean 'DATA-001'?"),
        (["CON-001"], "did you mean 'CONN-001'?"),
        (["TRANS-009"], "did you mean 'TRANS-00"),
        (["nonsense"], "'transfuse explain' lists all codes"),
        (["DATA-" + "9" * 5000], "'transfuse explain' lists all codes"),
        (["missing.yaml"], "give the path of a specification file"),
        (["DATA-001", "--table", "wards"], "transfuse explain DATA-001 SPEC"),
        (["DATA-001", DEMO, "--table", "patient"], "did you mean 'patients'?"),
        ([DEMO, DEMO], f"transfuse explain CODE {DEMO}"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], suggestion: str, capsys: Capsys) -> None:
    assert main(["explain", *arguments]) == 2
    refusal = capsys.readouterr().err
    assert refusal.startswith("USER-001")
    assert suggestion in refusal


def test_it_imports_neither_beam_nor_duckdb(path: str) -> None:
    heavy = "{m.partition('.')[0] for m in sys.modules} & {'apache_beam', 'duckdb', 'pyarrow'}"
    code = (
        "import sys; from pipelines.cli.main import main;"
        f" assert main(['explain', 'DATA-002', {path!r}]) == 0; assert not {heavy}, {heavy}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=PROJECT)


def read_screen(terminal: int) -> str:
    """All that was printed on a terminal whose other end is closed."""
    printed = b""
    with open(terminal, "rb", buffering=0) as screen, suppress(OSError):
        # Linux ends it with an error.
        while part := screen.read(4096):
            printed += part
    return printed.decode()


@pytest.mark.parametrize(
    ("code", "is_mentioned"),
    [("CONN-004", True), ("SYS-003", True), ("SYS-004", False), ("USER-001", False)],
)
def test_a_terminal_mentions_it_where_the_cause_is_elsewhere(
    code: str, is_mentioned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        print_problems([Problem(ErrorCode(code), "it failed"), Problem(ErrorCode.USER_001, "x")])
    printed = read_screen(ours)
    assert "it failed" in printed
    assert (f"transfuse explain {code}" in printed) is is_mentioned
