from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clusters.job_server_jar import write_job_server_jar


def attributes(path: Path) -> dict[str, str]:
    """The manifest as Java reads it: lines of 72 bytes, which go on after a blank."""
    with zipfile.ZipFile(path) as jar:
        text = jar.read("META-INF/MANIFEST.MF").decode()
    assert all(len(line) <= 72 for line in text.split("\r\n"))
    whole = text.replace("\r\n ", "")
    return dict(line.split(": ", 1) for line in whole.split("\r\n") if line)


def test_the_manifest_names_everything_however_long(tmp_path: Path) -> None:
    names = [f"library-{number}-1.{number}.jar" for number in range(200)]
    opens = ["java.base/java.lang", "java.base/java.util.concurrent.atomic"] * 5
    write_job_server_jar(tmp_path / "server.jar", "org.example.Driver", names, opens)
    told = attributes(tmp_path / "server.jar")
    assert told["Main-Class"] == "org.example.Driver"
    assert told["Class-Path"].split(" ") == names
    assert told["Add-Opens"].split(" ") == opens


def test_the_same_jars_give_the_same_file(tmp_path: Path) -> None:
    for name in ("one.jar", "two.jar"):
        write_job_server_jar(tmp_path / name, "Main", ["a.jar"], ["java.base/java.lang"])
    assert (tmp_path / "one.jar").read_bytes() == (tmp_path / "two.jar").read_bytes()


def test_several_processes_may_write_the_jar_at_once(tmp_path: Path) -> None:
    path = tmp_path / "server.jar"
    writing = (
        "import pathlib\n"
        "from clusters.job_server_jar import write_job_server_jar\n"
        "for _ in range(500):\n"
        f"    write_job_server_jar(pathlib.Path({str(path)!r}), 'Main', ['a.jar'], ['b/c'])\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", writing]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]
    assert attributes(path)["Main-Class"] == "Main"


def test_a_jar_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "server.jar"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_job_server_jar(path, "Main", ["a.jar"], ["b/c"])
    assert list(tmp_path.iterdir()) == [path]
