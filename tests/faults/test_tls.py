"""TLS against a real server: what it takes to be let in, and what is told of what is wrong."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import psycopg
import pytest
import trustme

from schemas.errors import ErrorCode, ExitStatus, TransfuseError
from tests.support.databases.two_databases import Database, Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.runs.held_runs import gate, running, someone_waits, wait_until
from tests.support.servers.debian_server import debian_server
from transforms.postgres.connections import connect
from transforms.postgres.database_problems import describe_error
from transforms.postgres.refused_logins import forget_refused_logins
from transforms.sources.postgres.partition_reader import open_source

pytestmark = pytest.mark.slow

YESTERDAY = datetime(2020, 1, 2, tzinfo=timezone.utc)
RULES = """
local   all all trust
hostssl all surgeon 127.0.0.1/32 cert
hostssl all all     127.0.0.1/32 trust
"""


@dataclass
class Guarded:
    """A server that takes only TLS over the network, and the files of certificates.

    ``surgeon`` needs a certificate of the server's authority, ``postgres`` none.
    """

    folder: Path
    port: int
    socket: str
    authority: trustme.CA = field(default_factory=trustme.CA)
    stranger: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.authority.cert_pem.write_to_path(self.folder / "authority.pem")
        self.stranger.cert_pem.write_to_path(self.folder / "stranger.pem")
        self._keep("surgeon", self.authority.issue_cert("surgeon", common_name="surgeon"))
        self._keep("nurse", self.authority.issue_cert("nurse", common_name="nurse"))
        self._keep("unknown", self.stranger.issue_cert("surgeon", common_name="surgeon"))
        expired = self.authority.issue_cert("surgeon", not_after=YESTERDAY, common_name="surgeon")
        self._keep("expired", expired)
        with psycopg.connect(self.socket, autocommit=True) as connection:
            (name,) = connection.execute("SHOW data_directory").fetchone() or ("",)
            self._data = Path(name)
            self._own("authority.pem", self.authority.cert_pem.bytes())
            self._own("pg_hba.conf", RULES.encode())
            connection.execute("CREATE ROLE surgeon SUPERUSER LOGIN")
            for setting in (
                "ssl_cert_file = 'server.crt'",
                "ssl_key_file = 'server.key'",
                "ssl_ca_file = 'authority.pem'",
                "ssl = on",
            ):
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        self.show()

    def show(self, host: str = "localhost", expired: bool = False) -> None:
        """Gives the server another certificate, which new connections get to see."""
        until = YESTERDAY if expired else None
        certificate = self.authority.issue_cert(host, not_after=until)
        self._own("server.crt", certificate.cert_chain_pems[0].bytes())
        self._own("server.key", certificate.private_key_pem.bytes())
        with psycopg.connect(self.socket, autocommit=True) as connection:
            (loaded,) = connection.execute("SELECT pg_conf_load_time()").fetchone() or (None,)
            connection.execute("SELECT pg_reload_conf()")
        while True:
            with psycopg.connect(self.socket) as connection:
                if connection.execute("SELECT pg_conf_load_time()").fetchone() != (loaded,):
                    return

    def url(self, database: str = "postgres", **parameters: str) -> str:
        """A URL over TLS; ``sslrootcert`` and ``sslcert`` are names of the files here."""
        for name in ("sslrootcert", "sslcert", "sslkey"):
            if name in parameters:
                parameters[name] = str(self.folder / parameters[name])
        given = {"user": "postgres", "sslmode": "verify-full", **parameters}
        return f"postgresql://localhost:{self.port}/{database}?{urlencode(given)}"

    def surgeons(self, database: str) -> str:
        return self.url(
            database,
            user="surgeon",
            sslrootcert="authority.pem",
            sslcert="surgeon.pem",
            sslkey="surgeon.key",
        )

    def _keep(self, name: str, certificate: trustme.LeafCert) -> None:
        certificate.cert_chain_pems[0].write_to_path(self.folder / f"{name}.pem")
        certificate.private_key_pem.write_to_path(key := self.folder / f"{name}.key")
        key.chmod(0o600)
        shutil.copy(key, opened := self.folder / f"{name}-opened.key")
        opened.chmod(0o644)

    def _own(self, name: str, text: bytes) -> None:
        """Writes a file of the server's, which it insists on owning."""
        (path := self._data / name).write_bytes(text)
        path.chmod(0o600)
        owner = self._data.stat()
        if os.geteuid() == 0:
            os.chown(path, owner.st_uid, owner.st_gid)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with debian_server(port) as uri:
        if uri is None:
            pytest.skip("no PostgreSQL of Debian is here, and the embedded one has no TLS")
        yield Guarded(tmp_path_factory.mktemp("certificates"), port, uri)


