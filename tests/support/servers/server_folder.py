"""Where the servers of the tests keep their data: in memory, where there is enough of it.

A process that is killed, as one of pytest-xdist's is when its run is, can't stop its servers. Each
folder has a process for that, which waits until the other end of a pipe is closed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_MEMORY = Path("/dev/shm")
"""Linux has it. A database of its own for each test is hundreds of files, and on a disk they can
take longer than the test."""

_ROOM = 4 * 2**30
"""Bytes that must be free there; a container often has 64 MB."""


_CLEAN_UP = """
cat
for pid in $(head -qn1 "$0"/*/postmaster.pid 2>/dev/null); do
    kill -QUIT "$pid"
    while kill -0 "$pid"; do sleep 0.1; done
done
rm -rf "$0"
"""
"""Ends servers at once and removes their folder; nothing is left to do after an orderly end."""


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder with a short path, since that of a Unix socket has 107 bytes at most.

    Servers in folders of it end with this process, however that ends.
    """
    usable = os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free >= _ROOM
    where = str(_IN_MEMORY) if usable else None
    with (
        tempfile.TemporaryDirectory(prefix="tf-", ignore_cleanup_errors=True, dir=where) as folder,
        subprocess.Popen(
            ["sh", "-c", _CLEAN_UP, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C is meant for the tests.
            start_new_session=True,
        ),
    ):
        yield Path(folder)
