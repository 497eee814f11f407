"""Rights on relations, sequences and schemas: asked for all at once, and granted by a statement.

No right helps with another session's temporary tables, so none is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from transforms.postgres.row_security import current_role

ANY = ""
"""In place of a column: the right on any of the relation's columns is enough."""


@dataclass(frozen=True)
class Right:
    """A privilege on a relation or sequence, or with ``column`` on a column of it (or ``ANY``)."""

    schema: str
    name: str
    privilege: str
    column: str | None = None


@dataclass(frozen=True)
class MissingRights:
    """The rights that the role lacks on one relation, and the statement that grants them."""

    name: str
    is_sequence: bool
    privileges: tuple[str, ...]
    grant: str


_MISSING = """
SELECT u.number, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind = 'S',
       quote_ident(u.attribute)
FROM unnest(%(schemas)s::text[], %(names)s::text[], %(columns)s::text[], %(privileges)s::text[])
    WITH ORDINALITY AS u(schema, name, attribute, privilege, number)
JOIN pg_namespace n ON n.nspname = u.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = u.attribute AND NOT a.attisdropped
WHERE n.nspname !~ '^pg_temp_' AND NOT coalesce(CASE
    WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, u.privilege)
    WHEN u.attribute IS NULL THEN has_table_privilege(c.oid, u.privilege)
    WHEN u.attribute = '' THEN has_any_column_privilege(c.oid, u.privilege)
    ELSE has_column_privilege(c.oid, a.attnum, u.privilege) END, true)
ORDER BY u.number
"""


def missing_rights(
    connection: psycopg.Connection[Any], rights: Iterable[Right]
) -> list[MissingRights]:
    """Asks which of the rights the session's role lacks, in one query.

    Args:
        connection: a session of the role.
        rights: those that are needed.

    Returns:
        What is missing, by relation, in the order of ``rights``.
    """
    asked = list(dict.fromkeys(rights))
    if not asked:
        return []
    rows = connection.execute(
        _MISSING.encode(),
        {
            "schemas": [right.schema for right in asked],
            "names": [right.name for right in asked],
            "columns": [right.column for right in asked],
            "privileges": [right.privilege for right in asked],
        },
    ).fetchall()
    lacking: dict[tuple[str, bool], dict[str, list[str] | None]] = {}
    for number, name, is_sequence, column in rows:
        right = asked[number - 1]
        columns = lacking.setdefault((name, is_sequence), {}).setdefault(right.privilege, [])
        if right.column is None:
            lacking[name, is_sequence][right.privilege] = None
        elif right.column != ANY and columns is not None:
            columns.append(column)
    if not lacking:
        return []
    role = current_role(connection)
    return [
        MissingRights(name, is_sequence, tuple(of), _grant(name, is_sequence, of, role))
        for (name, is_sequence), of in lacking.items()
    ]


def _grant(
    name: str, is_sequence: bool, privileges: Mapping[str, Sequence[str] | None], role: str
) -> str:
    """The GRANT of privileges, each with its columns, on one relation."""
    parts = [
        f"{privilege} ({', '.join(columns)})" if columns else privilege
        for privilege, columns in privileges.items()
    ]
    kind = "SEQUENCE " if is_sequence else ""
    return f"GRANT {', '.join(parts)} ON {kind}{name} TO {role};"


def unusable_schemas(connection: psycopg.Connection[Any], schemas: Iterable[str]) -> list[str]:
    """Those of the schemas that the session's role may not use, as SQL writes them."""
    rows = connection.execute(
        "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname = ANY(%s)"
        " AND nspname !~ '^pg_temp_' AND NOT has_schema_privilege(oid, 'USAGE') ORDER BY 1",
        [sorted(set(schemas))],
    ).fetchall()
    return [name for (name,) in rows]
