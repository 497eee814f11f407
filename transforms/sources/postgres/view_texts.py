"""The texts of the views that a relation is made of, as the server spells them."""

from __future__ import annotations

from typing import Any

import psycopg

from schemas.catalog import Relation

_VIEWS = """
WITH RECURSIVE read AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'v' AND CASE WHEN %(query)s::text IS NULL
        THEN n.nspname = %(schema)s AND c.relname = %(name)s
        ELSE n.nspname NOT IN ('pg_catalog', 'information_schema')
             AND position(lower(c.relname) IN lower(%(query)s)) > 0 END
    UNION
    SELECT c.oid FROM read JOIN pg_rewrite r ON r.ev_class = read.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'v')
SELECT pg_get_viewdef(oid) FROM read ORDER BY pg_get_viewdef(oid) COLLATE "C"
"""


def view_texts(connection: psycopg.Connection[Any], relation: Relation) -> list[str]:
    """The definitions of a view and of all views below it; for a query those of each view whose
    name occurs in it, which may be one too many.

    Args:
        connection: a session to the source.
        relation: a relation of it, of any kind.

    Returns:
        The texts in order, without that of the query itself.
    """
    of = {"query": relation.query, "schema": relation.schema, "name": relation.name}
    return [text for (text,) in connection.execute(_VIEWS, of).fetchall()]