class Case(NamedTuple):
    """What of the URL or of the server's certificate is other than it should be."""

    id: str
    told: str
    code: ErrorCode = ErrorCode.CONN_003
    url: dict[str, str] = {}
    shown: dict[str, Any] = {}


def as_surgeon(name: str, key: str | None = None) -> dict[str, str]:
    return {"user": "surgeon", "sslcert": f"{name}.pem", "sslkey": f"{key or name}.key"}


CASES = [
    Case("expired", "expired or of an unknown authority", shown={"expired": True}),
    Case("wrong host", "another host name", shown={"host": "hospital.example"}),
    Case(
        "unknown authority",
        "expired or of an unknown authority",
        url={"sslrootcert": "stranger.pem"},
    ),
    Case("no such file", "a file with a certificate", url={"sslrootcert": "missing.pem"}),
    Case("no client certificate", "wants a client certificate", url={"user": "surgeon"}),
    Case("expired client certificate", "client certificate is expired", url=as_surgeon("expired")),
    Case("client certificate of a stranger", "of an unknown authority", url=as_surgeon("unknown")),
    Case(
        "client certificate of another role",
        "doesn't accept role",
        ErrorCode.CONN_002,
        as_surgeon("nurse"),
    ),
    Case("no such client certificate", "wants a client certificate", url=as_surgeon("missing")),
    Case(
        "key that all can read",
        "a file with a certificate",
        url=as_surgeon("surgeon", "surgeon-opened"),
    ),
    Case("without TLS", "not without TLS", ErrorCode.CONN_002, {"sslmode": "disable"}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_is_wrong_is_told(guarded: Guarded, case: Case) -> None:
    url = guarded.url(**{"sslrootcert": "authority.pem", **case.url})
    guarded.show(**case.shown)
    try:
        with pytest.raises(TransfuseError) as raised:
            connect(url)
        forget_refused_logins()
        with pytest.raises(Exception, match="libpq") as read:
            open_source(url, None)
    finally:
        guarded.show()
    (problem,) = raised.value.problems
    assert problem.code is case.code
    assert case.told in problem.message
    assert problem.where == f"localhost:{guarded.port}/postgres"
    assert describe_error(read.value, url).code is case.code
    connect(guarded.surgeons("postgres")).close()


@pytest.fixture
def databases(guarded: Guarded, tmp_path: Path) -> Iterator[TwoDatabases]:
    """Two databases behind TLS, for a role that needs a certificate."""
    names = ("legacy", "target")
    with psycopg.connect(guarded.socket, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        legacy, target = (Database(guarded.surgeons(name)) for name in names)
        yield TwoDatabases(legacy, target, tmp_path)
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_a_migration_over_tls(databases: TwoDatabases, undisturbed: dict[str, list[Row]]) -> None:
    prepare(databases)
    encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert databases.target.values(encrypted) == [True]
    databases.migrate(SPECIFICATION, header=SMALL)
    assert content(databases) == undisturbed


def test_a_certificate_that_expires_during_a_run(
    databases: TwoDatabases, guarded: Guarded, undisturbed: dict[str, list[Row]]
) -> None:
    prepare(databases)
    keeper = gate(databases, "people", "INSERT", "new.id = 2500")
    connection = databases.target.connection
    try:
        with running(databases) as process:
            wait_until(process, lambda: someone_waits(databases))
            guarded.show(expired=True)
            keeper.close()
            _, told = process.communicate(timeout=60)
    finally:
        guarded.show()
    assert process.returncode == ExitStatus.INCOMPLETE, told.decode()
    assert b"CONN-003 table " in told
    connection.execute("DROP TRIGGER gate ON people")
    databases.migrate(SPECIFICATION, header=SMALL)
    assert content(databases) == undisturbed
