"""Checks that the target's foreign keys and triggers do their work while rows are written."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.databases.open_databases import Databases
from pipelines.preflight.finding import Finding, blocker, warning
from pipelines.preflight.target_uses import target_uses
from schemas.errors import ErrorCode
from transforms.model.program import LoadProgram
from transforms.postgres.row_security import current_role

_DISABLED = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    array_agg(DISTINCT quote_ident(k.conname) ORDER BY quote_ident(k.conname))
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS u(schema, name)
JOIN pg_namespace n ON n.nspname = u.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name
JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
JOIN pg_trigger t ON t.tgconstraint = k.oid AND t.tgrelid = c.oid
WHERE t.tgenabled NOT IN ('O', 'A')
GROUP BY 1 ORDER BY 1
"""


def check_foreign_keys(databases: Databases, programs: Mapping[str, LoadProgram]) -> list[Finding]:
    """Checks that foreign keys refuse rows without a parent.

    Args:
        databases: the open source and target.
        programs: compiled loads by name.

    Returns:
        SYS-004, blocking, where the session is that of a replica, in which no trigger fires and no
        foreign key is checked; warnings for tables whose foreign keys are disabled.
    """
    target = databases.target
    findings = []
    row = target.execute("SELECT current_setting('session_replication_role')").fetchone()
    if row is not None and row[0] == "replica":
        role = current_role(target)
        findings.append(
            blocker(
                ErrorCode.SYS_004,
                "target",
                "session_replication_role is 'replica', so no foreign key is checked and no trigger"
                " fires",
                f"ALTER ROLE {role} SET session_replication_role = origin;",
            )
        )
    uses = target_uses(programs)
    rows = target.execute(
        _DISABLED.encode(),
        {"schemas": [schema for schema, _ in uses], "names": [name for _, name in uses]},
    ).fetchall()
    findings += [
        warning(
            ErrorCode.TRANS_004,
            f"target, {table}",
            f"the foreign keys {', '.join(keys)} are disabled: the target takes rows without a"
            " parent, and only references of the specification are checked",
            f"ALTER TABLE {table} ENABLE TRIGGER ALL;",
        )
        for table, keys in rows
    ]
    return findings
