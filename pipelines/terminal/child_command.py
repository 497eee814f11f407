"""Runs a command that does the work of this process, which only waits for it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from schemas.errors import ExitStatus


def run_child(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a command, and wait for it.

    Signals are passed on to it: it knows how to end in order. If this process is killed, the
    command gets SIGTERM (on Linux).

    Args:
        command: The command with its arguments.
        environment: Variables besides those of this process.

    Returns:
        Its exit status; 3 if it was killed.
    """
    own = os.getpid()
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _: object) -> None:
        if child is None:
            early.append(number)
        # The terminal sends Ctrl-C to the command as well.
        elif number != signal.SIGINT:
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    child = subprocess.Popen(
        command,
        env=os.environ | dict(environment or {}),
        preexec_fn=lambda: _end_with(own),
    )
    for earlier in early:
        child.send_signal(earlier)
    status = child.wait()
    return int(ExitStatus.INCOMPLETE) if status < 0 else status


_PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that the kernel sends to a child when the thread that started it ends."""

_prctl = getattr(ctypes.CDLL(None), "prctl", None)
"""Looked up here, because a child must not load anything between fork and exec."""


def _end_with(parent: int) -> None:
    """Have this process, a child that is about to become the command, end with its parent."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # It may have been killed before.
        if os.getppid() != parent:
            os._exit(int(ExitStatus.INCOMPLETE))
