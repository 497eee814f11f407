"""Holds streams on disk while Beam groups them.

Beam's in-process runner holds what it groups in memory, about six times over; a cluster's
runners spill it themselves. The file has no name from the start, so that nothing of it is left
behind, not even by ``kill -9``: keys are patients' data.
"""

from __future__ import annotations

import os
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from transforms.model.run_context import RunContext

_PLACE = struct.Struct("<QQ")
"""Where a stream begins in the file, and its length in bytes."""


class _Spill:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None

    def write(self, stream: bytes) -> bytes:
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0, prefix="transfuse-")  # noqa: SIM115
            begin = self._file.seek(0, os.SEEK_END)
            if self._file.write(stream) != len(stream):
                raise OSError(f"{len(stream)} bytes couldn't be written to a temporary file")
            return _PLACE.pack(begin, len(stream))

    def read(self, place: bytes) -> bytes:
        begin, length = _PLACE.unpack(place)
        assert self._file is not None
        return os.pread(self._file.fileno(), length, begin)

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = None


_spill = _Spill()


def store_stream(context: RunContext, stream: bytes) -> bytes:
    """Store a stream on disk, unless another process may have to load it.

    Returns:
        What ``load_stream`` takes: the place of the stream, or the stream itself.

    Raises:
        OSError: the disk is full.
    """
    return _spill.write(stream) if context.in_process else stream


def load_stream(context: RunContext, stream: bytes) -> bytes:
    """Return the stream that ``store_stream`` took."""
    return _spill.read(stream) if context.in_process else stream


@contextmanager
def drop_at_end() -> Iterator[None]:
    """Free the disk space when the context ends."""
    try:
        yield
    finally:
        _spill.close()
