from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clusters.jars import Jar, fetch_jars, read_lock
from clusters.lock import write_lock
from schemas.errors import ErrorCode, TransfuseError

CONTENT = {"first": b"one", "second": b"two" * 100_000}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """The URL of a Maven repository with the jars of ``CONTENT``, each in version 1.2."""
    root = tmp_path / "repository"
    for name, content in CONTENT.items():
        folder = root / "org" / "example" / name / "1.2"
        folder.mkdir(parents=True)
        (folder / f"{name}-1.2.jar").write_bytes(content)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def jar(name: str, content: bytes | None = None) -> Jar:
    digest = hashlib.sha256(CONTENT.get(name, b"") if content is None else content).hexdigest()
    return Jar("org.example", name, "1.2", sha256=digest)


def refused(jars: list[Jar], folder: Path, repository: str) -> ErrorCode:
    with pytest.raises(TransfuseError) as raised:
        fetch_jars(jars, folder, repository)
    (problem,) = raised.value.problems
    assert problem.remedy
    return problem.code


def test_what_is_missing_or_damaged_is_downloaded_and_nothing_else(
    tmp_path: Path, repository: str
) -> None:
    folder = tmp_path / "jars"
    fetch_jars([jar("first")], folder, repository)
    fetch_jars([jar("first"), jar("second")], folder, repository)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        f"{name}-1.2.jar": content for name, content in CONTENT.items()
    }

    (folder / "second-1.2.jar").write_bytes(b"tw")
    fetch_jars([jar("first"), jar("second")], folder, repository)
    assert (folder / "second-1.2.jar").read_bytes() == CONTENT["second"]

    fetch_jars([jar("first"), jar("second")], folder, "http://127.0.0.1:1")


def test_another_checksum_is_refused_and_nothing_of_it_kept(
    tmp_path: Path, repository: str
) -> None:
    folder = tmp_path / "jars"
    assert refused([jar("first", b"other")], folder, repository) is ErrorCode.SYS_004
    assert not list(folder.iterdir())


def test_a_repository_without_the_jar_or_out_of_reach_is_told(
    tmp_path: Path, repository: str
) -> None:
    folder = tmp_path / "jars"
    assert refused([jar("third")], folder, repository) is ErrorCode.CONN_004
    assert refused([jar("first")], folder, "http://127.0.0.1:1") is ErrorCode.CONN_004
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, repository: str) -> None:
    (tmp_path / "file").write_text("")
    assert refused([jar("first")], tmp_path / "file" / "jars", repository) is ErrorCode.SYS_005


def test_a_lock_file_is_written_from_what_maven_lists(tmp_path: Path, repository: str) -> None:
    listing, lock = tmp_path / "list", tmp_path / "engine.lock"
    listing.write_text(
        "\nThe following files have been resolved:\n"
        "   org.example:second:jar:1.2:compile -- module example (auto)\n"
        "   org.example:first:jar:1.2:runtime\n"
        "   org.example:tested:jar:1.2:test\n"
        "   org.example:other:pom:1.2:compile\n"
    )
    assert write_lock(listing, lock, tmp_path / "jars", repository) == 2
    assert read_lock(lock) == [jar("first"), jar("second")]
    fetch_jars(read_lock(lock), tmp_path / "jars", repository)


def test_two_jars_of_one_name_and_a_listing_without_jars_are_refused(
    tmp_path: Path, repository: str
) -> None:
    listing = tmp_path / "list"
    for text in ("a:first:jar:1.2:compile\nb:first:jar:1.2:compile\n", "nothing\n"):
        listing.write_text(text)
        with pytest.raises(TransfuseError) as raised:
            write_lock(listing, tmp_path / "lock", tmp_path / "jars", repository)
        assert raised.value.problems[0].code is ErrorCode.USER_001


def test_a_broken_lock_file_is_told_with_its_line(tmp_path: Path) -> None:
    lock = tmp_path / "engine.lock"
    lock.write_text(f"a:b:1 {'0' * 64}\na:b:1:linux {'0' * 64}\na:b {'0' * 64}\n")
    with pytest.raises(TransfuseError, match=r"engine\.lock:3") as raised:
        read_lock(lock)
    assert raised.value.problems[0].code is ErrorCode.SYS_004


@pytest.mark.parametrize("engine", ["flink", "spark"])
def test_the_lock_files_of_the_engines_can_be_read(engine: str) -> None:
    jars = read_lock(Path("clusters") / f"{engine}.lock")
    assert len({jar.name for jar in jars}) == len(jars) > 50
