"""The guide for transformation errors."""

from __future__ import annotations

from schemas.errors import ErrorCode
from schemas.guide.guide_entry import GuideEntry
from schemas.guide.guide_queries import SOURCE_TYPES, TARGET_TYPES, recorded_violations
from schemas.guide.guide_step import CommandScope, advice, specification, sql, transfuse

_PLAN = transfuse(
    "See all problems of the specification with file, line and path.",
    "transfuse plan {specification}",
)

TRANS_001 = GuideEntry(
    ErrorCode.TRANS_001,
    symptoms=(
        "The specification names a table or column that doesn't exist",
        "A field of the target stays empty or has values of another",
    ),
    causes=(
        "A name is misspelled",
        "Source or target have changed since the specification was written",
        "The role can't see the table",
    ),
    diagnosis=(_PLAN, SOURCE_TYPES, TARGET_TYPES),
    resolution=(
        specification(
            "Correct the mapping of the field.",
            """
patients:
  from: legacy_patients
  fields:
    patient_id: {from: pat_id}
    first_name: {from: pat_fname, transform: trim_uppercase}
""",
        ),
        transfuse(
            "Try the transformations of a load; write values in the place of null.",
            "transfuse try {specification} {load} {row}",
            scope=CommandScope.LOADS,
        ),
        transfuse("Run the migration.", "transfuse migrate {specification}"),
    ),
    automatic=(
        "Compares every name with source and target before anything runs",
        "Reports all of them together and lists the names that exist",
    ),
)

TRANS_002 = GuideEntry(
    ErrorCode.TRANS_002,
    symptoms=(
        "Codes have no translation, or several",
        "Codes of the target aren't billable, or not of its code system",
    ),
    causes=(
        "The map has no answer for the code (no_map), or alternatives (choice)",
        "The cell has no code of the source's system (unknown_code)",
        "A value of a map of your own is missing",
    ),
    diagnosis=(
        transfuse(
            "See which codes hold back how many rows.",
            "transfuse rejects list {specification} --code TRANS-002",
        ),
        recorded_violations(ErrorCode.TRANS_002),
        sql(
            "See the codes of the source.",
            """
SELECT {code_column} AS code, count(*) AS total_rows
FROM {source_rows} AS r
GROUP BY {code_column}
ORDER BY total_rows DESC;
""",
            CommandScope.CODE_COLUMNS,
        ),
        sql(
            "See the site's own decisions.",
            """
SELECT source_system, target_system, source_code, target_code,
    description, decided_at
FROM {control}code_mappings
ORDER BY source_system, source_code, decided_at;
""",
            CommandScope.TARGET,
        ),
    ),
    resolution=(
        transfuse(
            "Write the codes without a translation to a file, with what the map offers.",
            "transfuse rejects export {specification} --output codes.csv",
            ("SELECT DISTINCT diagnosis_code FROM legacy_diagnoses",),
            "the diagnoses are in the source and code_mappings in the target, and no query reads"
            " both",
        ),
        transfuse(
            "Have a coder fill in target_code, and store the decisions.",
            "transfuse codes import {specification} codes.csv",
        ),
        sql(
            "Or store a single decision.",
            """
INSERT INTO {control}code_mappings
    (source_system, target_system, source_code, target_code, description)
VALUES ('ICD9', 'ICD10', '250.00', 'E11.9', 'Diabetes mellitus');
""",
            CommandScope.TARGET,
        ),
        transfuse(
            "Judge the rejected rows again.",
            "transfuse rejects replay {specification} --code TRANS-002",
        ),
    ),
    automatic=(
        "Never guesses a code: alternatives are rejected until somebody decides",
        "Repairs spellings that can mean one code only, with a warning",
        "Checks each target against the newest release of the code system",
    ),
)

TRANS_003 = GuideEntry(
    ErrorCode.TRANS_003,
    symptoms=("Rows are rejected by a rule of the hospital's business",),
    causes=(
        "Fields of the row contradict each other, such as a discharge before the admission",
        "The rule doesn't hold for this hospital",
    ),
    diagnosis=(
        transfuse(
            "See which rules fail.", "transfuse rejects list {specification} --code TRANS-003"
        ),
        recorded_violations(ErrorCode.TRANS_003),
    ),
    resolution=(
        transfuse("Look at the ready rules and their parameters.", "transfuse rules"),
        specification(
            "Correct the rule, or let it only warn.",
            """
rules:
  STAY:
    {check: discharged_at >= admitted_at, on_fail: warn, error: DATA-005}
""",
        ),
        transfuse(
            "Judge the rejected rows again.",
            "transfuse rejects replay {specification} --code TRANS-003",
        ),
    ),
    automatic=(
        "A rule fails on false alone; NULL passes",
        "Stops the run where more rows are rejected than errors.budget allows",
    ),
)

TRANS_004 = GuideEntry(
    ErrorCode.TRANS_004,
    symptoms=(
        "Types of source and target don't fit, or NOT NULL columns get no value",
        "The target refuses or drops rows by a check or a trigger",
    ),
    causes=(
        "The target's tables have changed",
        "Checks and triggers of the target are stricter than the specification",
    ),
    diagnosis=(
        _PLAN,
        recorded_violations(ErrorCode.TRANS_004),
        TARGET_TYPES,
        sql(
            "List the constraints of the target table.",
            """
SELECT conname, contype, pg_get_constraintdef(oid) AS definition
FROM pg_constraint
WHERE conrelid = '{target_table}'::regclass
ORDER BY contype, conname;
""",
            CommandScope.TARGET_TABLES,
        ),
        sql(
            "List its triggers.",
            """
SELECT tgname, tgenabled, pg_get_triggerdef(oid) AS definition
FROM pg_trigger
WHERE tgrelid = '{target_table}'::regclass AND NOT tgisinternal
ORDER BY tgname;
""",
            CommandScope.TARGET_TABLES,
        ),
    ),
    resolution=(
        advice("Change the type, the check or the trigger of the target, or the specification."),
        transfuse(
            "Judge the rejected rows again.",
            "transfuse rejects replay {specification} --code TRANS-004",
        ),
    ),
    automatic=(
        "Compares types and NOT NULL with the target before anything runs",
        "If the target refuses a row, rejects that row and writes the others",
    ),
)

TRANS_005 = GuideEntry(
    ErrorCode.TRANS_005,
    symptoms=("An expression (sql) or a Python function raises on a row",),
    causes=(
        "The expression doesn't expect such a value (division by zero, a failing cast)",
        "A defect in a Python function of the specification",
    ),
    diagnosis=(
        transfuse(
            "See which fields and rules fail.",
            "transfuse rejects list {specification} --code TRANS-005",
        ),
        recorded_violations(ErrorCode.TRANS_005),
        transfuse(
            "Try the transformations of a load; write values in the place of null.",
            "transfuse try {specification} {load} {row}",
            scope=CommandScope.LOADS,
        ),
    ),
    resolution=(
        specification(
            "Make the expression accept such values, or keep the row with NULL and a warning.",
            """
bmi: {sql: "kg / nullif(m * m, 0)"}
age: {sql: "CAST(age AS INTEGER)", on_error: set_null}
""",
        ),
        transfuse(
            "Judge the rejected rows again.",
            "transfuse rejects replay {specification} --code TRANS-005",
        ),
    ),
    automatic=(
        "Rejects the row that raised, and computes the others",
        "Checks every expression before anything runs",
    ),
)

ENTRIES = (TRANS_001, TRANS_002, TRANS_003, TRANS_004, TRANS_005)
