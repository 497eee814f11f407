"""Which version the control tables of a target are of."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from schemas.control_upgrades import FIRST_VERSION
from schemas.control_version_tables import CONTROL_VERSION
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification

_TABLES = """
SELECT quote_ident(n.nspname), quote_ident(current_user), has_schema_privilege(n.oid, 'USAGE'),
    has_table_privilege(v.oid, 'SELECT'), j.oid IS NOT NULL
FROM pg_namespace n
LEFT JOIN pg_class v ON v.relnamespace = n.oid AND v.relname = 'migration_schema'
LEFT JOIN pg_class j ON j.relnamespace = n.oid AND j.relname = 'migration_jobs'
WHERE n.nspname = coalesce(%(schema)s, current_schema())
"""


def read_version(target: psycopg.Connection[Any], specification: Specification) -> int | None:
    """Read the version of the control tables.

    Args:
        target: A session to the target.
        specification: Names the control schema.

    Returns:
        The version; None without control tables, and where the role may not look into the schema,
        which is reported by whatever it does next.

    Raises:
        TransfuseError: USER-002 if the role may not read the version; SYS-004 if it is higher than
            that of this Transfuse.
    """
    schema = specification.target.control_schema
    row = target.execute(_TABLES.encode(), {"schema": schema}).fetchone()
    if row is None or not row[2]:
        return None
    name, role, _, readable, has_jobs = row
    if readable is None:
        return FIRST_VERSION if has_jobs else None
    where = f"schema {schema or 'of the connection'}"
    if not readable:
        grant = f"GRANT SELECT ON {name}.migration_schema TO {role};"
        message = f"the role {role} lacks SELECT for the version of the control tables"
        raise TransfuseError(Problem(ErrorCode.USER_002, message, where, grant))
    table = sql.SQL(name + ".migration_schema")
    versions = target.execute(
        sql.SQL("SELECT version, release FROM {} ORDER BY version DESC LIMIT 1").format(table)
    ).fetchone()
    if versions is None:
        return FIRST_VERSION if has_jobs else None
    version, release = versions
    if version > CONTROL_VERSION:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                f"the control tables are of version {version}, which Transfuse {release} has made,"
                f" and this one knows versions up to {CONTROL_VERSION}",
                where,
                f"install Transfuse {release} or a later one, or name another"
                " target.control_schema",
            )
        )
    return int(version)
