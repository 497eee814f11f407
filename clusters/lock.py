"""Make the lock file of an engine from what Maven resolves of ``clusters/pom.xml``::

    mvn -f clusters/pom.xml -P flink dependency:list -DincludeScope=runtime \\
        -DoutputFile=/tmp/flink.list
    python -m clusters lock flink /tmp/flink.list

Maven itself is needed for that alone. ``operator.lock`` has a single jar and is written by hand:
the number is the output of ``sha256sum``.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from clusters.jars import AT_ONCE, Jar, digest_of, download
from schemas.errors import ErrorCode, Problem, TransfuseError

_LINE = re.compile(
    r"\s*(?P<group>[\w.-]+):(?P<artifact>[\w.-]+):jar"
    r"(?::(?P<classifier>[\w.-]+))?:(?P<version>[\w.-]+):(?:compile|runtime)\b"
)


def write_lock(listing: Path, lock: Path, folder: Path, repository: str) -> int:
    """Writes ``lock`` from Maven's ``listing``, and gives the number of jars.

    Each is downloaded into ``folder`` for its checksum. Raises TransfuseError as ``fetch_jars``
    does, and USER-001 where the listing can't be read, is none, or has two jars of one name.
    """
    jars = sorted(_read_listing(listing), key=lambda jar: jar.coordinates)
    folder.mkdir(parents=True, exist_ok=True)

    def with_checksum(jar: Jar) -> Jar:
        if not (folder / jar.name).exists():
            download(jar, folder, repository)
        return replace(jar, sha256=digest_of(folder / jar.name))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        lines = [f"{jar.coordinates} {jar.sha256}\n" for jar in threads.map(with_checksum, jars)]
    lock.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _read_listing(listing: Path) -> set[Jar]:
    try:
        text = listing.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(listing, f"it can't be read: {type(error).__name__}") from None
    jars = {
        Jar(match["group"], match["artifact"], match["version"], match["classifier"] or "")
        for match in filter(None, map(_LINE.match, text.splitlines()))
    }
    if not jars:
        raise _wrong(listing, "it lists no jars")
    # They lie in one folder.
    names = [jar.name for jar in jars]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _wrong(listing, f"several jars have one name: {', '.join(twice)}")
    return jars


def _wrong(listing: Path, message: str) -> TransfuseError:
    remedy = "give it what 'mvn dependency:list' has written"
    return TransfuseError(Problem(ErrorCode.USER_001, message, str(listing), remedy))
