"""The folders that error files are written to: of this machine, or of a filesystem of Beam."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pipelines.terminal.private_files import (
    make_existing_private,
    make_private_folder,
    write_private,
)
from transforms.sources.files.opening import is_remote


class ErrorFolder(Protocol):
    """A folder for error files; ``names`` are those of two folders below it and of a file."""

    def path_of(self, names: Sequence[str]) -> str:
        """The path of a file."""

    def has(self, names: Sequence[str]) -> bool:
        """Whether there is such a file."""

    def write(self, names: Sequence[str], content: bytes) -> None:
        """Write a file under another name, and rename it: an existing file is whole."""


def open_error_folder(path: str) -> ErrorFolder:
    """The folder of a path, which may be anything that Beam's filesystems open."""
    return _RemoteFolder(path) if is_remote(path) else _LocalFolder(Path(path))


class _LocalFolder:
    """A folder of this machine, whose files are readable for their owner alone."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path_of(self, names: Sequence[str]) -> str:
        return str(self._root.joinpath(*names))

    def has(self, names: Sequence[str]) -> bool:
        path = self._root.joinpath(*names)
        for existing in (path.parent.parent, path.parent, path):
            make_existing_private(existing)
        return path.exists()

    def write(self, names: Sequence[str], content: bytes) -> None:
        path = self._root.joinpath(*names)
        make_private_folder(path.parent)
        write_private(path, content)


class _RemoteFolder:
    """A folder of a filesystem that Beam opens, with the filesystem's own rights."""

    def __init__(self, root: str) -> None:
        from apache_beam.io.filesystems import FileSystems

        self._root = root
        self._filesystems = FileSystems

    def path_of(self, names: Sequence[str]) -> str:
        return str(self._filesystems.join(self._root, *names))

    def has(self, names: Sequence[str]) -> bool:
        return bool(self._filesystems.exists(self.path_of(names)))

    def write(self, names: Sequence[str], content: bytes) -> None:
        path, parent = self.path_of(names), self.path_of(names[:-1])
        if not self._filesystems.exists(parent):
            self._filesystems.mkdirs(parent)
        with self._filesystems.create(f"{path}.part") as file:
            file.write(content)
        self._filesystems.rename([f"{path}.part"], [path])
