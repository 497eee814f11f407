"""TLS of a server: whether it is used, and the certificate's issuer, host names and last day."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone

from psycopg.conninfo import conninfo_to_dict

from pipelines.doctor.health_finding import (
    FindingLevel,
    HealthFact,
    HealthFinding,
    Observation,
)
from schemas.errors import ErrorCode, Severity

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""The message that asks a server for TLS (PostgreSQL, Message Formats)."""

ANSWER_TIMEOUT = 3.0
"""Seconds for each answer of the server."""

WARN_DAYS = 30
URGENT_DAYS = 7
"""Days left from which a certificate is reported, and from which with high severity."""


def examine_tls(
    subject: str, name: str, address: str, port: int, url: str
) -> Iterator[Observation]:
    """Ask a server for TLS, and look at its certificate. Whether it is trusted, the login decides.

    Args:
        subject: The host in the report.
        name: The host as certificates name it.
        address: The host or its address, to connect to.
        port: The port.
        url: The URL, with its ``sslmode``.

    Yields:
        Facts, a warning for a certificate that ends soon (CONN-003), and a blocker for a server
        that doesn't answer (CONN-001).
    """
    parts = conninfo_to_dict(url)
    if parts.get("sslmode") == "disable":
        yield HealthFact(subject, "tls", "switched off in the URL")
        return
    direct = parts.get("sslnegotiation") == "direct"
    try:
        certificate = _read_certificate(name, address, port, direct)
    except TimeoutError:
        yield HealthFinding(
            FindingLevel.BLOCKER,
            ErrorCode.CONN_001,
            subject,
            f"it accepts connections, and answers nothing within {ANSWER_TIMEOUT:.0f} s",
            f"pg_isready -h {address} -p {port}  # after starting the server again, or correcting"
            " host and port in the URL",
        )
        return
    except OSError:
        # The login reports whether TLS is needed, and what is wrong with it.
        yield HealthFact(subject, "tls", "no handshake")
        return
    if certificate is None:
        yield HealthFact(subject, "tls", "not offered")
        return
    yield from _describe(subject, certificate)


def _read_certificate(name: str, address: str, port: int, direct: bool) -> bytes | None:
    """The server's certificate (DER), which is only looked at; None for a server without TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    with closing(socket.create_connection((address, port), ANSWER_TIMEOUT)) as plain:
        plain.settimeout(ANSWER_TIMEOUT)
        if not direct:
            plain.sendall(SSL_REQUEST)
            if plain.recv(1) != b"S":
                return None
        with context.wrap_socket(plain, server_hostname=name) as encrypted:
            return encrypted.getpeercert(binary_form=True)


def _describe(subject: str, der: bytes) -> Iterator[Observation]:
    try:
        from cryptography import x509
    except ImportError:
        yield HealthFact(subject, "tls", "in use; the package cryptography would read more")
        return
    certificate = x509.load_der_x509_certificate(der)
    yield HealthFact(subject, "tls", "offered")
    yield HealthFact(subject, "certificate issuer", certificate.issuer.rfc4514_string())
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = [str(one.value) for one in names]
    except x509.ExtensionNotFound:
        hosts = [certificate.subject.rfc4514_string()]
    yield HealthFact(subject, "certificate hosts", ", ".join(hosts))
    days = (certificate.not_valid_after_utc - datetime.now(timezone.utc)).days
    yield HealthFact(subject, "certificate days left", days)
    if days >= WARN_DAYS:
        return
    yield HealthFinding(
        FindingLevel.WARNING,
        ErrorCode.CONN_003,
        subject,
        f"the server's certificate ends in {days} days"
        if days >= 0
        else "the server's certificate has expired",
        "SELECT pg_reload_conf();  -- after renewing the files ssl_cert_file and ssl_key_file",
        Severity.HIGH if days < URGENT_DAYS else None,
    )
