"""Signals that the main thread answers whatever it waits for."""

from __future__ import annotations

import signal
import socket
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

_WAKES = signal.SIGURG
"""Breaks off what the main thread waits for. By default it does nothing, and nobody sends it."""

_LOST_AFTER = 0.25
"""Seconds. One that comes in the moment before a wait doesn't break it off. Longer than the 0.1 s
after which psycopg looks at signals by itself: each that comes begins these anew."""


def answer_signals_at_once() -> None:
    """From now on the main thread runs the handlers of signals also while it waits for a lock.

    Python runs them in that thread alone, and its wait is broken off only if the kernel hands the
    signal to it. It may be another thread: whichever changes its signal mask first takes a signal
    of the process, and each does that starts a thread, as gRPC does all the time. One SIGTERM in
    fifty was seen to go unheard so, by a process that then waited for good.
    """
    heard, told = socket.socketpair()
    told.setblocking(False)
    # Not an Event: a handler can break into itself, and would wait for a lock that it has taken.
    answered: SimpleQueue[None] = SimpleQueue()
    signal.signal(_WAKES, lambda _, __: answered.put(None))
    signal.set_wakeup_fd(told.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_wake_main_thread, args=(heard, answered), daemon=True).start()


def _wake_main_thread(heard: socket.socket, answered: SimpleQueue[None]) -> None:
    main = threading.main_thread().ident
    assert main is not None
    while number := heard.recv(1):
        if number[0] == _WAKES:
            continue
        while not answered.empty():
            answered.get()
        waits = True
        while waits:
            signal.pthread_kill(main, _WAKES)
            with suppress(Empty):
                answered.get(timeout=_LOST_AFTER)
                waits = False
