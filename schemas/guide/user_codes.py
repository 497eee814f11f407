"""The guide for user errors; its fifth category, to which it gives no codes."""

from __future__ import annotations

from schemas.errors import ErrorCode
from schemas.guide.guide_entry import GuideEntry
from schemas.guide.guide_queries import failed_partitions
from schemas.guide.guide_step import CommandScope, advice, shell, sql, transfuse
from schemas.guide.reach_steps import CONTINUE

USER_001 = GuideEntry(
    ErrorCode.USER_001,
    symptoms=("The command is refused with a suggestion, exit status 2",),
    causes=(
        "A verb, flag or name is misspelled",
        "A file doesn't exist, can't be read, or isn't UTF-8",
    ),
    diagnosis=(
        shell("See the verbs.", "transfuse --help"),
        shell("See the flags of a verb.", "transfuse migrate --help"),
    ),
    resolution=(advice("Repeat the command as the message suggests."),),
    automatic=("Refuses before anything happens, on a complete job as well",),
)

USER_002 = GuideEntry(
    ErrorCode.USER_002,
    symptoms=('"Permission denied" for a schema, table, column or sequence',),
    causes=(
        "The role lacks a right",
        "A right was taken away during the migration",
        "Row-level security hides rows",
    ),
    diagnosis=(
        transfuse(
            "See every missing right, with the GRANT for it.", "transfuse plan {specification}"
        ),
        sql(
            "See which rights the role has on a source table.",
            "SELECT has_table_privilege('{role_name}', '{source_table}', 'SELECT')\n"
            "    AS can_read;",
            CommandScope.SOURCE_TABLES,
        ),
        sql(
            "See which rights it has on a target table.",
            """
SELECT has_table_privilege('{role_name}', '{target_table}', 'SELECT') AS can_read,
    has_table_privilege('{role_name}', '{target_table}', 'INSERT') AS can_insert,
    has_table_privilege('{role_name}', '{target_table}', 'UPDATE') AS can_update;
""",
            CommandScope.TARGET_TABLES,
        ),
        failed_partitions(ErrorCode.USER_002),
    ),
    resolution=(
        sql(
            "As owner of a source table: let the role read it.",
            "GRANT SELECT ON {source_table} TO {role};",
            CommandScope.SOURCE_TABLES,
        ),
        sql(
            "As owner of a target table: let the role write it (UPDATE as well for write: upsert,"
            " and DELETE for reset).",
            "GRANT SELECT, INSERT ON {target_table} TO {role};",
            CommandScope.TARGET_TABLES,
        ),
        sql(
            "As owner of the target: let the role create the control schema.",
            "GRANT CREATE ON DATABASE {database} TO {role};",
            CommandScope.TARGET,
        ),
        CONTINUE,
    ),
    automatic=(
        "Checks all rights before a run and prints the GRANT for each missing one",
        "Asks for no right that the specification doesn't need",
    ),
)

USER_003 = GuideEntry(
    ErrorCode.USER_003,
    symptoms=("The command is refused because of the state of the job, exit status 2",),
    causes=(
        "The job is running already",
        "The specification, a map or a decision has changed while the job is unfinished",
        "Rejected rows are to be replayed before the job is complete",
    ),
    diagnosis=(
        transfuse("See the state of the job.", "transfuse status {specification}"),
        sql(
            "See which sessions work on it.",
            """
SELECT pid, usename, application_name, client_addr, backend_start
FROM pg_stat_activity
WHERE application_name LIKE 'transfuse %'
ORDER BY backend_start;
""",
            CommandScope.SERVERS,
        ),
    ),
    resolution=(
        transfuse("End the run that is working.", "transfuse stop {specification}"),
        transfuse(
            "Continue with a changed specification; written rows stay as they are.",
            "transfuse migrate {specification} --accept-changes",
        ),
        transfuse(
            "Or remove what the job wrote and start over.", "transfuse reset {specification}"
        ),
    ),
    automatic=(
        "Two runs of one job never work at the same time",
        "Changes that written rows don't depend on are accepted without a question",
    ),
)

USER_004 = GuideEntry(
    ErrorCode.USER_004,
    symptoms=("The output was closed before all of it was written",),
    causes=("The reader of a pipe ended early (head)", "The disk of the output is full"),
    diagnosis=(shell("See how much space is left.", "df -h"),),
    resolution=(
        transfuse("Print the summary again.", "transfuse status {specification}"),
        transfuse(
            "Let programs read JSON, and write it into a file.",
            "transfuse status {specification} --json > status.json",
        ),
    ),
    automatic=("The migration itself isn't affected, and its exit status stays",),
)

ENTRIES = (USER_001, USER_002, USER_003, USER_004)
