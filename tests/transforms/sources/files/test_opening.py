"""Files of a filesystem that is Beam's: found, opened and looked at as local ones are."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.localfilesystem import LocalFileSystem

from transforms.sources.files.opening import find_files, open_file, state_of


class FolderFileSystem(LocalFileSystem):
    """Local files under a scheme of their own, as those of a cloud have one."""

    @classmethod
    def scheme(cls) -> str:
        return "folder"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def has_dirs(self) -> bool:
        return True

    def _list(self, dir_or_prefix: str) -> Iterator[Any]:
        for found in super()._list(dir_or_prefix.removeprefix("folder:/")):
            found.path = f"folder:/{found.path}"
            yield found

    def _path_open(self, path: str, *arguments: Any, **named: Any) -> Any:
        return super()._path_open(path.removeprefix("folder:/"), *arguments, **named)

    def exists(self, path: str) -> bool:
        return bool(super().exists(path.removeprefix("folder:/")))

    def metadata(self, path: str) -> Any:
        found = super().metadata(path.removeprefix("folder:/"))
        found.path = path
        return found


def test_files_of_another_filesystem(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id\n1\n")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"id\n2\n"))
    (tmp_path / "other.txt").write_bytes(b"")
    folder = f"folder:/{tmp_path}"
    found = find_files(folder, "*.csv*")
    assert [file.name for file in found] == ["a.csv", "b.csv.gz"]
    assert found[0].size == 5
    assert found[0].written == pytest.approx((tmp_path / "a.csv").stat().st_mtime, abs=1)
    assert state_of(folder, "a.csv") == found[0]
    for name, expected in (("a.csv", b"id\n1\n"), ("b.csv.gz", b"id\n2\n")):
        with open_file(folder, name) as stream:
            assert stream.read() == expected
            stream.seek(3)
            assert stream.read(1) == expected[3:4]
            stream.seek(0)
            assert stream.read(2) == b"id"
    with pytest.raises(FileNotFoundError):
        state_of(folder, "c.csv")
