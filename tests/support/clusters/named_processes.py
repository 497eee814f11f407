"""The processes of a cluster that a test disturbs one by one."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from clusters.processes import Processes
from tests.support.waiting import is_alive


class NamedProcesses(Processes):
    """Those that this object has started are found by their names, and started again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._started: dict[str, psutil.Process] = {}
        self._commands: dict[str, tuple[Sequence[str], Mapping[str, str] | None]] = {}

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        super().start(name, command, environment)
        self._started[name] = psutil.Process(self._children[-1].pid)
        self._commands[name] = command, environment

    def named(self, name: str) -> psutil.Process:
        return self._started[name]

    def running(self) -> list[str]:
        return [name for name, process in self._started.items() if is_alive(process)]

    def start_again(self, name: str) -> None:
        """Its former line stays in the register, and is that of a process that has ended."""
        former = self._started[name]
        with suppress(psutil.NoSuchProcess):
            former.terminate()
        psutil.wait_procs([former], timeout=15)
        # What it has started, and itself if need be.
        with suppress(ProcessLookupError):
            os.killpg(former.pid, signal.SIGKILL)
        self.start(name, *self._commands[name])
