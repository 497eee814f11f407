"""A PgBouncer in front of a server of Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support.servers.server_folder import server_folder
from tests.support.waiting import wait_until

PORT = 6432


@contextmanager
def pooler(server: str, **settings: str) -> Iterator[str]:
    """The URI of a pooler for all databases of the server, with settings of pgbouncer.ini."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("no PgBouncer is here (apt-get install pgbouncer)")
    parts = conninfo_to_dict(server)
    # It doesn't run as root.
    user = "postgres" if os.geteuid() == 0 else None
    with server_folder() as folder:
        given = {
            "listen_port": str(PORT),
            "unix_socket_dir": str(folder),
            "auth_type": "trust",
            "auth_file": f"{folder}/users",
            "default_pool_size": "20",
            "max_client_conn": "200",
            **settings,
        }
        lines = [f"{name}={value}" for name, value in given.items()]
        (folder / "users").write_text('"postgres" ""\n')
        (folder / "ini").write_text(
            f"[databases]\n* = host={parts['host']} port={parts['port']}\n[pgbouncer]\n"
            + "\n".join(lines)
            + "\n"
        )
        if user:
            shutil.chown(folder, user)
        with subprocess.Popen(
            [program, folder / "ini"],
            user=user,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=(log := Path(folder / "log")).open("wb"),
        ) as process:
            uri = f"postgresql://postgres@/postgres?host={folder}&port={PORT}"

            def answers() -> bool:
                assert process.poll() is None, log.read_text()
                with suppress(psycopg.OperationalError), psycopg.connect(uri):
                    return True
                return False

            try:
                wait_until(answers, 30)
                yield uri
            finally:
                process.kill()
