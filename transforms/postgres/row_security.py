"""Row-level security: rows that a role doesn't get to see must not be taken for all rows there are.

With ``row_security`` off, as pg_dump has it, the server refuses what a policy would filter.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg

from schemas.errors import ErrorCode
from transforms.postgres.server_errors import is_of_row_security

WHOLE_TABLES = {"row_security": "off", "synchronize_seqscans": "off"}
"""Session settings for reading: all rows, and those of a table from its beginning. Which rows a
query takes that limits or numbers them without an order depends on where its scan begins."""

_OBJECT = re.compile(r"for (table|view|schema|sequence|function|foreign table) (.+)$")


def query_refusal(
    connection: psycopg.Connection[Any], error: psycopg.Error, side: str
) -> tuple[str, ErrorCode, str]:
    """Explain why a server refuses to describe a query.

    Args:
        connection: the session that was refused, usable again.
        error: what it raised.
        side: ``source`` or ``target``.

    Returns:
        The message, its code, and what to do.
    """
    # The first line: what follows quotes the rest of a query that was read into ours.
    said = (error.diag.message_primary or type(error).__name__).partition("\n")[0]
    message = f"the {side} refuses the query: {said}"
    if not isinstance(error, psycopg.errors.InsufficientPrivilege):
        return message, ErrorCode.SYS_004, "correct the query"
    role = current_role(connection)
    if is_of_row_security(error):
        return message, ErrorCode.USER_002, exemption(role)
    named = _OBJECT.search(said)
    remedy = None if named is None else _grant(connection, named[1], named[2])
    return message, ErrorCode.USER_002, remedy or f"grant {role} what the query reads"


_DENIED = """
SELECT format('GRANT USAGE ON SCHEMA %%I TO %%I;', nspname, current_user) FROM pg_namespace
WHERE %(kind)s = 'schema' AND nspname = %(name)s
UNION ALL
SELECT format('GRANT SELECT ON %%I.%%I TO %%I;', n.nspname, c.relname, current_user)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE %(kind)s NOT IN ('schema', 'function', 'sequence') AND c.relname = %(name)s
    AND NOT has_table_privilege(c.oid, 'SELECT')
UNION ALL
SELECT format('GRANT EXECUTE ON FUNCTION %%s TO %%I;', p.oid::regprocedure, current_user)
FROM pg_proc p WHERE %(kind)s = 'function' AND p.proname = %(name)s
    AND NOT has_function_privilege(p.oid, 'EXECUTE')
"""


def _grant(connection: psycopg.Connection[Any], kind: str, name: str) -> str | None:
    """The statement that grants what was denied; None where several objects have the name, which
    the server gives without its schema."""
    rows = connection.execute(_DENIED.encode(), {"kind": kind, "name": name}).fetchall()
    return rows[0][0] if len(rows) == 1 else None


def current_role(connection: psycopg.Connection[Any]) -> str:
    """The role of a session as SQL writes it."""
    row = connection.execute("SELECT quote_ident(current_user)").fetchone()
    assert row is not None
    return str(row[0])


def exemption(role: str) -> str:
    """The statement that lets a role, quoted as in SQL, see every row."""
    return f"ALTER ROLE {role} BYPASSRLS;"
