"""The guide for data errors."""

from __future__ import annotations

from schemas.errors import ErrorCode
from schemas.guide.guide_entry import GuideEntry
from schemas.guide.guide_queries import SOURCE_TYPES, TARGET_TYPES, recorded_violations
from schemas.guide.guide_step import CommandScope, advice, specification, sql, transfuse
from schemas.guide.reference_queries import (
    FOREIGN_KEYS,
    ROOT_CAUSES,
    SOURCE_ORPHANS,
    TARGET_ORPHANS,
)

_TARGET_TABLES = CommandScope.TARGET_TABLES

_COUNTS_ADD_UP = (
    "Records each violation with rule, field, reason and the row's key, never with a value;"
    " the counts of each load add up"
)

DATA_001 = GuideEntry(
    ErrorCode.DATA_001,
    symptoms=(
        "Rows are rejected because a rule or a required field fails",
        "The summary counts DATA-001",
    ),
    causes=(
        "The value is missing, or blank, in the source",
        "The value is impossible, such as a birth date in the future",
        "The rule is stricter than the hospital's data",
    ),
    diagnosis=(
        transfuse(
            "See what was rejected.", "transfuse rejects list {specification} --code DATA-001"
        ),
        sql(
            "Look at the newest violations.",
            """
SELECT *
FROM {control}migration_errors
WHERE error_type = 'VALIDATION_FAILURE'
AND error_code = 'DATA-001'
ORDER BY created_at DESC
LIMIT 100;
""",
            CommandScope.TARGET,
        ),
        recorded_violations(ErrorCode.DATA_001),
        sql(
            "Count missing values of the required fields.",
            """
SELECT count(*) AS total_rows,
    {missing_counts}
FROM {source_rows} AS r;
""",
            CommandScope.SOURCE_ROWS,
            ("SELECT table_name, column_name, COUNT(*) as null_count",),
            "the guide's statement fails ('column reference is ambiguous'), and counts one column"
            " alone; blank text is missing too",
        ),
        SOURCE_TYPES,
    ),
    resolution=(
        transfuse("Look at the ready rules.", "transfuse rules"),
        specification(
            "Correct values in the source, or fill them in by the specification.",
            """
patient_id:
  sql: "coalesce(pat_id, 'PAT_' || lpad(CAST(id AS VARCHAR), 8, '0'))"
birth_date: {from: dob, type: date, format: ["%m/%d/%Y", "%Y%m%d"]}
""",
            ("UPDATE patients SET patient_id", "ALTER TABLE patients ALTER COLUMN birth_date"),
            "the source stays as it is, and the change is on record with the specification",
        ),
        transfuse(
            "Judge the rejected rows again.",
            "transfuse rejects replay {specification} --code DATA-001",
        ),
    ),
    automatic=(
        "Rejects the row with all of its violations and writes the others",
        _COUNTS_ADD_UP,
        "Stops the run where more rows are rejected than errors.budget allows",
    ),
)

DATA_002 = GuideEntry(
    ErrorCode.DATA_002,
    symptoms=(
        "Rows are rejected because the row that they refer to is missing",
        "Violations of foreign keys; orphaned rows",
    ),
    causes=(
        "The parent doesn't exist in the source",
        "The parent was rejected itself",
        "The key is spelled differently in parent and child",
    ),
    diagnosis=(
        transfuse(
            "See what was rejected.", "transfuse rejects list {specification} --code DATA-002"
        ),
        ROOT_CAUSES,
        SOURCE_ORPHANS,
        TARGET_ORPHANS,
        FOREIGN_KEYS,
    ),
    resolution=(
        specification(
            "Have missing parents made, if the site agrees to it.",
            """
patient_id:
  from: pat_id
  ref: patients
  on_missing: {placeholder: {first_name: Unknown, last_name: Patient}}
""",
            ("INSERT INTO patients (patient_id, first_name",),
            "placeholders are counted and recorded, and the parent replaces its placeholder when"
            " it arrives by an upsert",
        ),
        specification(
            "For a faster load, build foreign keys when the rows are in.",
            'target: {url: "${TARGET_URL}", indexes: after_load}',
        ),
        sql(
            "For corrections by hand: put deferrable constraints off within the transaction.",
            "SET CONSTRAINTS ALL DEFERRED;",
            CommandScope.TARGET,
            ("SET foreign_key_checks = 0",),
            "foreign_key_checks is a setting of MySQL; PostgreSQL has nothing that leaves wrong"
            " rows behind",
        ),
        sql(
            "Then check them, before the transaction ends.",
            "SET CONSTRAINTS ALL IMMEDIATE;",
            CommandScope.TARGET,
            ("SET foreign_key_checks = 1",),
            "foreign_key_checks is a setting of MySQL; this one fails if a row is wrong",
        ),
        transfuse(
            "Correct the parents and replay them; then their children.",
            "transfuse rejects replay {specification} --code DATA-002",
        ),
    ),
    automatic=(
        "Loads parents before children, and checks each reference before it writes",
        "Names the violation of the parent as the root cause of the child's",
        "Says where a key only differs in blanks, zeros or case",
    ),
)

