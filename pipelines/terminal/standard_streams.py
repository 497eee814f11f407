"""Standard streams that nobody reads, or that were closed: they are as good as /dev/null.

What a command does is worth more than what it prints, so its exit status must not depend on that.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO


def make_streams_safe(on_lost_stdout: Callable[[], None]) -> None:
    """Has stdout and stderr take whatever is written, and opens those that are closed.

    A closed one would have its number taken by the next file or connection, which would then get
    what is printed.

    Args:
        on_lost_stdout: Called when stdout's reader goes away.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        _open_if_closed(number, flags)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = _safe(2, sys.stderr, lambda: None)
    sys.stdout = _safe(1, sys.stdout, on_lost_stdout)


def _open_if_closed(number: int, flags: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, flags)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)


def _safe(number: int, stream: TextIO | None, on_lost: Callable[[], None]) -> TextIO:
    if stream is not None:
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Safe(number, on_lost)),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors=getattr(stream, "errors", None) or "backslashreplace",
        line_buffering=number == 2 or os.isatty(number),
    )


class _Safe(io.FileIO):
    def __init__(self, number: int, on_lost: Callable[[], None]) -> None:
        super().__init__(number, "w", closefd=False)
        self._on_lost = on_lost

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            self._give_up()
            self._on_lost()
            return len(data)
        except OSError:
            # Such as a full disk. It is reported once, and not again at the exit.
            self._give_up()
            raise

    def _give_up(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
