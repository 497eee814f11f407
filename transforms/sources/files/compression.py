"""Which files are compressed, and how they are read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from backports import zstd

from transforms.sources.files.file_format import FileProblem

_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": zstd.open,
}
"""By the end of a file's name, in whatever case it is written."""

_BEGINNINGS = {
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ\x00": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
}
_LONGEST_BEGINNING = 6

DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)
"""What reading a compressed file raises that is cut off or damaged, beside OSError."""


def open_decompressed(path: Path) -> IO[bytes]:
    """Open a file for reading at any place; going back in a compressed one reads it again.

    Raises:
        OSError: The file can't be opened.
        FileProblem: It is compressed in a way that its name doesn't say, or an archive.
    """
    suffix = path.suffix.lower()
    with path.open("rb") as stream:
        begin = stream.read(_LONGEST_BEGINNING)
    if begin.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        raise FileProblem(
            "the file is a zip archive, which may hold several files (spreadsheets are such, too)",
            remedy=f"unpack it ('unzip {path.name}'), or save the sheet as CSV, and name that file",
        )
    detected = next((s for magic, s in _BEGINNINGS.items() if begin.startswith(magic)), None)
    if detected == ".bz2" and not begin[3:4].isdigit():
        detected = None
    if detected is not None and suffix != detected:
        raise FileProblem(
            f"the file is compressed, and its name doesn't end with '{detected}'",
            remedy=f"rename it to '{path.name}{detected}'",
        )
    if detected is None and suffix in _OPENERS and begin:
        raise FileProblem(
            f"the name of the file ends with '{path.suffix}', and it isn't compressed so",
            remedy="give it the end that it has without compression",
        )
    # Where there is nothing, the formats of compression disagree on whether that is an error.
    opener = _OPENERS.get(suffix) if begin else None
    return path.open("rb") if opener is None else cast("IO[bytes]", opener(path))
