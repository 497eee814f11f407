"""Has the main thread answer signals while it waits, for anything."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import NoReturn

from schemas.errors import ExitStatus

_WAKES = signal.SIGURG
"""Breaks off what the main thread waits for. By default it does nothing, and nobody sends it."""

_LOST_AFTER = 0.25
"""Seconds. One that comes in the moment before a wait doesn't break it off. Longer than the 0.1 s
after which psycopg looks at signals by itself: each signal restarts that interval."""


ENDS_WITHIN = 10.0
"""Seconds after which a process that was asked to end, and hasn't, ends without further ado. What
it hasn't committed by then the next run does."""

_ASKS_TO_END = (signal.SIGINT, signal.SIGTERM)


def answer_signals_at_once() -> None:
    """From now on the main thread runs the handlers of signals also while it waits for a lock.

    Python runs them in that thread alone, and its wait is broken off only if the kernel hands the
    signal to it. It may be another thread: whichever changes its signal mask first takes a signal
    of the process, and each does that starts a thread, as gRPC does all the time. One SIGTERM in
    fifty was seen to go unheard so, by a process that then waited for good.

    A main thread that can't run a handler, since a library doesn't return, is ended after
    ``ENDS_WITHIN``, and so is one that ``interrupt`` has interrupted and is still there then.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    # Not an Event: a handler can break into itself, and would wait for a lock that it has taken.
    answered: SimpleQueue[None] = SimpleQueue()
    signal.signal(_WAKES, lambda _, __: answered.put(None))
    signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_wake_main_thread, args=(receiver, answered), daemon=True).start()


def _wake_main_thread(heard: socket.socket, answered: SimpleQueue[None]) -> None:
    main = threading.main_thread().ident
    assert main is not None
    while number := heard.recv(1):
        if number[0] == _WAKES:
            continue
        while not answered.empty():
            answered.get()
        waits, begun = True, time.monotonic()
        while waits:
            signal.pthread_kill(main, _WAKES)
            with suppress(Empty):
                answered.get(timeout=_LOST_AFTER)
                waits = False
            if waits and number[0] in _ASKS_TO_END and time.monotonic() - begun > ENDS_WITHIN:
                _end()
        if _interrupted:
            # Not in a thread of its own: there may be no memory for one.
            _end_after_a_while(heard)


def interrupt(_: int, __: FrameType | None) -> NoReturn:
    """The handler of signals that are to end the process, not to stop a run in order."""
    _interrupted.append(True)
    raise KeyboardInterrupt


_interrupted: list[bool] = []
"""Not empty when ``interrupt`` was called."""


def _end_after_a_while(heard: socket.socket) -> None:
    """Ends the process if it is still there after ``ENDS_WITHIN``, whatever signals come."""
    deadline = time.monotonic() + ENDS_WITHIN
    while (left := deadline - time.monotonic()) > 0:
        heard.settimeout(left)
        with suppress(TimeoutError):
            if not heard.recv(1):
                return
    _end()


def _end() -> None:
    with suppress(OSError):
        os.write(2, b"ended at once; start again to continue\n")
    os._exit(ExitStatus.STOPPED)
