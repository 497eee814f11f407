"""Statements about references: orphans, root causes and foreign keys."""

from __future__ import annotations

from schemas.guide.guide_step import CommandScope, sql

ROOT_CAUSES = sql(
    "See which violation of the parent is the cause.",
    """
SELECT c.error_code AS cause, c.rule_id, c.load AS parent,
    count(*) AS children
FROM {control}migration_errors AS e
LEFT JOIN {control}migration_errors AS c ON c.id = e.root_cause_id
WHERE e.job_id = '{job_name}' AND e.error_code = 'DATA-002'
    AND e.status = 'open'
GROUP BY c.error_code, c.rule_id, c.load
ORDER BY children DESC;
""",
    CommandScope.TARGET,
)

SOURCE_ORPHANS = sql(
    "Find keys in the source that refer to no row.",
    """
SELECT DISTINCT child.{child_column}
FROM {child_table} AS child
WHERE child.{child_column} IS NOT NULL AND NOT EXISTS (
    SELECT FROM {parent_table} AS parent
    WHERE btrim(parent.{parent_column}::text)
        = btrim(child.{child_column}::text));
""",
    CommandScope.SOURCE_REFERENCES,
    ("SELECT p.* FROM patient_visits", "SELECT DISTINCT p.patient_id FROM patient_visits"),
    "it prints keys and not whole rows, and NOT IN finds nothing once a key is NULL",
)

TARGET_ORPHANS = sql(
    "Find rows of the target without a parent.",
    """
SELECT count(*) AS orphans
FROM {child_table} AS child
WHERE child.{child_column} IS NOT NULL AND NOT EXISTS (
    SELECT FROM {parent_table} AS parent
    WHERE parent.{parent_column} = child.{child_column});
""",
    CommandScope.TARGET_REFERENCES,
)

FOREIGN_KEYS = sql(
    "List the foreign keys of the target.",
    """
SELECT conrelid::regclass AS table_name, conname,
    confrelid::regclass AS foreign_table_name,
    pg_get_constraintdef(oid) AS definition, convalidated
FROM pg_constraint
WHERE contype = 'f'
ORDER BY conrelid::regclass::text, conname;
""",
    CommandScope.TARGET,
    ("SELECT tc.table_name, kcu.column_name",),
    "names of constraints aren't unique, so the guide's joins mix foreign keys of one name",
)
