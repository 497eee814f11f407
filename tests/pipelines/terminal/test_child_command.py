"""What a signal does to a process that attends a command."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.terminal.child_command import run_child
from schemas.errors import ExitStatus
from tests.support.project import PROJECT
from tests.support.waiting import wait_until

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

ATTEND = (
    "import sys; from pipelines.terminal.child_command import run_child;"
    " sys.exit(run_child(sys.argv[1:]))"
)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    known = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in known.items():
        signal.signal(number, handler)


def test_a_status_is_handed_on() -> None:
    assert run_child(["sh", "-c", "exit 4"]) == 4


def test_a_command_that_is_killed_is_incomplete() -> None:
    assert run_child(["sh", "-c", "kill -9 $$"]) == ExitStatus.INCOMPLETE


def test_variables_are_added_to_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "3")
    assert run_child(["sh", "-c", "exit $((HERE + THERE))"], {"THERE": "4"}) == 7


def test_a_signal_is_passed_on() -> None:
    """The command asks for it itself, so it can't come too early."""
    asks = "trap 'kill $!; exit 4' TERM; sleep 60 & kill $PPID; wait; exit 0"
    attends = ATTEND
    command = [sys.executable, "-c", attends, "sh", "-c", asks]
    assert subprocess.run(command, cwd=PROJECT).returncode == 4


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child")
def test_a_command_ends_with_the_process_that_attends_it(tmp_path: Path) -> None:
    """Also where that is killed, and can't pass anything on."""
    tells = tmp_path / "told"
    waits = f"trap 'touch {tells}; exit 4' TERM; echo $$; sleep 60 & wait"
    attends = ATTEND
    command = [sys.executable, "-c", attends, "sh", "-c", waits]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.kill()
        process.wait()
    wait_until(tells.exists)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_comes_before_the_command_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def start_late(*arguments: Any, **named: Any) -> subprocess.Popen[bytes]:
        signal.raise_signal(number)
        return Popen(*arguments, **named)

    Popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start_late)
    assert run_child(["sleep", "60"]) == ExitStatus.INCOMPLETE
