"""URLs of databases: judged before anything is connected, and the place that may be printed.

libpq takes almost any text for a URL. In ``postgresql://user:Se/cret@host/db`` it sees the host
``user`` and the port ``Se``, so a part of the password would be looked up in the DNS and printed.
A URL that can be read in two ways is refused here, and no message quotes it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

SCHEMES = ("postgresql://", "postgres://")

FORM = "write postgresql://USER@HOST:PORT/DATABASE"

_ENCODE = "percent-encode user and password: / as %2F, @ as %40, ? as %3F, % as %25"

_ENCODE_BY = (
    f"{_ENCODE}; this does it: python3 -c 'import getpass, urllib.parse;"
    ' print(urllib.parse.quote(getpass.getpass(), safe=""))\''
)

_WRAPPERS = {"jdbc:": "jdbc:", "postgresql+": "+DRIVER", "postgres+": "+DRIVER"}
"""How URLs of other programs begin, and what of it libpq doesn't know."""

_FOREIGN_PARAMETERS = {
    "currentschema": "options=-csearch_path%3DSCHEMA",
    "ssl_mode": "sslmode=require",
    "schema": "options=-csearch_path%3DSCHEMA",
    "search_path": "options=-csearch_path%3DSCHEMA",
    "statement_timeout": "options=-cstatement_timeout%3DMILLISECONDS",
    "lock_timeout": "options=-clock_timeout%3DMILLISECONDS",
    "applicationname": "application_name=NAME",
    "connecttimeout": "connect_timeout=SECONDS",
    "logintimeout": "connect_timeout=SECONDS",
    "sockettimeout": "tcp_user_timeout=MILLISECONDS",
    "tcpkeepalive": "keepalives=1",
    "targetservertype": "target_session_attrs=read-write",
    "loadbalancehosts": "load_balance_hosts=disable",
    "username": "user=NAME",
    "database": "dbname=NAME",
    "charset": "client_encoding=UTF8",
    "pool_timeout": "",
    "pool_size": "",
    "pgbouncer": "",
    "connection_limit": "",
    "sslcertmode": "",
    "prepare_threshold": "",
    "preparethreshold": "",
    "binarytransfer": "",
    "rewritebatchedinserts": "",
    "defaultrowfetchsize": "",
    "stringtype": "",
}
"""Parameters of JDBC, SQLAlchemy and others, in lower case, and what libpq has instead. Only these
names are printed: any other could be a part of a password that holds an ``&``."""

_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "gssencmode": ("disable", "prefer", "require"),
    "channel_binding": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "target_session_attrs": (
        "any", "read-write", "read-only", "primary", "standby", "prefer-standby",
    ),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
}  # fmt: skip
_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
"""Parameters of which libpq takes some values only, which it finds out when it connects."""

_RAW_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"[\w.\-]*|\[[0-9A-Fa-f:.%\w]+\]")
_PORT = re.compile(r"\d{1,5}")


class UrlProblem(NamedTuple):
    """What is wrong with a URL, and how to correct it. Quotes nothing of it."""

    message: str
    remedy: str = FORM


def find_url_problem(url: str) -> UrlProblem | None:
    """Finds what keeps a URL from meaning one database, without a connection.

    Args:
        url: the URL as the user wrote it, variables filled in.

    Returns:
        The fault, or None for a URL that has a single reading.
    """
    return _problem_of_text(url) or _problem_of_parts(url) or _problem_of_parameters(url)


def _problem_of_text(url: str) -> UrlProblem | None:
    if not url:
        return UrlProblem("the URL is empty")
    if url != url.rstrip("\r\n"):
        return UrlProblem(
            "the URL ends with a line break",
            "remove it; from a file: NAME=\"$(tr -d '\\r\\n' < FILE)\"",
        )
    if url != url.strip():
        return UrlProblem("the URL begins or ends with a blank", "remove the blank")
    if url[0] in "'\"":
        return UrlProblem("the URL begins with a quotation mark", "remove the quotation marks")
    for start, unknown in _WRAPPERS.items():
        if url.startswith(start):
            return UrlProblem(f"'{unknown}' isn't part of the URL that libpq reads", FORM)
    if not url.startswith(SCHEMES):
        return UrlProblem("this is not the URL of a PostgreSQL database")
    if any(character.isspace() or not character.isprintable() for character in url):
        return UrlProblem(
            "the URL holds a blank or a character that can't be printed",
            "percent-encode it, a blank as %20",
        )
    if _RAW_PERCENT.search(url):
        return UrlProblem("the URL holds a % that begins no percent-encoding", _ENCODE_BY)
    return None


