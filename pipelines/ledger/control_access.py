"""What the role, and where changes are published, allow with control tables that are there."""

from __future__ import annotations

from typing import Any

import psycopg
import sqlalchemy

from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification

_UNIDENTIFIED = """
SELECT format('ALTER TABLE %I.%I REPLICA IDENTITY FULL', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = coalesce(:schema, current_schema()) AND c.relname = ANY(:names)
    AND c.relreplident = 'd' AND pg_has_role(c.relowner, 'USAGE')
    AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
"""


def identify_rows(connection: sqlalchemy.Connection, metadata: sqlalchemy.MetaData) -> None:
    """Lets rows without a key be changed where updates are published: tables that an earlier
    version made as well as those of this one."""
    names = [table.name for table in metadata.sorted_tables]
    values = {"schema": metadata.schema, "names": names}
    statements = connection.execute(sqlalchemy.text(_UNIDENTIFIED), values).scalars().all()
    for statement in statements:
        # With parameters, even none, a percent sign of a name would be taken for one.
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


_ACCESS = """
SELECT quote_ident(n.nspname), quote_ident(c.relname), quote_ident(current_user),
    has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT')
FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = %(table)s
WHERE n.nspname = coalesce(%(schema)s, current_schema())
"""


def is_readable(target: psycopg.Connection[Any], specification: Specification, table: str) -> bool:
    """Whether there is a control table. Raises TransfuseError (USER-002) where the role may not
    look, or not read it."""
    schema = specification.target.control_schema
    row = target.execute(_ACCESS.encode(), {"table": table, "schema": schema}).fetchone()
    if row is None:
        return False
    name, quoted, role, usable, readable = row
    if usable and (quoted is None or readable):
        return quoted is not None
    privilege, on = ("SELECT", f"{name}.{quoted}") if usable else ("USAGE", f"SCHEMA {name}")
    raise TransfuseError(
        Problem(
            ErrorCode.USER_002,
            f"the role {role} lacks {privilege} for the control tables",
            f"target, {on.lower() if not usable else on}",
            f"GRANT {privilege} ON {on} TO {role};",
        )
    )
