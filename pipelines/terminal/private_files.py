"""Files and folders that only their owner can read: what is written here may be patients' data.

``keep_files_private`` covers whatever a process of ours and its libraries and children create.
Files that may exist already, from an earlier version or a user's own hand, are written with
``write_private``: a mode is only given at creation.
"""

from __future__ import annotations

import os
import resource
import stat
from contextlib import suppress
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def keep_files_private() -> None:
    """From now on this process and its children create files for their owner alone, whatever the
    umask was, and leave no core dump: memory holds rows and passwords."""
    os.umask(0o777 & ~FOLDER_MODE)
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def write_private(path: Path, content: bytes) -> None:
    """Writes a file of mode 0600, whole or not at all.

    A file of that name is replaced, and so is a symbolic link: what it leads to stays as it is, and
    a reader of the old file sees nothing of the new one. Devices and pipes (``/dev/stdout``) are
    written to.

    Args:
        path: the file; its folder must exist.
        content: all of its bytes.

    Raises:
        OSError: if it can't be written.
    """
    if _is_special(path):
        path.write_bytes(content)
        return
    # Imported here, because a '--help' needs none. Its file is of mode 0600 from the beginning.
    import tempfile

    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def make_private_folder(path: Path) -> None:
    """Makes a folder, and those above it that are missing, of mode 0700.

    Args:
        path: the folder; one that exists stays as it is.

    Raises:
        OSError: if it can't be made.
    """
    if not path.is_dir():
        if path.parent != path:
            make_private_folder(path.parent)
        with suppress(FileExistsError):
            path.mkdir(mode=FOLDER_MODE)
        if not path.is_dir():
            raise NotADirectoryError(20, "there is a file of that name", str(path))


def make_existing_private(path: Path) -> None:
    """Takes the rights of other users on a file or folder of an earlier version away.

    Args:
        path: what exists; a symbolic link, or what is another user's, stays as it is.
    """
    with suppress(OSError):
        state = path.lstat()
        wanted = FOLDER_MODE if stat.S_ISDIR(state.st_mode) else FILE_MODE
        if not stat.S_ISLNK(state.st_mode) and stat.S_IMODE(state.st_mode) & ~wanted:
            path.chmod(stat.S_IMODE(state.st_mode) & wanted)


def _is_special(path: Path) -> bool:
    """Whether a path exists and is neither a file nor a folder, links followed."""
    with suppress(OSError):
        mode = path.stat().st_mode
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    return False
