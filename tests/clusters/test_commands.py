"""``python -m clusters``: what it says, and how it ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.__main__ import ENGINES, main
from clusters.cluster_engine import Cluster, Engine, Installation
from schemas.errors import ExitStatus


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a checkout's clusters. What the command sets for signals is taken back."""
    folder = tmp_path / ".transfuse"
    monkeypatch.setattr("clusters.__main__.STATE", folder)
    monkeypatch.setattr("clusters.__main__.JARS", folder / "jars")
    known = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield folder
    for number, handler in known.items():
        signal.signal(number, handler)


def test_a_lock_that_cannot_be_opened_is_told(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "flink" / "lock").mkdir(parents=True)
    assert main(["migrate", "flink", "hospital.yaml"]) == ExitStatus.INCOMPLETE
    told = capsys.readouterr().err
    assert told.startswith(f"SYS-005 {state / 'flink' / 'lock'}: it can't be used: ")
    assert "-> make room, or give the right" in told


def test_a_jar_that_cannot_be_replaced_is_told(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusters.__main__.find_java", lambda _: Path("/opt/java"))
    monkeypatch.setattr("clusters.__main__.read_lock", lambda _: [])
    (state / "jars" / "flink-job-server.jar").mkdir(parents=True)
    assert main(["fetch", "flink"]) == ExitStatus.INCOMPLETE
    assert capsys.readouterr().err.startswith(f"SYS-005 {state / 'jars' / 'flink-job-server.jar'}")


@pytest.mark.usefixtures("state")
def test_a_migration_that_is_killed_is_incomplete(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster("http://127.0.0.1:1", ())
    monkeypatch.setitem(
        ENGINES, "flink", Engine("flink", range(11, 22), "", (), lambda *_: cluster)
    )
    installation = Installation(Path("/opt/java"), tmp_path, (), tmp_path / "job-server.jar")
    monkeypatch.setattr("clusters.__main__.install", lambda _: installation)
    killed = tmp_path / "python"
    killed.write_text(f'#!/bin/sh\n[ "$3" = migrate ] && kill -9 $$\nexec {sys.executable} "$@"\n')
    killed.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(killed))
    assert main(["migrate", "flink", "hospital.yaml"]) == ExitStatus.INCOMPLETE


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("verb", [["stop"], ["fetch", "flink"], ["lock", "flink", "listing"]])
def test_a_flag_that_a_verb_does_not_have_is_refused(
    verb: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusters.__main__.install", lambda _: pytest.fail("it has begun"))
    with pytest.raises(SystemExit) as ended:
        main([*verb, "--parallelism=1"])
    assert ended.value.code == ExitStatus.REFUSED
    assert "unrecognized arguments: --parallelism=1" in capsys.readouterr().err


def test_the_command_for_a_kept_cluster_names_the_java_of_the_engine(
    state: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster("http://127.0.0.1:1", ("--runner=FlinkRunner",))
    engine = Engine("flink", range(11, 22), "", (), lambda *_: cluster)
    monkeypatch.setitem(ENGINES, "flink", engine)
    installation = Installation(Path("/opt/java"), state, (), state / "job-server.jar")
    monkeypatch.setattr("clusters.__main__.install", lambda _: installation)
    try:
        missing = str(state / "hospital.yaml")
        assert main(["migrate", "flink", missing, "--keep"]) == ExitStatus.REFUSED
        told = capfd.readouterr().err
    finally:
        main(["stop"])
    assert "The flink cluster is stopped." in capfd.readouterr().out
    _, command = told.split(".venv/bin/transfuse migrate SPEC")
    assert "--runner=FlinkRunner" in command
    assert "--job_server_java_launcher=/opt/java" in command
