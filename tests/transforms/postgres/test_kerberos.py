"""A source that asks for Kerberos: one of the two client libraries has none."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.support.project import PROJECT
from tests.support.servers.debian_server import debian_server
from tests.support.servers.server_folder import server_folder
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")
ROLE = "keeper"

SPECIFICATION = """
job: kerberos
source: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration}
limits: {retry: {attempts: 3, delay: 100ms}}
tables: {people: {from: people, key: [id], copy: [id]}}
"""

CONFIGURATION = """
[libdefaults]
 default_realm = TEST.LOCAL
 dns_lookup_kdc = false
 dns_lookup_realm = false
 rdns = false
 dns_canonicalize_hostname = false
 udp_preference_limit = 1
[realms]
 TEST.LOCAL = {{
  kdc = 127.0.0.1:{port}
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
  acl_file = {folder}/acl
 }}
"""


@dataclass(frozen=True)
class Guarded:
    """A server that lets a role in with a ticket, and the environment that has the ticket."""

    socket: str
    port: int
    environment: dict[str, str]

    def url(self, database: str, **more: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in more.items())
        return f"postgresql://{ROLE}@localhost:{self.port}/{database}?{query}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    path = f"{os.environ['PATH']}:/usr/sbin"
    if any(shutil.which(program, path=path) is None for program in PROGRAMS):
        pytest.skip("no Kerberos is here (apt-get install krb5-kdc krb5-admin-server krb5-user)")
    port = free_port()
    with server_folder() as folder, debian_server(port) as uri:
        if uri is None:
            pytest.skip("no PostgreSQL of Debian is here")
        folder.chmod(0o755)
        kdc = free_port()
        (folder / "krb5.conf").write_text(CONFIGURATION.format(port=kdc, folder=folder))
        (folder / "acl").touch()
        environment = {
            "PATH": path,
            "KRB5_CONFIG": f"{folder}/krb5.conf",
            "KRB5_KDC_PROFILE": f"{folder}/krb5.conf",
            "KRB5CCNAME": f"FILE:{folder}/tickets",
        }

        def run(*command: str, given: str = "") -> None:
            subprocess.run(
                command,
                env=os.environ | environment,
                input=given,
                text=True,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=60,
            )

        run("kdb5_util", "create", "-s", "-r", "TEST.LOCAL", "-P", "master")
        run("kadmin.local", "-q", f"addprinc -pw secret {ROLE}")
        run("kadmin.local", "-q", "addprinc -randkey postgres/localhost")
        run("kadmin.local", "-q", f"ktadd -k {folder}/keytab postgres/localhost")
        if os.geteuid() == 0:
            shutil.chown(folder / "keytab", "postgres")
        let_in(uri, folder / "keytab")
        with subprocess.Popen(["krb5kdc", "-n"], env=os.environ | environment) as process:

            def has_ticket() -> bool:
                try:
                    run("kinit", ROLE, given="secret\n")
                except subprocess.CalledProcessError:
                    return False
                return True

            try:
                wait_until(has_ticket, 30)
                yield Guarded(uri, port, environment)
            finally:
                process.kill()


def let_in(uri: str, keytab: Path) -> None:
    """Has the server ask the role for a ticket, over the network, and nobody else for anything."""
    with psycopg.connect(uri, autocommit=True) as connection:
        (file,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        rules = Path(file)
        rules.write_text(f"host all {ROLE} all gss include_realm=0\n{rules.read_text()}")
        connection.execute(f"CREATE ROLE {ROLE} SUPERUSER LOGIN".encode())
        connection.execute(f"ALTER SYSTEM SET krb_server_keyfile = '{keytab}'".encode())
        connection.execute("SELECT pg_reload_conf()")
        for name in ("legacy", "target"):
            connection.execute(f"CREATE DATABASE {name}".encode())
            with psycopg.connect(make_conninfo(uri, dbname=name)) as made:
                made.execute("CREATE TABLE people (id int PRIMARY KEY)")
                if name == "legacy":
                    made.execute("INSERT INTO people VALUES (1), (2)")


def run(guarded: Guarded, folder: Path, verb: str, legacy: str, target: str) -> tuple[int, str]:
    path = folder / "kerberos.yaml"
    path.write_text(SPECIFICATION)
    urls = {"LEGACY_URL": legacy, "TARGET_URL": target}
    ended = subprocess.run(
        [sys.executable, "-m", "pipelines", verb, path],
        cwd=PROJECT,
        env=os.environ | guarded.environment | urls,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return ended.returncode, " ".join((ended.stdout + ended.stderr).split())


def test_a_source_behind_kerberos_is_refused_by_name_and_a_target_is_not(
    guarded: Guarded, tmp_path: Path
) -> None:
    plain = {
        name: guarded.socket.replace("/postgres?", f"/{name}?") for name in ("legacy", "target")
    }
    for more in ({"gssencmode": "disable"}, {}):
        legacy = guarded.url("legacy", **more)
        status, told = run(guarded, tmp_path, "plan", legacy, plain["target"])
        assert status == 2, told
        assert f"CONN-002 localhost:{guarded.port}/legacy" in told
        assert "asks for Kerberos (GSSAPI), which the library that reads rows (ADBC)" in told
        assert "scram-sha-256" in told
        assert "tried again" not in told
    target = guarded.url("target", gssencmode="disable")
    status, told = run(guarded, tmp_path, "migrate", plain["legacy"], target)
    assert status == 0, told
    with psycopg.connect(plain["target"]) as connection:
        assert connection.execute("SELECT count(*) FROM people").fetchone() == (2,)
