"""Procedures that belong to no single code: health, logs, performance, emergency."""

from __future__ import annotations

from schemas.guide.guide_entry import GuideProcedure
from schemas.guide.guide_queries import ALERTS, BLOCKING_SESSIONS, MEASURED, SESSIONS, SLOW_QUERIES
from schemas.guide.guide_step import CommandScope, shell, sql, transfuse
from schemas.guide.reach_steps import DOCTOR

_SERVERS = CommandScope.SERVERS

HEALTH = GuideProcedure(
    "Health check",
    (
        DOCTOR,
        shell(
            "See the load of the processors.",
            "top -b -n 1 | head -5",
            replaces=("top -bn1 | grep",),
            differs="the guide cuts one number out of a line that differs between versions of top",
        ),
        shell("See how much memory is free.", "free -h"),
        shell("See how much space is left.", "df -h"),
        shell(
            "See whether the servers answer.",
            "pg_isready -h {host} -p {port} -d {database}",
            _SERVERS,
            ("ping -c 3 google.com",),
            "hospitals' servers rarely reach the internet; only the databases count here",
        ),
        shell(
            "Log in and read the version; psql asks for the password.",
            'psql -h {host} -p {port} -U {role} -d {database} -c "SELECT version();"',
            _SERVERS,
            ("psql -h $DB_HOST -U $DB_USER",),
            "the guide leaves the port out and hides the error message",
        ),
        transfuse(
            "See whether the job runs, is complete, or needs attention.",
            "transfuse status {specification}",
        ),
        shell(
            "Ask a running job, if the specification has monitor: {metrics_port: ...}.",
            "curl -f http://127.0.0.1:{metrics_port}/health",
            CommandScope.JOB,
            ("curl -f http://localhost:3000/health",),
            "Transfuse listens on no port unless monitor.metrics_port names one",
        ),
        sql(
            "Count what was recorded, by code.",
            """
SELECT error_code, severity, status, count(*) AS violations,
    max(created_at) AS newest
FROM {control}migration_errors
WHERE job_id = '{job_name}'
GROUP BY error_code, severity, status
ORDER BY violations DESC;
""",
            CommandScope.TARGET,
        ),
    ),
)

_IN_THE_FOLDER = "log files are in the folder of --log-dir"

LOGS = GuideProcedure(
    "Log analysis",
    (
        transfuse(
            "Write log files (application.log, error.log, performance.log).",
            "transfuse migrate {specification} --log-dir logs",
            (
                "/var/log/migration/application.log",
                "/var/log/migration/error.log",
                "/var/log/migration/performance.log",
            ),
            "without --log-dir there are no log files; nothing is written into /var/log unasked",
        ),
        sql(
            "See where the server writes its own log.",
            "SELECT current_setting('log_destination'),\n"
            "    current_setting('log_directory'), current_setting('data_directory');",
            _SERVERS,
            ("/var/log/postgresql/postgresql-13-main.log",),
            "the path depends on version and system",
        ),
        shell(
            "Read the system's logs.",
            "journalctl --since='1 hour ago'",
            replaces=("/var/log/syslog", "/var/log/auth.log"),
            differs="many systems only have the journal",
        ),
        shell(
            "Search for errors of the last hour.",
            "grep \"$(date -d '1 hour ago' '+%Y-%m-%d %H')\" logs/error.log",
            replaces=("grep \"$(date -d '1 hour ago'",),
            differs=_IN_THE_FOLDER,
        ),
        shell(
            "Read the last errors.",
            "tail -n 50 logs/error.log",
            replaces=("tail -n 50 /var/log/migration/error.log",),
            differs=_IN_THE_FOLDER,
        ),
        shell(
            "Count errors by code and message.",
            "grep -o 'ERROR.*' logs/error.log | sort | uniq -c | sort -nr",
            replaces=("grep -o 'ERROR.*'",),
            differs=_IN_THE_FOLDER,
        ),
        shell(
            "Follow the log.",
            "tail -f logs/application.log",
            replaces=("tail -f /var/log/migration",),
            differs=_IN_THE_FOLDER,
        ),
        shell(
            "Search for a code.",
            'grep "CONN-001" logs/error.log',
            replaces=('grep "CONN-001"',),
            differs=_IN_THE_FOLDER,
        ),
        shell(
            "See rows a second over time.",
            "awk '/PERFORMANCE/ {print $1, $2, $NF}' logs/performance.log | sort",
            replaces=("awk '/PERFORMANCE/",),
            differs=_IN_THE_FOLDER,
        ),
    ),
)

PERFORMANCE = GuideProcedure(
    "Performance",
    (
        MEASURED,
        ALERTS,
        SLOW_QUERIES,
        SESSIONS,
        BLOCKING_SESSIONS,
        sql(
            "See which indexes are used.",
            """
SELECT schemaname, relname, indexrelname, idx_scan,
    pg_size_pretty(pg_relation_size(indexrelid))
FROM pg_stat_user_indexes
ORDER BY idx_scan, pg_relation_size(indexrelid) DESC
LIMIT 20;
""",
            _SERVERS,
            ("SELECT schemaname, tablename, attname, n_distinct",),
            "the guide ends in the middle of this query",
        ),
    ),
)

EMERGENCY = GuideProcedure(
    "Emergency",
    (
        transfuse(
            "Stop the job in order, after the partitions that it is working on.",
            "transfuse stop {specification}",
        ),
        transfuse(
            "Or stop it at once: its sessions are ended, and new runs refused until 'resume'.",
            "transfuse stop {specification} --emergency --reason 'wrong target'",
        ),
        sql(
            "See which emergency stops are in force; an empty load means the job.",
            "SELECT * FROM {control}migration_halts WHERE job_id = '{job_name}';",
            CommandScope.TARGET,
        ),
        transfuse(
            "Collect the state of the job and what was rejected; there are no values in it.",
            "transfuse status {specification} --json > status.json\n"
            "transfuse rejects list {specification} --json > rejects.json",
            ("./scripts/collect-diagnostic-info.sh",),
            "there is no such script",
        ),
        sql(
            "See what runs the job had, and with which specification.",
            """
SELECT number, verb, person, started_at, finished_at, exit_status,
    release, specification_sha256
FROM {control}migration_runs
WHERE job_id = '{job_name}'
ORDER BY started_at DESC
LIMIT 20;
""",
            CommandScope.TARGET,
        ),
        shell(
            "See who changed the specification.",
            "git log --since='2 hours ago' --oneline -- {specification_file}",
            CommandScope.JOB,
            ('git log --since="2 hours ago"',),
            "the specification's own changes are what matters here",
        ),
        shell("Look at errors of the system.", 'journalctl --since="2 hours ago" --priority=err'),
        transfuse(
            "Once the cause is removed: lift the emergency stop, and continue.",
            "transfuse resume {specification}\ntransfuse migrate {specification}",
        ),
    ),
)

PROCEDURES = (HEALTH, LOGS, PERFORMANCE, EMERGENCY)
"""In the order in which the guide has them."""
