"""The jars of an engine: named with their checksums in a lock file, downloaded where missing.

A lock file has one line a jar, ``group:artifact:version[:classifier] sha256``, and is made by
``python -m clusters lock`` (see ``clusters/lock.py``).
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

AT_ONCE = 8
"""Downloads."""

_ANSWERS_WITHIN = 60
"""Seconds without a byte after which a download has failed."""


@dataclass(frozen=True)
class Jar:
    """A file of a Maven repository, and the SHA-256 digest that it must have, in hexadecimal."""

    group: str
    artifact: str
    version: str
    classifier: str = ""
    sha256: str = ""

    @property
    def coordinates(self) -> str:
        return ":".join(filter(None, (self.group, self.artifact, self.version, self.classifier)))

    @property
    def name(self) -> str:
        """Its file's name."""
        return "-".join(filter(None, (self.artifact, self.version, self.classifier))) + ".jar"

    def url(self, repository: str) -> str:
        path = (*self.group.split("."), self.artifact, self.version, self.name)
        return "/".join((repository.rstrip("/"), *path))


def repository() -> str:
    """The URL of the Maven repository: that of MAVEN_REPOSITORY, else the one that Beam uses."""
    mirror = os.environ.get("MAVEN_REPOSITORY")
    if mirror:
        return mirror
    # Here and not above, because importing Beam takes a second.
    from apache_beam.utils.subprocess_server import JavaJarServer

    return str(JavaJarServer.MAVEN_CENTRAL_REPOSITORY)


def read_lock(path: Path) -> list[Jar]:
    """The jars of a lock file. Raises TransfuseError (SYS-004) for a line that is none."""
    jars = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        coordinates, _, sha256 = line.partition(" ")
        parts = coordinates.split(":")
        if len(parts) not in (3, 4) or len(sha256) != hashlib.sha256().digest_size * 2:
            raise TransfuseError(
                Problem(
                    ErrorCode.SYS_004,
                    "this is not 'group:artifact:version[:classifier] sha256'",
                    f"{path}:{number}",
                    "take the file as it was checked in, or make it again",
                )
            )
        group, artifact, version, *classifier = parts
        jars.append(Jar(group, artifact, version, "".join(classifier), sha256))
    return jars


def fetch_jars(jars: Sequence[Jar], folder: Path, repository: str) -> None:
    """Leaves all ``jars`` in ``folder``, each with its checksum; downloads what is missing.

    Raises TransfuseError: CONN-004 where the repository can't be reached or hasn't got a jar,
    SYS-004 where what it gives has another checksum, SYS-005 where the folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            sound = threads.map(lambda jar: _is_sound(jar, folder / jar.name), jars)
            missing = [jar for jar, there in zip(jars, sound, strict=True) if not there]
        if missing:
            _download_all(missing, folder, repository)
    except OSError as error:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_005,
                f"the jars can't be stored: {error.strerror}",
                str(folder),
                "make room, or give the right to write there",
            ),
            ExitStatus.INCOMPLETE,
        ) from None


def _download_all(jars: Sequence[Jar], folder: Path, repository: str) -> None:
    print(f"Downloading {len(jars)} jars into {folder} ...", file=sys.stderr, flush=True)
    started = time.monotonic()
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        size = sum(pool.map(lambda jar: download(jar, folder, repository), jars))
    finally:
        # The first failure is reported at once, and downloads that haven't begun are cancelled.
        pool.shutdown(cancel_futures=True)
    seconds = time.monotonic() - started
    print(f"... {size / 1e6:,.0f} MB in {seconds:.1f} s.", file=sys.stderr, flush=True)


def download(jar: Jar, folder: Path, repository: str) -> int:
    """Downloads a jar, and gives its size in bytes; without a ``sha256`` any content will do.

    It appears under its name only when it is whole and right. Raises as ``fetch_jars`` does,
    OSError instead of SYS-005.
    """
    url = jar.url(repository)
    with appearing(folder / jar.name) as part:
        with (
            _request(url, jar) as answer,
            open(part, "wb") as file,
        ):
            try:
                shutil.copyfileobj(answer, file, 2**20)
            except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
                raise _unreachable(url, f"it broke off ({type(error).__name__})") from None
        if jar.sha256 and digest_of(part) != jar.sha256:
            raise TransfuseError(
                Problem(
                    ErrorCode.SYS_004,
                    f"the checksum of {jar.coordinates} isn't the one in the lock file",
                    url,
                    "find out what stands between here and the repository; nothing was started",
                )
            )
        return part.stat().st_size


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A file to be written within the context, which is ``path`` when the context has ended well,
    and otherwise gone. Other processes may do the same meanwhile. Raises OSError."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _request(url: str, jar: Jar) -> http.client.HTTPResponse:
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=_ANSWERS_WITHIN)
    except urllib.error.HTTPError as error:
        message = f"the repository answers {error.code} to {jar.coordinates}"
        raise _unreachable(url, message) from None
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException):
        raise _unreachable(url, "the repository of the jars can't be reached") from None
    return answer


def _unreachable(url: str, message: str) -> TransfuseError:
    remedy = "check the network and its proxy, or have MAVEN_REPOSITORY name a mirror; run again"
    return TransfuseError(Problem(ErrorCode.CONN_004, message, url, remedy), ExitStatus.INCOMPLETE)


def _is_sound(jar: Jar, path: Path) -> bool:
    return path.exists() and digest_of(path) == jar.sha256


def digest_of(path: Path) -> str:
    """The SHA-256 digest of a file, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
