"""The guide for connection errors."""

from __future__ import annotations

from schemas.errors import ErrorCode
from schemas.guide.guide_entry import GuideEntry
from schemas.guide.guide_queries import HBA_RULES, SESSIONS, failed_partitions
from schemas.guide.guide_step import (
    CommandLanguage,
    CommandScope,
    GuideStep,
    advice,
    shell,
    specification,
    sql,
    transfuse,
)
from schemas.guide.reach_steps import CONTINUE, DOCTOR, PSQL, REACH

_NETWORK = CommandScope.NETWORK
_SERVERS = CommandScope.SERVERS

CONN_001 = GuideEntry(
    ErrorCode.CONN_001,
    symptoms=(
        "Messages about a connection that timed out, in the output or in error.log",
        "Source or target can't be reached",
        "The migration ends before the first row",
    ),
    causes=(
        "The network between this machine and the server is interrupted",
        "A firewall drops the packets",
        "The server is overloaded",
        "Host, port or database in the specification are wrong",
    ),
    diagnosis=(DOCTOR, *REACH, PSQL, failed_partitions(ErrorCode.CONN_001)),
    resolution=(
        shell("Look at the network interfaces of this machine.", "ip addr show"),
        shell("Look at its routes.", "ip route show"),
        shell("Follow the way to the server.", "traceroute {host}", _NETWORK),
        shell("Look at the local firewall.", "sudo iptables -L"),
        shell(
            "On the database server: see whether it listens on the port.",
            "sudo ss -ltnp 'sport = :{port}'",
            _NETWORK,
            ("sudo netstat -tlnp",),
            "netstat isn't installed on current systems, and ss is",
        ),
        sql("Ask the server for its version.", "SELECT version();", _SERVERS),
        sql("Count its sessions.", "SELECT count(*) FROM pg_stat_activity;", _SERVERS),
        sql(
            "Look for locks that are waited for.",
            "SELECT * FROM pg_locks WHERE NOT granted;",
            _SERVERS,
        ),
        specification(
            "Allow more time and fewer connections, if the server is slow rather than gone.",
            """
source: {url: "postgresql://reader@old/his?connect_timeout=60"}
limits: {connections: {source: 2, target: 2}, retry: {delay: 30s}}
""",
        ),
        CONTINUE,
    ),
    automatic=(
        "Waits 30 s for a connection, and 90 s for a network that has gone dead",
        "Tries again as limits.retry sets (three times, after 5 s at first and then longer)",
        "Records the partition as failed and goes on with the others; the next migrate does"
        " what is missing",
    ),
)

CONN_002 = GuideEntry(
    ErrorCode.CONN_002,
    symptoms=(
        '"Authentication failed" or "password authentication failed"',
        '"Role does not exist"',
        "No entry of pg_hba.conf for the role, the database or this machine",
    ),
    causes=(
        "Wrong role or password",
        "The role may not log in, or its password has expired",
        "The role lacks the right to connect to the database",
        "pg_hba.conf doesn't let this machine in",
    ),
    diagnosis=(
        DOCTOR,
        PSQL,
        sql(
            "As administrator: see whether the role exists.",
            "SELECT usename FROM pg_user WHERE usename = '{role_name}';",
            _SERVERS,
        ),
        sql(
            "See whether it may log in, and until when its password is valid.",
            """
SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole,
    r.rolcreatedb, r.rolcanlogin, r.rolvaliduntil, r.rolconnlimit
FROM pg_roles r
WHERE r.rolname = '{role_name}';
""",
            _SERVERS,
        ),
        sql(
            "See who may connect to the database.",
            "SELECT datname, datacl FROM pg_database WHERE datname = '{database_name}';",
            _SERVERS,
        ),
        HBA_RULES,
    ),
    resolution=(
        sql(
            "As administrator: let the role log in and connect.",
            """
ALTER ROLE {role} LOGIN;
GRANT CONNECT ON DATABASE {database} TO {role};
""",
            _SERVERS,
        ),
        shell(
            "If the password has expired: as administrator, set a new one.",
            'psql -h {host} -p {port} -d {database} -c "\\password {role}"',
            _SERVERS,
        ),
        transfuse(
            "Let Transfuse name the missing rights; it prints a GRANT for each object.",
            "transfuse plan {specification}",
            ("GRANT USAGE ON SCHEMA public", "GRANT SELECT, INSERT, UPDATE, DELETE"),
            "the guide's GRANTs lack sequences and control tables, and grant more than is needed"
            " on everything else",
        ),
        GuideStep(
            "Add a rule for the role to the file that SHOW hba_file names.",
            "hostssl {database} {role} samenet scram-sha-256",
            CommandLanguage.PG_HBA,
            _NETWORK,
            ("host healthcare_db migration_user 0.0.0.0/0 md5",),
            "the guide lets in any address, without TLS and with MD5; write the address of this"
            " machine instead of samenet if it is in another network",
        ),
        sql("Let the server read that file again.", "SELECT pg_reload_conf();", _SERVERS),
        CONTINUE,
    ),
    automatic=(
        "Doesn't try a wrong password again, so that no account is locked",
        "Says whether role, database, right or pg_hba.conf is the reason, where the server does",
        "Prints and stores no password",
    ),
)