DATA_003 = GuideEntry(
    ErrorCode.DATA_003,
    symptoms=(
        "Text can't be read as a date, a time or a number",
        "A value is too long, or has more digits than the target's column",
    ),
    causes=(
        "The specification lacks a format, a century or a time zone",
        "The source has values of several formats",
        "The target's column is too narrow",
    ),
    diagnosis=(
        transfuse(
            "See what was rejected.", "transfuse rejects list {specification} --code DATA-003"
        ),
        recorded_violations(ErrorCode.DATA_003),
        SOURCE_TYPES,
        TARGET_TYPES,
    ),
    resolution=(
        specification(
            "Name the formats that the source really uses.",
            """
birth_date: {from: dob, type: date, format: ["%m/%d/%Y", "%Y%m%d"]}
admitted_at:
  {from: adm, type: timestamptz, format: "%Y-%m-%d %H:%M", zone: UTC}
""",
        ),
        specification(
            "Keep rows whose value can't be read, with NULL and a warning.",
            'weight: {from: w, type: "numeric(5,2)", on_error: set_null}',
        ),
        advice("Or widen the column of the target, or correct the value in the source."),
        transfuse(
            "Judge the rejected rows again.",
            "transfuse rejects replay {specification} --code DATA-003",
        ),
    ),
    automatic=(
        "Never cuts, rounds or guesses a value: the row is rejected",
        _COUNTS_ADD_UP,
    ),
)

DATA_004 = GuideEntry(
    ErrorCode.DATA_004,
    symptoms=("Rows are rejected because another row has their key",),
    causes=(
        "The source has a row twice",
        "The target had rows before the migration",
        "The specification's key isn't unique",
    ),
    diagnosis=(
        transfuse(
            "See what was rejected.", "transfuse rejects list {specification} --code DATA-004"
        ),
        recorded_violations(ErrorCode.DATA_004),
        sql(
            "Count keys that occur more than once in the source.",
            """
SELECT count(*) AS repeated_keys, sum(n) AS total_rows
FROM (
    SELECT count(*) AS n FROM {source_rows} AS r
    GROUP BY {key_columns}) AS k
WHERE n > 1;
""",
            CommandScope.SOURCE_ROWS,
        ),
        sql(
            "List the unique indexes of the target table.",
            """
SELECT indexrelid::regclass AS index,
    pg_get_indexdef(indexrelid) AS definition
FROM pg_index
WHERE indrelid = '{target_table}'::regclass AND indisunique;
""",
            _TARGET_TABLES,
        ),
    ),
    resolution=(
        specification(
            "Decide which of several rows wins.",
            "duplicates: {keep: last, order: [updated_at], losers: reject}",
        ),
        specification(
            "If the target has rows already, decide what becomes of them (or write: upsert).",
            "write: skip_existing",
        ),
        transfuse(
            "Judge the rejected rows again.",
            "transfuse rejects replay {specification} --code DATA-004",
        ),
    ),
    automatic=(
        "Finds the losers before the load begins, so the winner doesn't depend on timing",
        "Keeps losers waiting while their winner is rejected",
    ),
)

DATA_005 = GuideEntry(
    ErrorCode.DATA_005,
    symptoms=("Warnings: the row is written, and its data look doubtful",),
    causes=("Formats that differ from row to row", "A rule with on_fail: warn fails"),
    diagnosis=(
        transfuse("See the warnings.", "transfuse rejects list {specification} --code DATA-005"),
        recorded_violations(ErrorCode.DATA_005),
    ),
    resolution=(
        advice("Correct the values in the source, or accept them."),
        transfuse(
            "Close warnings that somebody has looked at.",
            "transfuse rejects discard {specification} --code DATA-005 --reason checked",
        ),
    ),
    automatic=(
        "Writes the row and records the warning beside it",
        "Warnings don't count for the error budget",
    ),
)

ENTRIES = (DATA_001, DATA_002, DATA_003, DATA_004, DATA_005)
