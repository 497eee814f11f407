"""Steps that reach a server and that continue a job; several entries share them."""

from __future__ import annotations

from schemas.guide.guide_step import CommandScope, shell, transfuse

_NETWORK = CommandScope.NETWORK
_SERVERS = CommandScope.SERVERS

CONTINUE = transfuse("Continue the job where it stopped.", "transfuse migrate {specification}")

REACH = (
    shell(
        "Look the server's name up.",
        "getent hosts {host}",
        _NETWORK,
        ("nslookup database-server.com",),
        "nslookup asks the DNS alone, while programs also read /etc/hosts, as getent does",
    ),
    shell(
        "See whether the server's machine answers.",
        "ping -c 3 {host}",
        _NETWORK,
        ("ping database-server.com",),
        "without -c it doesn't end; many servers don't answer it, so a failure proves nothing",
    ),
    shell(
        "See whether the port accepts connections.",
        "nc -vz -w 5 {host} {port}",
        _NETWORK,
        ("telnet database-server.com 5432",),
        "telnet is rarely installed and doesn't end by itself",
    ),
)

PSQL = shell(
    "Connect as the migration does; psql asks for the password.",
    'psql -h {host} -p {port} -U {role} -d {database} -c "SELECT 1;"',
    _SERVERS,
    ("psql -h database-server.com -U username",),
    "the guide leaves the port out",
)

DOCTOR = transfuse(
    "Have Transfuse examine servers, data and machine; it prints a fix for each finding.",
    "transfuse doctor {specification}",
)
