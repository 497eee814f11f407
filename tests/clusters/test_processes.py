from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from clusters.processes import Processes, free_ports, listens
from schemas.errors import ErrorCode, TransfuseError
from tests.support.waiting import is_alive

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
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    # What ends by SIGTERM does so at once.
    monkeypatch.setattr("clusters.processes._ENDS_WITHIN", 1.0)
    started = Processes(tmp_path / "engine")
    yield started
    started.stop()


def parent_and_child(processes: Processes) -> tuple[psutil.Process, psutil.Process]:
    """The processes of ``PARENT``, started as "parent"."""
    log = processes.folder / "parent.log"
    processes.wait_until(lambda: bool(log.read_text().strip()), "there is a child")
    child = psutil.Process(int(log.read_text()))
    return child.parent(), child


def children() -> set[psutil.Process]:
    return set(psutil.Process().children())


@pytest.mark.slow
def test_a_process_is_stopped_with_its_children_and_nothing_else(processes: Processes) -> None:
    processes.start("parent", PARENT)
    processes.start("sleeper", SLEEPER)
    _, child = parent_and_child(processes)
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


@pytest.mark.slow
def test_who_comes_later_stops_what_a_starter_that_was_killed_has_left(tmp_path: Path) -> None:
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


def test_a_number_that_another_process_has_by_now_is_left_alone(tmp_path: Path) -> None:
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


def test_a_process_that_cannot_be_registered_is_ended_at_once(processes: Processes) -> None:
    before = children()
    register = processes.folder / "processes"
    register.mkdir(parents=True)
    try:
        with pytest.raises(IsADirectoryError):
            processes.start("parent", PARENT)
        assert not any(map(is_alive, children() - before))
    finally:
        register.rmdir()
    assert processes.stop() == 0


def test_stop_ends_what_an_interruption_has_kept_out_of_the_register(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = children()
    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "create_time", interrupted)
        # What would end it at once is interrupted as well.
        patch.setattr("os.killpg", interrupted)
        with pytest.raises(KeyboardInterrupt):
            processes.start("sleeper", SLEEPER)
    (child,) = children() - before
    stopping = threading.Thread(target=processes.stop, daemon=True)
    stopping.start()
    try:
        stopping.join(timeout=10)
        assert not is_alive(child)
    finally:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def test_what_a_process_that_was_killed_has_left_is_ended(processes: Processes) -> None:
    processes.start("parent", PARENT)
    parent, child = parent_and_child(processes)
    parent.kill()
    parent.wait()
    assert processes.stop() == 0
    assert not is_alive(child)


def test_what_was_registered_before_the_machine_started_ends_nobody(processes: Processes) -> None:
    """The number of its session can have been given to another since, whose first process is gone
    already."""
    processes.start("parent", PARENT)
    parent, child = parent_and_child(processes)
    parent.kill()
    parent.wait()
    folder = processes.folder.parent / "before"
    folder.mkdir()
    (folder / "processes").write_text(f"{parent.pid} {psutil.boot_time() - 3600} worker 1\n")
    assert Processes(folder).stop() == 0
    assert is_alive(child)


def test_a_process_of_another_user_is_told_and_stays_in_the_register(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise psutil.AccessDenied

    processes.start("sleeper", SLEEPER)
    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "send_signal", refused)
        with pytest.raises(TransfuseError, match="the sleeper can't be ended") as raised:
            Processes(processes.folder).stop()
    assert raised.value.problems[0].code is ErrorCode.USER_002
    assert processes.stop() == 1


def test_a_line_that_was_cut_off_stops_nobody_from_stopping_the_others(
    processes: Processes,
) -> None:
    processes.start("sleeper", SLEEPER)
    with open(processes.folder / "processes", "a") as register:
        register.write("12345 17")
    assert processes.stop() == 1


def test_a_process_that_ends_before_it_is_ready_is_told_with_its_log(processes: Processes) -> None:
    processes.start("short one", [sys.executable, "-c", "print('why')"])
    with pytest.raises(TransfuseError, match="the short one has ended") as raised:
        processes.wait_until(lambda: False, "it answers")
    (problem,) = raised.value.problems
    assert problem.code is ErrorCode.SYS_005
    assert "why" in Path(problem.where).read_text()


def test_a_condition_that_never_comes_true_is_told(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusters.processes.STARTS_WITHIN", 0.2)
    processes.start("sleeper", SLEEPER)
    with pytest.raises(TransfuseError, match="until it answers"):
        processes.wait_until(lambda: False, "it answers")


def test_free_ports_are_free_and_different() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert not any(map(listens, ports))