def _problem_of_parts(url: str) -> UrlProblem | None:
    """Looks at the URL as libpq takes it apart, and for a second reading of it."""
    rest = url[url.index("//") + 2 :]
    user, at, server = rest.partition("@")
    if "/" in user or not at:
        user, server = "", rest
    server_part = server.partition("?")[0]
    hosts, _, database = server_part.partition("/")
    if "?" in user or "@" in server_part or "/" in database:
        return UrlProblem(
            "the URL can be read in two ways: user, password or database hold a character that"
            " separates the parts of a URL",
            _ENCODE_BY,
        )
    for host in hosts.split(","):
        name, port = _host_and_port(host)
        if not _HOST.fullmatch(re.sub("%[0-9A-Fa-f]{2}", "_", name)):
            return UrlProblem(
                "the URL names no host: there is a character that no host has", _ENCODE
            )
        if port is not None and not _is_port(port):
            return _port_problem()
    return None


def _host_and_port(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        name, bracket, port = text.partition("]")
        return name + bracket, port[1:] if port.startswith(":") else port or None
    name, colon, port = text.partition(":")
    return name, port if colon else None


def _is_port(text: str) -> bool:
    return text == "" or (bool(_PORT.fullmatch(text)) and 1 <= int(text) <= 65535)


def _port_problem() -> UrlProblem:
    return UrlProblem(
        "the URL's port is not a number from 1 to 65535",
        f"{FORM}; if this is a part of the password, {_ENCODE}",
    )


def _problem_of_parameters(url: str) -> UrlProblem | None:
    try:
        parts = conninfo_to_dict(url)
        str(parts)
    except (psycopg.ProgrammingError, UnicodeError):
        return _unreadable(url)
    if not all(_is_port(port) for port in str(parts.get("port", "")).split(",")):
        return _port_problem()
    for name, choices in _CHOICES.items():
        if parts.get(name) and str(parts[name]).lower() not in map(str.lower, choices):
            return UrlProblem(
                f"the URL's {name} is none that libpq knows", f"one of: {', '.join(choices)}"
            )
    for name in _NUMBERS:
        if parts.get(name) and not re.fullmatch(r"\s*-?[0-9]+\s*", str(parts[name])):
            return UrlProblem(f"the URL's {name} is not a whole number", f"write {name}=30")
    hosts, ports = (str(parts.get(name, "")).split(",") for name in ("host", "port"))
    if len(ports) not in (1, len(hosts)):
        return UrlProblem(
            "the URL names other numbers of hosts and ports", "write HOST:PORT,HOST:PORT"
        )
    return None


def _unreadable(url: str) -> UrlProblem:
    """What libpq refuses. Its own words quote the URL."""
    query = url.partition("?")[2]
    for parameter in query.split("&"):
        name = parameter.partition("=")[0]
        if name.lower() in _FOREIGN_PARAMETERS:
            ours = _FOREIGN_PARAMETERS[name.lower()]
            remedy = f"write {ours}" if ours else "leave it out"
            return UrlProblem(f"libpq has no parameter '{name}'", remedy)
    if query:
        return UrlProblem(
            "the URL has a parameter after its '?' that libpq doesn't know, or one without a value",
            "write NAME=VALUE&NAME=VALUE with names that libpq knows, and in values"
            " & as %26, = as %3D, % as %25",
        )
    return UrlProblem("libpq can't read the URL", f"{FORM}; {_ENCODE}")


def url_place(url: str) -> str:
    """The place of a database as it may be printed.

    Args:
        url: a URL, or another connection string of libpq.

    Returns:
        ``host:port/database``, several hosts with commas, ``service NAME`` for a service, or
        ``the database`` where the URL has a fault, since its parts could be those of a password.
    """
    try:
        if url.startswith(SCHEMES) and find_url_problem(url) is not None:
            return "the database"
        parts = conninfo_to_dict(url)
    except (psycopg.ProgrammingError, UnicodeError):
        return "the database"
    if "service" in parts and "host" not in parts:
        return f"service {parts['service']}"
    hosts = str(parts.get("host") or parts.get("hostaddr") or "localhost").split(",")
    ports = str(parts.get("port", "5432")).split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places = [f"{host}:{port or 5432}" for host, port in zip(hosts, ports, strict=True)]
    return f"{','.join(places)}/{parts.get('dbname', '')}"


def for_writing(url: str) -> str:
    """The URL of a target: of several hosts only one that accepts writes is taken.

    Args:
        url: a URL without a fault.

    Returns:
        The URL with ``target_session_attrs=read-write`` where it names several hosts and no
        preference among them.
    """
    if find_url_problem(url) is not None:
        return url
    parts = conninfo_to_dict(url)
    if "," not in str(parts.get("host", "")) or "target_session_attrs" in parts:
        return url
    return f"{url}{'&' if '?' in url else '?'}target_session_attrs=read-write"
