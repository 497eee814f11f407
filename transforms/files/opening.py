"""Finds and opens files: in local folders, and in whatever Beam's filesystems know.

Local files are opened without Beam, whose import takes a second.
"""

from __future__ import annotations

import errno
import gzip
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from transforms.files.file_format import FileFault

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class FoundFile:
    """A file: its name below the folder, its size in bytes, when it was written (Unix time)."""

    name: str
    size: int
    written: float


def is_remote(folder: str) -> bool:
    """Whether a folder is named by a URL (``s3://bucket/extract``)."""
    return _SCHEME.match(folder) is not None


def find_files(folder: str, pattern: str) -> list[FoundFile]:
    """The files that match a pattern (``claims_*.csv``, ``**/labs.csv``), by name.

    Raises OSError where the folder can't be looked at, FileFault for a pattern that is none.
    """
    if is_remote(folder):
        return _found_remotely(folder, pattern)
    root = Path(folder)
    try:
        paths = sorted(root.glob(pattern))
    except (NotImplementedError, ValueError):
        raise FileFault(
            "a pattern means files below the folder of the source",
            remedy="write it as in 'claims_*.csv' or '**/claims.csv'",
        ) from None
    names = [path.relative_to(root).as_posix() for path in paths if path.is_file()]
    return [state_of(folder, name) for name in names]


def state_of(folder: str, name: str) -> FoundFile:
    """A file as it is now. Raises OSError where it is gone."""
    if is_remote(folder):
        found = [file for file in _found_remotely(folder, name) if file.name == name]
        if not found:
            raise FileNotFoundError(errno.ENOENT, "no such file", name)
        return found[0]
    state = (Path(folder) / name).stat()
    return FoundFile(name, state.st_size, state.st_mtime)


def open_file(folder: str, name: str) -> IO[bytes]:
    """Opens a file for reading at any place; one that ends with .gz is decompressed.

    In a compressed file going back means to begin anew. Raises OSError.
    """
    if is_remote(folder):
        return _opened_remotely(folder, name)
    path = Path(folder) / name
    return cast("IO[bytes]", gzip.open(path) if name.endswith(".gz") else path.open("rb"))


def _found_remotely(folder: str, pattern: str) -> list[FoundFile]:
    base = folder.rstrip("/") + "/"
    matched = _filesystems().match([base + pattern])[0].metadata_list
    return sorted(
        (
            FoundFile(m.path.removeprefix(base), m.size_in_bytes, m.last_updated_in_seconds or 0.0)
            for m in matched
        ),
        key=lambda found: found.name,
    )


def _opened_remotely(folder: str, name: str) -> IO[bytes]:
    return cast("IO[bytes]", _filesystems().open(folder.rstrip("/") + "/" + name))


def _filesystems() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems
