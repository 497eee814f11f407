"""Log files are rotated by size, written by several processes, and private."""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.logs import rotated_file
from pipelines.logs.rotated_file import RotatedFile
from tests.support.project import PROJECT


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("transfuse", logging.INFO, "", 0, text, (), None)


def lines_of(folder: Path) -> list[str]:
    files = sorted(folder.glob("a.log*"))
    return [line for file in files for line in file.read_text().splitlines()]


def test_files_are_rotated_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotated_file, "MOST_BYTES", 100)
    monkeypatch.setattr(rotated_file, "MOST_FILES", 3)
    log = RotatedFile(tmp_path / "a.log")
    for number in range(100):
        log.emit(record(f"line {number:04}"))
    log.close()
    assert sorted(os.listdir(tmp_path)) == ["a.log", "a.log.1", "a.log.2"]
    assert all(100 <= path.stat().st_size < 110 for path in tmp_path.glob("a.log.*"))
    assert sorted(lines_of(tmp_path))[-1] == "line 0099"


def test_a_file_that_another_process_rotates_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotated_file, "MOST_BYTES", 100)
    one, other = RotatedFile(tmp_path / "a.log"), RotatedFile(tmp_path / "a.log")
    for number in range(40):
        (one if number % 3 else other).emit(record(f"line {number:04}"))
    one.close()
    other.close()
    assert sorted(lines_of(tmp_path)) == [f"line {number:04}" for number in range(40)]


WRITER = """
import logging, sys
from pathlib import Path
from pipelines.logs import rotated_file
rotated_file.MOST_BYTES, rotated_file.MOST_FILES = 2000, 1000
log = rotated_file.RotatedFile(Path(sys.argv[1]))
for number in range(2000):
    log.emit(logging.LogRecord("a", 20, "", 0, f"{sys.argv[2]} {number:04}", (), None))
"""


@pytest.mark.slow
def test_processes_that_rotate_at_once_lose_no_line(tmp_path: Path) -> None:
    names = ("one", "two", "three")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "a.log", name], cwd=PROJECT)
        for name in names
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    expected = sorted(f"{name} {number:04}" for name in names for number in range(2000))
    assert sorted(lines_of(tmp_path)) == expected


def test_files_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        RotatedFile(tmp_path / "a.log").close()
    finally:
        os.umask(mask)
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        RotatedFile(tmp_path / "a.log")


def test_a_full_disk_is_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = RotatedFile(tmp_path / "a.log")
    largest, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        log.emit(record("first"))
        log.emit(record("second"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, most))
    log.emit(record("third"))
    assert lines_of(tmp_path) == ["third"]
    printed = capsys.readouterr().err
    assert printed.count("SYS-005") == 1
    assert "File too large" in printed
    assert "Traceback" not in printed
