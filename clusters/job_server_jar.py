"""Beam's job server as one executable jar, which holds nothing but the names of the others.

Beam's runners take the path of such a jar and run ``java -jar``. The one that Beam publishes
holds the classes of all others; this one has them beside it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from clusters.jars import appearing

_LONGEST_LINE = 72
"""Bytes of a line of a manifest, without its end."""


def write_job_server_jar(
    path: Path, main_class: str, names: Sequence[str], opens: Sequence[str]
) -> None:
    """Writes the jar ``path``, whose ``main_class`` finds the jars ``names`` in its own folder.

    ``opens`` are packages of Java itself into which the classes must see, as ``module/package``.
    Raises OSError.
    """
    manifest = "".join(
        _fold(line)
        for line in (
            "Manifest-Version: 1.0",
            f"Main-Class: {main_class}",
            f"Class-Path: {' '.join(map(quote, names))}",
            f"Add-Opens: {' '.join(opens)}",
        )
    )
    with appearing(path) as part, zipfile.ZipFile(part, "w") as jar:
        # The oldest date that a zip file can have, so that the same jars give the same file.
        jar.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF", (1980, 1, 1, 0, 0, 0)), manifest)


def _fold(line: str) -> str:
    """A line of a manifest; what is too long goes on in further ones, which begin with a blank."""
    lines = [line[:_LONGEST_LINE]]
    rest = line[_LONGEST_LINE:]
    while rest:
        lines.append(" " + rest[: _LONGEST_LINE - 1])
        rest = rest[_LONGEST_LINE - 1 :]
    return "".join(f"{part}\r\n" for part in lines)
