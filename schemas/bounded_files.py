"""Reads files that a person names, up to a limit, so that a wrong one can't fill the memory."""

from __future__ import annotations

import errno
from pathlib import Path

CODES_AT_MOST = 64 * 2**20
"""Bytes of a map or a list of codes; the largest that CMS publishes has 15 MB."""

DECISIONS_AT_MOST = 16 * 2**20
"""Bytes of a file of decisions on codes."""


def read_at_most(path: Path, limit: int) -> bytes:
    """Reads a file that has at most ``limit`` bytes.

    Raises:
        OSError: The file can't be read; EFBIG if it is larger, or a device without an end.
    """
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit // 2**20} MB")
    return content
