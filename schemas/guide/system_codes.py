"""The guide for system errors."""

from __future__ import annotations

from schemas.errors import ErrorCode
from schemas.guide.guide_entry import GuideEntry
from schemas.guide.guide_queries import (
    ALERTS,
    BLOCKING_SESSIONS,
    INVALID_INDEXES,
    MEASURED,
    SESSIONS,
    SLOW_QUERIES,
    failed_partitions,
)
from schemas.guide.guide_step import CommandScope, advice, shell, specification, sql, transfuse
from schemas.guide.reach_steps import CONTINUE, DOCTOR

_SERVERS = CommandScope.SERVERS
_TARGET_TABLES = CommandScope.TARGET_TABLES

_STATUS = transfuse("See how far the job is.", "transfuse status {specification}")

SYS_001 = GuideEntry(
    ErrorCode.SYS_001,
    symptoms=(
        '"Out of memory" in the output or in the system\'s log',
        "The process was ended by the system",
        "The machine swaps and becomes slow",
    ),
    causes=(
        "limits.memory is higher than what the machine has free",
        "Other programs use the memory",
        "A single row is larger than the limit",
    ),
    diagnosis=(
        DOCTOR,
        shell("See how much memory is free.", "free -h"),
        shell("See which processes use it.", "ps aux --sort=-%mem | head -10"),
        shell("See whether the machine swaps.", "swapon --show"),
        shell(
            "Watch the memory.",
            "top -o %MEM -b -n 1 | head -20",
            replaces=("top -o %MEM",),
            differs="with -b -n 1 it also works without a terminal, and ends",
        ),
        shell("See whether the system ended the process.", "journalctl -k --grep 'out of memory'"),
        failed_partitions(ErrorCode.SYS_001),
    ),
    resolution=(
        specification(
            "Give the run less memory, which makes its partitions smaller.",
            "limits: {memory: 1GB, connections: {source: 2, target: 2}}",
        ),
        transfuse(
            "Work on fewer partitions at once.",
            "transfuse migrate {specification} --direct_num_workers=2",
        ),
        shell(
            "Until the machine has more memory: add swap space.",
            "sudo fallocate -l 4G /swapfile\n"
            "sudo chmod 600 /swapfile\n"
            "sudo mkswap /swapfile\n"
            "sudo swapon /swapfile",
        ),
    ),
    automatic=(
        "Makes partitions as small as limits.memory requires",
        "Reports a shortage as SYS-001 and ends in order; the next migrate continues",
    ),
)

SYS_002 = GuideEntry(
    ErrorCode.SYS_002,
    symptoms=(
        "Fewer rows a second than before",
        "High load of a processor or disk",
        "Statements that time out",
    ),
    causes=(
        "Statistics are out of date, or an index is missing",
        "Sessions wait for locks",
        "Other programs use server or machine",
    ),
    diagnosis=(
        DOCTOR,
        _STATUS,
        MEASURED,
        ALERTS,
        SLOW_QUERIES,
        BLOCKING_SESSIONS,
        SESSIONS,
        sql(
            "See how much is read from memory (more than 95 % is usual).",
            """
SELECT round(100.0 * blks_hit / nullif(blks_hit + blks_read, 0), 2)
    AS cache_hit_percent
FROM pg_stat_database
WHERE datname = '{database_name}';
""",
            _SERVERS,
        ),
    ),
    resolution=(
        sql("Update the statistics.", "ANALYZE {target_table};", _TARGET_TABLES),
        sql(
            "Rebuild the indexes of a table.",
            "REINDEX TABLE CONCURRENTLY {target_table};",
            _TARGET_TABLES,
            ("REINDEX INDEX CONCURRENTLY idx_patients_patient_id",),
            "it needs no name of an index",
        ),
        sql(
            "Index columns that refer to other tables, if they have no index yet.",
            "CREATE INDEX CONCURRENTLY ON {child_table} ({child_column});",
            CommandScope.TARGET_REFERENCES,
            ("CREATE INDEX CONCURRENTLY idx_patients_created_at",),
            "PostgreSQL doesn't index referring columns by itself, and searches the whole table"
            " for them",
        ),
        INVALID_INDEXES,
        specification(
            "Use more or fewer connections, and build indexes after the load.",
            """
target: {url: "${TARGET_URL}", indexes: after_load}
limits: {connections: {source: 3, target: 3}}
""",
        ),
        transfuse(
            "Let the server work for somebody else meanwhile.",
            "transfuse pause {specification}\ntransfuse resume {specification}",
        ),
    ),
    automatic=(
        "Measures itself every 30 s, and warns under 70 % of the usual throughput and over 150 % of"
        " the usual time of a commit (monitor)",
        "Prints the session that blocks a run for more than ten seconds",
    ),
)

