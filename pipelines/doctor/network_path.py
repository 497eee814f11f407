"""The way to a server: the look-up of its name, the TCP connection, and TLS."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace

from psycopg.conninfo import conninfo_to_dict

from pipelines.doctor.health_finding import (
    FindingLevel,
    HealthFact,
    HealthFinding,
    Observation,
    is_blocker,
)
from pipelines.doctor.server_certificate import examine_tls
from schemas.errors import ErrorCode

CONNECT_TIMEOUT = 3.0
"""Seconds for a TCP connection: the whole diagnosis takes no more than ten."""


@dataclass(frozen=True)
class ServerHost:
    """A host of a URL.

    Attributes:
        name: As the URL has it, which certificates go by.
        address: The address that the URL has beside it, or the name.
        port: The port.
    """

    name: str
    address: str
    port: int


def hosts_of(url: str) -> list[ServerHost]:
    """The hosts of a URL that are reached over TCP; none for sockets and services."""
    parts = conninfo_to_dict(url)
    names = str(parts.get("host") or "").split(",")
    addresses = str(parts.get("hostaddr") or parts.get("host") or "").split(",")
    ports = str(parts.get("port") or "5432").split(",")
    ports = ports * len(addresses) if len(ports) == 1 else ports
    names = names if len(names) == len(addresses) else addresses
    return [
        ServerHost(name or address, address, int(port or 5432))
        for name, address, port in zip(names, addresses, ports, strict=True)
        if address and not address.startswith(("/", "@"))
    ]


def examine_path(place: str, url: str) -> Iterator[Observation]:
    """Examine the way to each host of a URL, step by step.

    Args:
        place: The name of the server in the report, such as ``source``.
        url: The URL of a database.

    Yields:
        Facts, and for each host the first step that fails: a blocker, or a warning if another host
        of the URL can be reached.
    """
    hosts = hosts_of(url)
    if not hosts:
        yield HealthFact(place, "transport", "Unix socket or service")
        return
    observations = [one for host in hosts for one in _examine_host(place, host, url)]
    failed = {one.subject for one in observations if is_blocker(one)}
    # A socket among the hosts is for the login to try.
    sockets = str(conninfo_to_dict(url).get("host") or "").count(",") + 1 - len(hosts)
    for one in observations:
        if is_blocker(one) and (sockets > 0 or len(failed) < len(hosts)):
            one = replace(one, level=FindingLevel.WARNING)
        yield one


def _examine_host(place: str, host: ServerHost, url: str) -> Iterator[Observation]:
    subject = f"{place}, {host.name}:{host.port}"
    for one in _examine_port(subject, host):
        yield one
        if is_blocker(one):
            return
    yield from examine_tls(subject, host.name, host.address, host.port, url)


def _examine_port(subject: str, host: ServerHost) -> Iterator[Observation]:
    try:
        addresses = socket.getaddrinfo(host.address, host.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        yield HealthFinding(
            FindingLevel.BLOCKER,
            ErrorCode.CONN_004,
            subject,
            "the name of the host can't be looked up",
            f"getent hosts {host.address}  # correct the name in the URL, or add it to the DNS",
        )
        return
    yield HealthFact(subject, "addresses", ", ".join(sorted({str(a[4][0]) for a in addresses})))
    try:
        socket.create_connection((host.address, host.port), CONNECT_TIMEOUT).close()
    except TimeoutError:
        yield HealthFinding(
            FindingLevel.BLOCKER,
            ErrorCode.CONN_001,
            subject,
            f"no answer within {CONNECT_TIMEOUT:.0f} s: the server is down, or a firewall drops"
            " the packets",
            f"pg_isready -h {host.address} -p {host.port}  # after opening the port for this host",
        )
    except OSError:
        yield HealthFinding(
            FindingLevel.BLOCKER,
            ErrorCode.CONN_004,
            subject,
            "the host refuses connections to this port",
            f"pg_isready -h {host.address} -p {host.port}  # after starting the server, or"
            " correct the port in the URL",
        )
