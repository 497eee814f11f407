"""Finds and opens files: in local folders, and in whatever Beam's filesystems know.

Local files are opened without Beam, whose import takes a second.
"""

from __future__ import annotations

import errno
import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any, cast

from schemas.errors import ErrorCode
from transforms.sources.files.compression import open_decompressed
from transforms.sources.files.file_format import FileProblem

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class FileEntry:
    """A file: its name below the folder, its size in bytes, when it was written (Unix time)."""

    name: str
    size: int
    written: float


def is_remote(folder: str) -> bool:
    """Whether a folder is named by a URL (``s3://bucket/extract``)."""
    return _SCHEME.match(folder) is not None


def find_files(folder: str, pattern: str, follow_links: bool = False) -> list[FileEntry]:
    """The files that match a pattern (``claims_*.csv``, ``**/labs.csv``), by name.

    A file that is called as the pattern is written (``a[1].csv``) is meant by it, too.

    Args:
        folder: a local folder, or the URL of one.
        pattern: as ``Path.glob`` takes it.
        follow_links: whether files may lie outside of the folder.

    Raises:
        OSError: if the folder can't be looked at.
        FileProblem: for a pattern that is none, a file outside of the folder, a symbolic link
            that leads nowhere, and a folder whose files it leaves out.
    """
    if is_remote(folder):
        return _find_remote(folder, pattern)
    root = Path(folder)
    try:
        paths = sorted(root.glob(pattern))
    except (NotImplementedError, ValueError):
        raise FileProblem(
            "a pattern means files below the folder of the source",
            remedy="write it as in 'claims_*.csv' or '**/claims.csv'",
        ) from None
    named = root / pattern
    if named not in paths and named.is_file():
        if paths:
            others = paths[0].relative_to(root).as_posix()
            raise FileProblem(
                f"there is a file of exactly this name, and as a pattern it means '{others}'",
                remedy="for the first write '[[]' for each '['; for the others rename the first",
            )
        paths = [named]
    names = []
    for path in paths:
        name = path.relative_to(root).as_posix()
        if path.is_symlink() and not path.exists():
            remedy = f"restore the file that it means, or remove the link: rm {_show_path(path)}"
            raise FileProblem(f"'{name}' is a symbolic link that leads nowhere", remedy=remedy)
        if path.is_file():
            _inner_path(folder, name, follow_links)
            names.append(name)
        elif not path.is_dir():
            remedy = f"choose a pattern that doesn't mean it, or remove it: rm {_show_path(path)}"
            raise FileProblem(f"'{name}' is neither a file nor a folder", remedy=remedy)
    _refuse_folders(root, pattern, [path for path in paths if path.is_dir()], names)
    return [state_of(folder, name) for name in names]


def _refuse_folders(root: Path, pattern: str, folders: list[Path], names: list[str]) -> None:
    """Refuse a folder that is called as files are: Spark and Hive write one for a file."""
    if PurePath(pattern).name in ("*", "**"):
        return
    for path in folders:
        name = path.relative_to(root).as_posix()
        is_read = any(other.startswith(f"{name}/") for other in names)
        if is_read or not any(one.is_file() for one in path.rglob("*")):
            continue
        others = "".join(f"'{other}', " for other in names[:2])
        aside = path.with_name(f"{path.name}.d")
        # Beside its parts such a folder has a marker without rows and checksums.
        within = f"{name}/part-*" if any(path.glob("part-*")) else f"{name}/*"
        raise FileProblem(
            f"'{name}' is a folder with files, which the pattern doesn't mean",
            remedy=f"to read them, name them as well, as in from: [{others}'{within}']; to leave"
            f" them out, rename it: mv {_show_path(path)} {_show_path(aside)}"
            + (", with a pattern that has an ending" if pattern.endswith("*") else ""),
        )


def _show_path(path: Path) -> str:
    return shlex.quote(str(path))


def _inner_path(folder: str, name: str, follow_links: bool) -> Path:
    """The path of a file of a local folder. Raises FileProblem if it lies outside of the folder.

    Who can put files into the folder could otherwise have any file read that this user can read.
    """
    path = Path(folder) / name
    if not follow_links and not path.resolve().is_relative_to(Path(folder).resolve()):
        raise FileProblem(
            f"'{name}' leads out of the folder of the source",
            remedy="move the file into the folder, or add 'follow_links: true' to the source if"
            " everybody who can write to the folder may choose what is read",
            code=ErrorCode.SYS_004,
        )
    return path


def state_of(folder: str, name: str) -> FileEntry:
    """A file as it is now. Raises OSError where it is gone."""
    if is_remote(folder):
        found = [file for file in _find_remote(folder, name) if file.name == name]
        if not found:
            raise FileNotFoundError(errno.ENOENT, "no such file", name)
        return found[0]
    state = (Path(folder) / name).stat()
    return FileEntry(name, state.st_size, state.st_mtime)


def open_file(folder: str, name: str, follow_links: bool = False) -> IO[bytes]:
    """Open a file for reading at any place, decompressed where its name says that it has to be.

    Raises OSError, and FileProblem as ``find_files`` and ``open_decompressed`` do: the file may
    have become a link since.
    """
    if is_remote(folder):
        return _open_remote(folder, name)
    path = _inner_path(folder, name, follow_links)
    return open_decompressed(path)


def _find_remote(folder: str, pattern: str) -> list[FileEntry]:
    base = folder.rstrip("/") + "/"
    matched = _filesystems().match([base + pattern])[0].metadata_list
    return sorted(
        (
            FileEntry(m.path.removeprefix(base), m.size_in_bytes, m.last_updated_in_seconds or 0.0)
            for m in matched
        ),
        key=lambda found: found.name,
    )


def _open_remote(folder: str, name: str) -> IO[bytes]:
    return cast("IO[bytes]", _filesystems().open(folder.rstrip("/") + "/" + name))


def _filesystems() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems
