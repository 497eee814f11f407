from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clusters.java import find_java
from schemas.errors import ErrorCode, TransfuseError

PutJava = Callable[[str], Path]


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PutJava:
    """A function that puts a program ``java`` with a given body into JAVA_HOME."""

    def put(body: str) -> Path:
        path = tmp_path / "bin" / "java"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        return path

    return put


@pytest.mark.parametrize(
    ("told", "version"), [('openjdk version "17.0.9" 2023', 17), ('java version "1.8.0_392"', 8)]
)
def test_the_version_is_the_one_that_java_tells(java: PutJava, told: str, version: int) -> None:
    path = java(f"echo '{told}' >&2")
    assert find_java(range(version, version + 1)) == path
    with pytest.raises(TransfuseError, match=f"this is Java {version}, and Java 9 to 16") as raised:
        find_java(range(9, 17))
    assert raised.value.problems[0].code is ErrorCode.SYS_004


def test_a_program_that_only_says_that_there_is_no_java_is_none(java: PutJava) -> None:
    java("echo 'Unable to locate a Java Runtime.' >&2; exit 1")
    with pytest.raises(TransfuseError, match="there is no Java here") as raised:
        find_java(range(11, 22))
    assert raised.value.problems[0].code is ErrorCode.SYS_004


def test_without_java_home_the_path_is_looked_through(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TransfuseError, match="Java 11 to 21"):
        find_java(range(11, 22))
    assert os.environ["PATH"] == str(tmp_path)