_CERTIFICATE = (
    "openssl s_client -starttls postgres -connect {host}:{port} \\\n"
    "  -servername {host} </dev/null 2>/dev/null |\n"
)

CONN_003 = GuideEntry(
    ErrorCode.CONN_003,
    symptoms=(
        "The server's certificate can't be verified",
        '"Certificate has expired"',
        "The host's name isn't that of the certificate",
        "The server offers no TLS, and the URL asks for it",
    ),
    causes=(
        "The certificate has expired, or isn't valid yet",
        "It was issued for another host, or by an authority that isn't trusted here",
        "TLS is off on the server",
    ),
    diagnosis=(
        DOCTOR,
        shell(
            "Look at issuer, names and dates of the server's certificate.",
            f"{_CERTIFICATE}  openssl x509 -noout -subject -issuer -dates",
            _NETWORK,
            ("openssl s_client -connect database-server.com:5432",),
            "PostgreSQL begins without TLS; only with -starttls postgres does openssl get to see"
            " the certificate",
        ),
        shell(
            "Verify it against the authority's certificate (ca.pem).",
            f"{_CERTIFICATE}  openssl x509 -out server.pem\n"
            "openssl verify -CAfile ca.pem server.pem",
            _NETWORK,
            ("openssl verify -CAfile ca-certificate.crt",),
            "it verifies the certificate that the server really presents",
        ),
        sql("See whether TLS is on.", "SHOW ssl;", _SERVERS),
        sql(
            "See which sessions use it.",
            "SELECT a.usename, s.ssl, s.version, count(*) FROM pg_stat_ssl s\n"
            "JOIN pg_stat_activity a USING (pid) GROUP BY a.usename, s.ssl, s.version;",
            _SERVERS,
        ),
    ),
    resolution=(
        advice("Have the authority renew the certificate, install it, and reload the server."),
        sql("Let the server read its certificate again.", "SELECT pg_reload_conf();", _SERVERS),
        specification(
            "Name the authority; a client certificate is &sslcert=client.crt&sslkey=client.key.",
            'source:\n  url: "postgresql://me@old/his?sslmode=verify-full&sslrootcert=ca.pem"',
        ),
        CONTINUE,
    ),
    automatic=(
        "Doesn't try again, and never connects without the check that the URL asks for",
        "Records the partition as failed; the others go on",
    ),
)

CONN_004 = GuideEntry(
    ErrorCode.CONN_004,
    symptoms=(
        "The host's name is unknown, or no server answers on the port",
        "A connection is lost in the middle of the migration",
    ),
    causes=(
        "A wrong host or port",
        "Routes, a VPN or a firewall",
        "The server was stopped or has restarted",
    ),
    diagnosis=(
        DOCTOR,
        *REACH,
        shell(
            "See whether a server accepts connections.", "pg_isready -h {host} -p {port}", _SERVERS
        ),
        sql(
            "See when the server was started, and whether it is a standby.",
            "SELECT pg_postmaster_start_time(), pg_is_in_recovery();",
            _SERVERS,
        ),
        failed_partitions(ErrorCode.CONN_004),
    ),
    resolution=(
        shell("Look at the routes of this machine.", "ip route show"),
        shell("Follow the way to the server.", "traceroute {host}", _NETWORK),
        advice("Correct host and port in the URL, start the server, or open the firewall."),
        CONTINUE,
    ),
    automatic=(
        "Tries a lost connection again as limits.retry sets",
        "Looks a host's name up twice, and then gives the partition up",
        "Rolls back what the lost connection had begun: no row is lost or written twice",
    ),
)

CONN_005 = GuideEntry(
    ErrorCode.CONN_005,
    symptoms=(
        '"Too many connections" or "remaining connection slots are reserved"',
        "Workers wait for a connection",
    ),
    causes=(
        "Other programs use up the server's connections",
        "limits.connections is higher than server, database or role allow",
    ),
    diagnosis=(
        DOCTOR,
        sql("See how many connections the server has.", "SHOW max_connections;", _SERVERS),
        SESSIONS,
        sql(
            "Look at the limits of database and role (-1: none).",
            """
SELECT datconnlimit,
    (SELECT rolconnlimit FROM pg_roles WHERE rolname = '{role_name}')
FROM pg_database
WHERE datname = '{database_name}';
""",
            _SERVERS,
        ),
        failed_partitions(ErrorCode.CONN_005),
    ),
    resolution=(
        specification(
            "Use fewer connections. The launcher has one to the source and two to the target more.",
            "limits: {connections: {source: 2, target: 2}}",
        ),
        sql(
            "As administrator: let the role have more.",
            "ALTER ROLE {role} CONNECTION LIMIT 20;",
            _SERVERS,
        ),
        advice("Behind a pooler, choose pool_mode=session; one that shares sessions is refused."),
        CONTINUE,
    ),
    automatic=(
        "Never opens more than limits.connections for its workers",
        "Closes a connection that nobody has needed for 10 s",
        "Tries again as limits.retry sets",
    ),
)

ENTRIES = (CONN_001, CONN_002, CONN_003, CONN_004, CONN_005)
