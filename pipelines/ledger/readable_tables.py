"""Whether the role may read a control table."""

from __future__ import annotations

from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.ledger.ledger_session import LedgerSession

_ACCESS = """
SELECT quote_ident(n.nspname), quote_ident(c.relname), quote_ident(current_user),
    has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT')
FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = %(table)s
WHERE n.nspname = coalesce(%(schema)s, current_schema())
"""


def is_allowed_to_read(session: LedgerSession, table: str) -> bool:
    """Whether there is a control table that the role may read; what is only shown needs no more."""
    try:
        return is_readable(session, table)
    except TransfuseError:
        return False


def is_readable(session: LedgerSession, table: str) -> bool:
    """Whether there is a control table, and the role may read it.

    Args:
        session: A session to the target.
        table: The name of the table, without a schema.

    Returns:
        False where there is no such table.

    Raises:
        TransfuseError: USER-002 if the role may not use the schema, or not read the table.
    """
    row = session.execute(_ACCESS, {"table": table, "schema": session.control_schema}).fetchone()
    if row is None:
        return False
    schema, quoted, role, is_usable, may_select = row
    if is_usable and (quoted is None or may_select):
        return quoted is not None
    privilege, on = ("SELECT", f"{schema}.{quoted}") if is_usable else ("USAGE", f"SCHEMA {schema}")
    raise TransfuseError(
        Problem(
            ErrorCode.USER_002,
            f"the role {role} lacks {privilege} for the control tables",
            f"target, {on.lower() if not is_usable else on}",
            f"GRANT {privilege} ON {on} TO {role};",
        )
    )
