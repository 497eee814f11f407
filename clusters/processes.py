"""The processes of a cluster: each in a session of its own, with a log and a line in a register.

The register is what another process stops them by, after the one that started them has crashed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

STARTS_WITHIN = 120.0
"""Seconds that a condition is waited for."""

_ENDS_WITHIN = 15.0
"""Seconds between SIGTERM and SIGKILL."""

_BETWEEN_LOOKS = 0.05
"""Seconds."""

_SAME_MOMENT = 1.0
"""Seconds by which two readings of one process's creation time may differ: the system counts it
from its start, which it computes from a clock that may have been set."""


@dataclass(frozen=True)
class _Started:
    """A process as the register has it; ``created`` in seconds since 1970."""

    pid: int
    created: float
    name: str

    @classmethod
    def of(cls, child: subprocess.Popen[bytes], name: str) -> _Started:
        return cls(child.pid, psutil.Process(child.pid).create_time(), name)

    @classmethod
    def read(cls, line: str) -> _Started | None:
        """None for a line that was cut off, when the disk was full or the power failed: its process
        doesn't run any more."""
        with suppress(ValueError):
            pid, created, name = line.split(" ", 2)
            return cls(int(pid), float(created), name)
        return None

    def __str__(self) -> str:
        return f"{self.pid} {self.created} {self.name}"

    def is_running(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return bool(
                abs(process.create_time() - self.created) < _SAME_MOMENT
                and process.status() != psutil.STATUS_ZOMBIE
            )
        return False

    def session(self) -> list[psutil.Process]:
        """What is left of its session. The number of a session that has a process isn't reused for
        a new process; so if another has it now, nothing is left."""
        with suppress(psutil.NoSuchProcess):
            if abs(psutil.Process(self.pid).create_time() - self.created) >= _SAME_MOMENT:
                return []
        return [process for process in psutil.process_iter() if _session_of(process) == self.pid]


class Processes:
    """The processes of one cluster, whose logs and register lie in ``folder``.

    ``files`` is a folder for what they put aside: rows among other things, so ``stop`` removes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"
        self._register = folder / "processes"
        self._children: list[subprocess.Popen[bytes]] = []

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Starts a process that outlives this one; ``environment`` comes on top of this one's.

        Raises OSError.
        """
        self.files.mkdir(parents=True, exist_ok=True)
        with open(self._log(name), "wb") as log:
            child = subprocess.Popen(
                command,
                env=os.environ | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children.append(child)
        try:
            with open(self._register, "a", encoding="utf-8") as register:
                register.write(f"{_Started.of(child, name)}\n")
        except BaseException:
            # Nobody who comes later would know of it.
            _kill(child)
            raise

    def wait_until(self, is_so: Callable[[], bool], described: str) -> None:
        """Wait for a condition, which messages call ``described`` ("the master answers").

        Raises TransfuseError (SYS-005) where a process of this cluster has ended, or after
        ``STARTS_WITHIN``.
        """
        deadline = time.monotonic() + STARTS_WITHIN
        while not is_so():
            for started in self._read_register():
                if not started.is_running():
                    raise _failure(f"the {started.name} has ended", self._log(started.name))
            if time.monotonic() > deadline:
                raise _failure(f"it took too long until {described}", self.folder)
            time.sleep(_BETWEEN_LOOKS)

    def stop(self) -> int:
        """Ends all processes in the register with what they have started, and nothing else.

        Gives their number; a process that has ended by itself isn't counted. Raises TransfuseError
        (USER-002) where one is another user's, and leaves the register as it is then.
        """
        stored = list(reversed(self._read_register()))
        ended = sum(started.is_running() for started in stored)
        _end([process for started in stored for process in started.session()])
        # What was started while the others ended.
        _signal([process for started in stored for process in started.session()], signal.SIGKILL)
        for child in self._children:
            # An interruption can have kept it out of the register.
            _kill(child)
        self._children.clear()
        for started in stored:
            if started.is_running():
                raise _not_ended(started.name, self.folder)
        shutil.rmtree(self.files, ignore_errors=True)
        self._register.unlink(missing_ok=True)
        return ended

    def _log(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '-')}.log"

    def _read_register(self) -> list[_Started]:
        """Read the register without processes from before the machine's last start.

        Numbers of processes and sessions begin again there.
        """
        with suppress(FileNotFoundError):
            lines = self._register.read_text(encoding="utf-8", errors="replace").splitlines()
            since = psutil.boot_time() - _SAME_MOMENT
            return [one for one in map(_Started.read, lines) if one and one.created > since]
        return []


def _session_of(process: psutil.Process) -> int:
    with suppress(OSError):
        return os.getsid(process.pid)
    return -1


def _end(processes: Sequence[psutil.Process]) -> None:
    _, left = psutil.wait_procs(_signal(processes, signal.SIGTERM), _ENDS_WITHIN)
    psutil.wait_procs(_signal(left, signal.SIGKILL), _ENDS_WITHIN)


def _signal(processes: Sequence[psutil.Process], number: int) -> list[psutil.Process]:
    """Gives those that the signal has reached: none that has ended, or is another user's."""
    reached = []
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.send_signal(number)
            reached.append(process)
    return reached


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Ends a child of this process, unless it has ended, with what it has started."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _not_ended(name: str, where: Path) -> TransfuseError:
    message = f"the {name} can't be ended"
    remedy = "if it is another user's, as after a run with sudo, stop the cluster as that user"
    return TransfuseError(Problem(ErrorCode.USER_002, message, str(where), remedy))


def _failure(message: str, where: Path) -> TransfuseError:
    remedy = "see the log, and start again"
    return TransfuseError(
        Problem(ErrorCode.SYS_005, message, str(where), remedy), ExitStatus.INCOMPLETE
    )


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nothing listens at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def listens(port: int) -> bool:
    """Whether something takes connections on a port of 127.0.0.1."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False
