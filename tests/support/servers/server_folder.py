"""Where the servers of the tests keep their data: in memory, where there is enough of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_MEMORY = Path("/dev/shm")
"""Linux has it. A database of its own for each test is hundreds of files, and on a disk they can
take longer than the test."""

_ROOM = 4 * 2**30
"""Bytes that must be free there; a container often has 64 MB."""


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder with a short path, since that of a Unix socket has 107 bytes at most."""
    usable = os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free >= _ROOM
    where = str(_IN_MEMORY) if usable else None
    with tempfile.TemporaryDirectory(prefix="tf-", ignore_cleanup_errors=True, dir=where) as folder:
        yield Path(folder)