SYS_003 = GuideEntry(
    ErrorCode.SYS_003,
    symptoms=("The command ends with exit status 1", '"Crashed with ..." in the output'),
    causes=("A defect of Transfuse or of a library",),
    diagnosis=(
        _STATUS,
        shell("See the versions.", "transfuse version"),
        shell(
            "Repeat it with a traceback, which may hold values of rows: don't pass it on.",
            "TRANSFUSE_DEBUG=1 transfuse migrate {specification} --log-dir logs",
            CommandScope.JOB,
        ),
        shell("Look at errors of the system.", 'journalctl --since="2 hours ago" --priority=err'),
    ),
    resolution=(
        CONTINUE,
        advice("Report the defect with code, place and versions; leave values of rows out."),
    ),
    automatic=(
        "Loses nothing: rows and ledger are committed together",
        "Shows type and place of the error, and no values",
    ),
)

SYS_004 = GuideEntry(
    ErrorCode.SYS_004,
    symptoms=(
        "The command ends at once with exit status 2 and a list of problems",
        "The control tables are of another version",
    ),
    causes=(
        "The specification has an unknown key, a wrong value or an unset variable",
        "A server or the control tables are set up in a way that can't work",
    ),
    diagnosis=(
        transfuse("See all problems with file, line and path.", "transfuse plan {specification}"),
        shell("See the version of Transfuse.", "transfuse version"),
        sql(
            "See which version the control tables have.",
            "SELECT * FROM {control}migration_schema ORDER BY version;",
            CommandScope.TARGET,
        ),
    ),
    resolution=(
        advice("Correct the lines that the messages name; each has a remedy below it."),
        transfuse(
            "If the specification of a job has changed on purpose, continue with the change.",
            "transfuse migrate {specification} --accept-changes",
        ),
    ),
    automatic=(
        "Checks specification, servers and rights before anything runs",
        "Reports all problems together and starts nothing",
    ),
)

SYS_005 = GuideEntry(
    ErrorCode.SYS_005,
    symptoms=(
        "A disk is full, or a server has no room for more locks",
        "A run waits for the lock of another session",
        "A source has changed while the job was interrupted",
    ),
    causes=(
        "Too little space for data, logs or temporary files",
        "Another session holds a table, or does nothing in an open transaction",
        "Server or machine are overloaded",
    ),
    diagnosis=(
        DOCTOR,
        shell("See how much space is left on this machine.", "df -h"),
        sql(
            "See the size of the database.",
            "SELECT pg_size_pretty(pg_database_size('{database_name}'));",
            _SERVERS,
        ),
        BLOCKING_SESSIONS,
        sql(
            "Find sessions that do nothing in an open transaction.",
            """
SELECT pid, usename, application_name, xact_start, state
FROM pg_stat_activity
WHERE state LIKE 'idle in transaction%'
ORDER BY xact_start;
""",
            _SERVERS,
        ),
        failed_partitions(ErrorCode.SYS_005),
    ),
    resolution=(
        advice("Make room, or end the blocking session with the statement that was printed."),
        transfuse(
            "Start a load over whose source has changed; this removes the rows that it wrote.",
            "transfuse reset {specification} --table {load}",
            scope=CommandScope.LOADS,
        ),
        CONTINUE,
    ),
    automatic=(
        "Tries again as limits.retry sets",
        "Prints the session that blocks a run for more than ten seconds",
        "Doesn't mix rows of a source that has changed with earlier ones",
    ),
)

ENTRIES = (SYS_001, SYS_002, SYS_003, SYS_004, SYS_005)
