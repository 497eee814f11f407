"""The files of ``--log-dir``: their events, and the guide's commands on them."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import create_server
from typing import Any

import pytest

from pipelines import LogSettings, migrate, read_specification, write_log_files
from schemas.errors import ErrorCode
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.jobs.small_hospital import TABLES, fill, run
from tests.support.waiting import wait_until

TEXT_LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (\w+=(\S+|\"[^\"]*\") )*"
    r"(INFO|WARNING|ERROR|PERFORMANCE) \S.*"
)


@contextmanager
def local_time(zone: str) -> Iterator[None]:
    """The process's time zone, as ``date`` has it from TZ."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


def shell(command: str) -> list[str]:
    """The output of a command of the guide, on a machine whose clock shows UTC."""
    ended = subprocess.run(
        ["bash", "-c", command],
        env=os.environ | {"TZ": "UTC0", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not ended.stderr
    return ended.stdout.splitlines()


def documents(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def fail_with_time_out(databases: TwoDatabases, folder: Path) -> None:
    """A run whose source doesn't answer (CONN-001), an hour ago by the clock of its log."""
    with closing(create_server(("127.0.0.1", 0))) as silent, local_time("AGO1"):
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=2"
        databases.write(TABLES, HEADER.replace("${LEGACY_URL}", url))
        assert run(databases, "migrate", "SPEC", "--job=other", "--log-dir", str(folder)) == 3


def test_the_guides_commands(databases: TwoDatabases) -> None:
    fill(databases)
    folder = databases.folder / "log"
    errors, performance = folder / "error.log", folder / "performance.log"
    databases.write(TABLES)
    assert run(databases, "migrate", "SPEC", "--log-dir", str(folder)) == 0
    assert errors.read_text() == ""
    hour = ""
    while hour != time.strftime("%H"):
        # Again if the hour has ended meanwhile.
        hour = time.strftime("%H")
        fail_with_time_out(databases, folder)
        recent = shell(f"""grep "$(date -d '1 hour ago' '+%Y-%m-%d %H')" {errors}""")
        counted = shell(f"grep -o 'ERROR.*' {errors} | sort | uniq -c | sort -nr")
    assert recent
    assert all("CONN-001" in line for line in recent)
    (only,) = counted
    assert re.match(rf" +{len(recent)} ERROR CONN-001 the server doesn't answer", only), only
    assert shell(f'grep "CONN-001" {errors}') == errors.read_text().splitlines()
    measured = shell(f"awk '/PERFORMANCE/ {{print $1, $2, $NF}}' {performance} | sort")
    assert len(measured) == 5, "three partitions, the run and its only sample"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d [\d:.]{12} \d+", line) for line in measured)
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        for line in path.read_text().splitlines():
            assert TEXT_LINE.fullmatch(line), line
    assert folder.stat().st_mode & 0o777 == 0o700


def test_tail_shows_what_happens(databases: TwoDatabases) -> None:
    fill(databases)
    databases.write(TABLES)
    log = databases.folder / "application.log"
    log.touch()
    seen = databases.folder / "seen"
    with open(seen, "wb") as output, subprocess.Popen(["tail", "-f", log], stdout=output) as tail:
        try:
            assert run(databases, "status", "SPEC", "--log-dir", str(databases.folder)) == 2
            wait_until(lambda: "'status' ends" in seen.read_text())
        finally:
            tail.kill()
    assert " ERROR USER-001 there is no job 'moved' in the target" in log.read_text()


@pytest.mark.slow
def test_events_in_json(databases: TwoDatabases) -> None:
    fill(databases)
    databases.target.run("ALTER TABLE visits ADD CHECK (visit_id > 0)")
    databases.write(TABLES)
    folder = databases.folder / "log"
    flags = ("--log-dir", str(folder), "--log-format", "json")
    assert run(databases, "migrate", "SPEC", *flags) == 0
    assert run(databases, "rejects", "discard", "SPEC", "--all", "--reason=r", "--yes", *flags) == 0
    events = documents(folder / "application.log")
    for event in events:
        assert {*event} >= {"time", "level", "code", "job", "run", "load", "partition", "message"}
        assert re.fullmatch(r"[\d-]{10}T[\d:.]{12}[+-]\d\d:\d\d", event["time"])
    committed = [event for event in events if "partition committed" in event["message"]]
    assert [(e["job"], e["run"], e["load"], e["rows"]) for e in committed] == [
        ("moved", 1, "patients", 6),
        ("moved", 1, "visits", 5),
        ("moved", 1, "diagnoses", 4),
    ]
    assert all(event["seconds"] > 0 for event in committed)
    messages = " ".join(event["message"] for event in events)
    for text in (
        "'migrate' begins",
        "the run begins: 15 rows of 3 loads",
        "the load begins",
        "the load is complete and settled",
        "run ended: the job is complete, exit status 0; 15 read, 5 accepted, 8 rejected",
        "'migrate' ends: exit status 0",
        "rejected rows discarded: 8",
    ):
        assert text in messages, text
    assert [e["rows"] for e in documents(folder / "performance.log")] == [6, 5, 4, 15, 15]
    assert (folder / "error.log").read_text() == ""


def test_a_failed_partition_is_counted_by_its_message(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE people (id int PRIMARY KEY, name text);"
        "INSERT INTO people SELECT i, 'Roe' || i FROM generate_series(1, 3) i"
    )
    databases.target.run("CREATE TABLE people (id int PRIMARY KEY, name text)")
    databases.target.fill_up("people")
    path = databases.write("tables: {people: {from: people, key: [id], copy: [id, name]}}")
    with write_log_files(LogSettings(databases.folder / "log")):
        outcome = migrate(read_specification(path, databases.variables))
    assert outcome.status == 3
    (failed,) = (databases.folder / "log" / "error.log").read_text().splitlines()
    assert re.search(r" job=moved run=1 load=people partition=\d+ ERROR SYS-005 ", failed), failed
    assert "Roe" not in failed


@pytest.mark.parametrize(
    ("place", "reason"),
    [("a file", "there is a file of that name"), ("a file/below", "a file of that name")],
)
def test_a_folder_that_cannot_be_written_to_is_refused(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str], place: str, reason: str
) -> None:
    fill(databases)
    databases.write(TABLES)
    (databases.folder / "a file").touch()
    assert run(databases, "migrate", "SPEC", "--log-dir", str(databases.folder / place)) == 2
    printed = capsys.readouterr().err
    assert "SYS-004 " in printed
    assert reason in printed
    assert databases.target.values("SELECT to_regnamespace('migration')") == [None]


@pytest.mark.parametrize("flag", ["--log-queries", "--log-format=json"])
def test_flags_about_files_need_a_folder(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    databases.write(TABLES)
    assert run(databases, "status", "SPEC", flag) == 2
    printed = capsys.readouterr().err
    assert f"USER-001 {flag.partition('=')[0]} is about log files" in printed
    assert "add --log-dir DIR" in printed


@pytest.mark.parametrize(
    ("level", "expected"),
    [(logging.NOTSET, "a warning\n"), (logging.DEBUG, "a detail\na warning\n")],
)
def test_other_handlers_get_no_more_than_before(tmp_path: Path, level: int, expected: str) -> None:
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    logging.getLogger().addHandler(handler)
    logging.getLogger("transfuse").setLevel(level)
    try:
        with write_log_files(LogSettings(tmp_path, logging.DEBUG, queries=True)):
            for name in ("transfuse.x", "transfuse.sql"):
                logging.getLogger(name).debug("a detail")
            logging.getLogger("transfuse.x").warning("a warning")
        logging.getLogger("transfuse.sql").debug("later")
    finally:
        logging.getLogger("transfuse").setLevel(logging.NOTSET)
        logging.getLogger().removeHandler(handler)
    assert shown.getvalue() == expected
    assert len((tmp_path / "application.log").read_text().splitlines()) == 3


def test_a_library_can_say_nothing_of_a_row(tmp_path: Path) -> None:
    with write_log_files(LogSettings(tmp_path, logging.DEBUG)):
        try:
            raise ValueError("Roe")
        except ValueError:
            logging.getLogger("apache_beam.x").exception("Roe can't be processed")
            logging.getLogger("transfuse.steps").exception("a step failed")
        fields = {"job": "moved", "run": 2, "code": ErrorCode.CONN_001}
        logging.getLogger("transfuse.x").error("CONN-001 no answer", extra=fields)
        logging.getLogger("transfuse.x").error("two\nlines at %s", "postgresql://u:secret@h/d")
    text = (tmp_path / "error.log").read_text()
    assert "Roe" not in text
    assert "secret" not in text
    assert " job=moved run=2 ERROR CONN-001" in text
    assert re.findall(r"ERROR .*", text) == [
        "ERROR apache_beam.x, line "
        + re.findall(r"line (\d+)", text)[0]
        + " of test_log_files.py: ValueError",
        "ERROR a step failed: ValueError",
        "ERROR CONN-001 no answer",
        "ERROR two lines at postgresql://***@h/d",
    ]
