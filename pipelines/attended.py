"""A command that does the work of this process, which only waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from schemas.errors import ExitStatus


def attended(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Runs a command, and gives its exit status; that of one that was killed is 3.

    Signals are passed on to it: it knows how it ends in order. ``environment`` comes on top of
    this process's.
    """
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
    child = subprocess.Popen(command, env=os.environ | dict(environment or {}))
    for came in early:
        child.send_signal(came)
    status = child.wait()
    return int(ExitStatus.INCOMPLETE) if status < 0 else status
