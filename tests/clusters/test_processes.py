from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from clusters.processes import Processes, free_ports, listens
from schemas.errors import ErrorCode, TransfuseError
from tests.waiting import is_alive

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]

PARENT = [
    *(sys.executable, "-c"),
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    f"child = subprocess.Popen({SLEEPER!r})\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(600)",
]
"""A process that SIGTERM doesn't end, with a child."""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path / "engine")
    yield started
    started.stop()


def test_a_process_is_stopped_with_its_children_and_nothing_else(processes, monkeypatch):
    monkeypatch.setattr("clusters.processes._ENDS_WITHIN", 0.5)
    processes.start("parent", PARENT)
    processes.start("sleeper", SLEEPER)
    log = processes.folder / "parent.log"
    processes.wait_until(lambda: bool(log.read_text().strip()), "there is a child")
    child = psutil.Process(int(log.read_text()))
    stranger = subprocess.Popen(SLEEPER)
    try:
        assert processes.stop() == 2
        # Where nobody asks for the status of an orphan, its number stays.
        assert not is_alive(child)
        assert stranger.poll() is None
        assert processes.stop() == 0
    finally:
        stranger.kill()
        stranger.wait()


def test_who_comes_later_stops_what_a_starter_that_was_killed_has_left(tmp_path):
    folder = tmp_path / "engine"
    starter = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import os, pathlib, signal\n"
            "from clusters.processes import Processes\n"
            f"Processes(pathlib.Path({str(folder)!r})).start('sleeper', {SLEEPER!r})\n"
            "os.kill(os.getpid(), signal.SIGKILL)",
        ],
        check=False,
    )
    assert starter.returncode == -9
    left = Processes(folder)
    assert left.stop() == 1
    assert left.stop() == 0


def test_a_number_that_another_process_has_by_now_is_left_alone(tmp_path):
    with subprocess.Popen(SLEEPER, start_new_session=True) as stranger:
        try:
            folder = tmp_path / "engine"
            folder.mkdir()
            created = psutil.Process(stranger.pid).create_time() - 3600
            (folder / "processes").write_text(f"{stranger.pid} {created} worker 1\n")
            assert Processes(folder).stop() == 0
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_process_that_ends_before_it_is_ready_is_told_with_its_log(processes):
    processes.start("short one", [sys.executable, "-c", "print('why')"])
    with pytest.raises(TransfuseError, match="the short one has ended") as raised:
        processes.wait_until(lambda: False, "it answers")
    (problem,) = raised.value.problems
    assert problem.code is ErrorCode.SYS_005
    assert "why" in Path(problem.where).read_text()


def test_a_condition_that_never_comes_true_is_told(processes, monkeypatch):
    monkeypatch.setattr("clusters.processes.STARTS_WITHIN", 0.2)
    processes.start("sleeper", SLEEPER)
    with pytest.raises(TransfuseError, match="until it answers"):
        processes.wait_until(lambda: False, "it answers")


def test_free_ports_are_free_and_different():
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert not any(map(listens, ports))
