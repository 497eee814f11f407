"""Findings on a server with TLS and passwords: its certificate and the login."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
import trustme

from pipelines.doctor.health_finding import FindingLevel
from schemas.errors import ErrorCode, Severity
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.jobs.wards_and_beds import LOADS, diagnose, fill, only, severe
from tests.support.servers.debian_server import debian_server
from tests.support.waiting import wait_until
from transforms.postgres.refused_logins import forget_refused_logins

pytestmark = pytest.mark.slow

RULES = """
local   all all trust
hostssl all all 127.0.0.1/32 scram-sha-256
"""


@dataclass
class EncryptedServer:
    """A server that takes TLS and a password over the network."""

    port: int
    socket: str
    authority: trustme.CA = field(default_factory=trustme.CA)

    def start(self) -> None:
        with psycopg.connect(self.socket, autocommit=True) as connection:
            (name,) = connection.execute("SHOW data_directory").fetchone() or ("",)
            self._write(Path(name) / "pg_hba.conf", RULES.encode())
            connection.execute("CREATE DATABASE legacy")
            connection.execute("CREATE ROLE reader LOGIN SUPERUSER PASSWORD 'right'")
            for setting in (
                "ssl_cert_file = 'server.crt'",
                "ssl_key_file = 'server.key'",
                "ssl = on",
            ):
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            self.folder = Path(name)

    def renew(self, days: int) -> str:
        """Write another certificate, which a reload shows, and return its last day."""
        until = datetime.now(timezone.utc) + timedelta(days=days, hours=1)
        certificate = self.authority.issue_cert("localhost", not_after=until)
        self._write(self.folder / "server.crt", certificate.cert_chain_pems[0].bytes())
        self._write(self.folder / "server.key", certificate.private_key_pem.bytes())
        return str(until)

    def reload(self, statement: str) -> None:
        with psycopg.connect(self.socket, autocommit=True) as connection:
            before = connection.execute("SELECT pg_conf_load_time()").fetchone()
            connection.execute(statement.encode())
        wait_until(lambda: self._loaded() != before)

    def _loaded(self) -> object:
        with psycopg.connect(self.socket) as connection:
            return connection.execute("SELECT pg_conf_load_time()").fetchone()

    def url(self, password: str = "right") -> str:
        return f"postgresql://reader:{password}@localhost:{self.port}/legacy?sslmode=require"

    def _write(self, path: Path, text: bytes) -> None:
        path.write_bytes(text)
        path.chmod(0o600)
        owner = path.parent.stat()
        if os.geteuid() == 0:
            os.chown(path, owner.st_uid, owner.st_gid)


@pytest.fixture(scope="module")
def encrypted() -> Iterator[EncryptedServer]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with debian_server(port) as uri:
        if uri is None:
            pytest.skip("no PostgreSQL of Debian is here, and the embedded one has no TLS")
        server = EncryptedServer(port, uri)
        server.start()
        server.renew(400)
        server.reload("SELECT pg_reload_conf()")
        with psycopg.connect(uri.replace("/postgres?", "/legacy?"), autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE old_wards (id int PRIMARY KEY, code text, name text);"
                "CREATE TABLE old_beds (id int PRIMARY KEY, ward text, kind text)"
            )
        yield server


@pytest.fixture
def hospital(databases: TwoDatabases, encrypted: EncryptedServer) -> TwoDatabases:
    forget_refused_logins()
    fill(databases)
    databases.write(LOADS, HEADER.replace("${LEGACY_URL}", encrypted.url()))
    return databases


def test_the_facts_of_a_certificate(hospital: TwoDatabases, encrypted: EncryptedServer) -> None:
    diagnosis = diagnose(hospital)
    assert severe(diagnosis) == []
    subject = f"source, localhost:{encrypted.port}"
    facts = {one.name: one.value for one in diagnosis.facts if one.subject == subject}
    assert facts["tls"] == "offered"
    assert facts["certificate days left"] == 400
    assert "trustme" in str(facts["certificate issuer"])
    assert facts["certificate hosts"] == "localhost"
    assert ("source", "encrypted", True) in {
        (one.subject, one.name, one.value) for one in diagnosis.facts
    }


@pytest.mark.parametrize(
    ("days", "severity"), [(29, Severity.MEDIUM), (6, Severity.HIGH), (-2, Severity.HIGH)]
)
def test_a_certificate_that_ends_soon(
    hospital: TwoDatabases, encrypted: EncryptedServer, days: int, severity: Severity
) -> None:
    encrypted.renew(days)
    encrypted.reload("SELECT pg_reload_conf()")
    finding = only(diagnose(hospital))
    assert (finding.level, finding.code) == (FindingLevel.WARNING, ErrorCode.CONN_003)
    assert finding.severity is severity
    encrypted.renew(400)
    encrypted.reload(finding.fix)
    assert severe(diagnose(hospital)) == []


def test_a_wrong_password(hospital: TwoDatabases, encrypted: EncryptedServer) -> None:
    hospital.write(LOADS, HEADER.replace("${LEGACY_URL}", encrypted.url("planted-password")))
    diagnosis = diagnose(hospital)
    finding = only(diagnosis)
    assert (finding.level, finding.code) == (FindingLevel.BLOCKER, ErrorCode.CONN_002)
    assert "planted-password" not in str(diagnosis)


def test_a_server_without_tls(hospital: TwoDatabases, encrypted: EncryptedServer) -> None:
    with psycopg.connect(encrypted.socket, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET ssl = off")
    encrypted.reload("SELECT pg_reload_conf()")
    try:
        finding = only(diagnose(hospital))
        assert (finding.level, finding.code) == (FindingLevel.BLOCKER, ErrorCode.CONN_003)
    finally:
        with psycopg.connect(encrypted.socket, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET ssl = on")
        encrypted.reload("SELECT pg_reload_conf()")
    assert severe(diagnose(hospital)) == []
