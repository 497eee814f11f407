"""Waits for a condition, never for a time, but not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import psutil

LONGEST = 300.0
"""Seconds after which nobody believes any more that it comes to that, on the slowest
machine."""


def wait_until(is_so: Callable[[], object], seconds: float = LONGEST) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"it hasn't come to that within {seconds:.0f} s"
        time.sleep(0.02)


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs, or could: of one that has ended a zombie stays until its parent asks."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
