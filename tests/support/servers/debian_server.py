"""A PostgreSQL of Debian: the embedded one has neither extensions nor XML nor TLS."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers.server_folder import server_folder


@contextmanager
def debian_server(port: int | None = None) -> Iterator[str | None]:
    """The URI of a server that lives as long as the context; None where none is installed.

    It listens at a socket, and with a ``port`` at that one of 127.0.0.1 too.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        yield None
        return
    user = "postgres" if os.geteuid() == 0 else None
    with server_folder() as folder:
        if user:
            shutil.chown(folder, user)

        def run(program: str, *arguments: str) -> None:
            command: list[str | Path] = [
                programs[-1].with_name(program),
                "-D",
                f"{folder}/data",
                *arguments,
            ]
            subprocess.run(
                command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=60
            )

        run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-k {folder} -c listen_addresses={'127.0.0.1' if port else chr(39) * 2}"
        options += f" -c port={port or 5432} -c fsync=off"
        run("pg_ctl", "start", "-w", "-l", f"{folder}/log", "-o", options)
        try:
            yield f"postgresql://postgres@/postgres?host={folder}&port={port or 5432}"
        finally:
            run("pg_ctl", "stop", "-m", "immediate")
