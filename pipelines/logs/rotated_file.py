"""A log file that several processes may write and rotate at once, readable by its owner alone."""

from __future__ import annotations

import fcntl
import io
import logging
import logging.handlers
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipelines.terminal.private_files import FILE_MODE

MOST_BYTES = 10_000_000
"""The size from which a file is rotated."""

MOST_FILES = 10
"""Files of a kind, the one that is written included."""


class RotatedFile(logging.handlers.RotatingFileHandler):
    """Writes each record with one system call, to a file that only its owner can read.

    A command such as ``stop`` logs into the files of a run that goes on. So before a record is
    written, the handler looks whether another process has rotated the file.

    Args:
        path: The file; its folder exists.

    Raises:
        OSError: It can't be opened; also for a symbolic link.
    """

    stream: Any

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MOST_BYTES, backupCount=MOST_FILES - 1)
        self._has_failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; a failure is reported once, and doesn't end the run."""
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            if self._is_full():
                with suppress(OSError), self._locked():
                    if self._is_full():
                        self.doRollover()
            if self.stream is None:
                self.stream = self._open()
            self.stream.write(line)
        except Exception as error:
            self._report(error)

    def _open(self) -> Any:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return io.FileIO(os.open(self.baseFilename, flags, FILE_MODE), "a")

    def _is_full(self) -> bool:
        """Whether the file is to be rotated; opens it again if that was done elsewhere."""
        try:
            state = os.stat(self.baseFilename)
        except FileNotFoundError:
            state = None
        own = os.fstat(self.stream.fileno()) if self.stream is not None else None
        if own is None or state is None or (state.st_dev, state.st_ino) != (own.st_dev, own.st_ino):
            if self.stream is not None:
                self.stream.close()
            self.stream = self._open()
            state = os.fstat(self.stream.fileno())
        return state.st_size >= self.maxBytes

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from rotating files of this folder."""
        folder = os.open(os.path.dirname(self.baseFilename), os.O_RDONLY)
        try:
            # Not every network file system has locks; files are then rotated once too often.
            with suppress(OSError):
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _report(self, error: Exception) -> None:
        """Without the logging module's traceback, which would hold the record."""
        if not self._has_failed:
            self._has_failed = True
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            sys.stderr.write(
                f"SYS-005 {self.baseFilename}: it can't be written: {reason}\n"
                "  -> make room; the command goes on, and the log lacks what happens meanwhile\n"
            )
