"""Whether the rows of a relation can be read in several parts, by what the server plans for it.

Parts are read by several sessions, one after the other. They add up to the whole only if each
session would get the same rows from the same snapshot.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg

from schemas.catalog import ReadAccess, Relation
from transforms.sources.postgres.order_ties import find_order_ties
from transforms.sources.postgres.plan_nodes import function_names, nodes_of, read_plan

_STEADY = frozenset({"lo_get", "pg_sleep", "pg_sleep_for", "pg_sleep_until"}) | {
    f"{what}_to_xml{more}"
    for what in ("table", "query", "schema", "database")
    for more in ("", "schema", "_and_xmlschema")
}
"""Functions of PostgreSQL that are called volatile and give the same under the same snapshot."""

_CHOOSES_ROWS = frozenset(
    {
        "Filter",
        "Join Filter",
        "One-Time Filter",
        "Index Cond",
        "Recheck Cond",
        "Hash Cond",
        "Merge Cond",
        "TID Cond",
    }
)
"""The parts of a plan that decide which rows there are."""

_FOREIGN_PARTS = """
WITH RECURSIVE tree AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = %s
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
SELECT n.nspname || '.' || c.relname FROM tree
JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'f' ORDER BY 1
"""

_VOLATILE = """
SELECT DISTINCT f.written,
       CASE WHEN n.nspname <> 'pg_catalog' THEN quote_ident(n.nspname) || '.' ELSE '' END
       || quote_ident(p.proname) || '(' || oidvectortypes(p.proargtypes) || ')'
FROM unnest(%s::text[]) AS f(written)
CROSS JOIN LATERAL (SELECT parse_ident(f.written) AS parts) AS i
JOIN pg_proc p ON p.proname = i.parts[cardinality(i.parts)]::name AND p.provolatile = 'v'
JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE CASE WHEN cardinality(i.parts) = 2 THEN n.nspname = i.parts[1]
      ELSE pg_function_is_visible(p.oid) END
  AND NOT (n.nspname = 'pg_catalog' AND p.proname = ANY (%s))
ORDER BY 2
"""

_FILTERING = """
WITH RECURSIVE own AS (
    SELECT p.oid, p.proname::text AS name, p.pronamespace, p.prosecdef, p.proowner, p.prosrc,
           p.prosrc ~* '\\mrow_security\\M' OR EXISTS (
               SELECT FROM unnest(p.proconfig) AS c WHERE c ~* '^row_security=') AS filters
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')),
reached AS (
    SELECT own.* FROM unnest(%s::text[]) AS f(written)
    CROSS JOIN LATERAL (SELECT parse_ident(f.written) AS parts) AS i
    JOIN own ON own.name = i.parts[cardinality(i.parts)]
    WHERE EXISTS (SELECT FROM own WHERE filters)
    UNION
    SELECT own.* FROM reached JOIN own ON position(own.name IN reached.prosrc) > 0 OR EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = reached.oid
        AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = own.oid))
SELECT DISTINCT reached.oid::regprocedure::text, quote_ident(r.rolname)
FROM reached JOIN pg_roles r ON CASE WHEN prosecdef THEN r.oid = proowner
                                ELSE r.rolname = current_user END
WHERE filters AND NOT r.rolsuper AND NOT r.rolbypassrls
  AND EXISTS (SELECT FROM pg_class WHERE relrowsecurity)
ORDER BY 1
"""
"""Functions that are called, directly or by others, and let policies filter what they read. Which
functions a text calls is taken from the names in it; one too many is only reported for nothing."""


def read_access(connection: psycopg.Connection[Any], relation: Relation) -> ReadAccess:
    """Ask the server what reading ``relation`` involves, without reading it.

    Args:
        connection: a session to the source, inside a transaction.
        relation: a table, view or query of it.

    Returns:
        What keeps it from being read in several parts.

    Raises:
        psycopg.OperationalError: the server can't be asked.
    """
    if relation.kind == "f":
        return ReadAccess(foreign=(str(relation),))
    if relation.kind == "p" or relation.inherited:
        rows = connection.execute(_FOREIGN_PARTS, [relation.schema, relation.name]).fetchall()
        return ReadAccess(foreign=tuple(name for (name,) in rows))
    if relation.kind not in ("v", "q"):
        return ReadAccess()
    try:
        plan = read_plan(connection, relation)
        if plan is None:
            return ReadAccess()
        with connection.transaction():
            access = _of_plan(connection, plan)
    except psycopg.errors.InsufficientPrivilege as error:
        return ReadAccess(refused=(error.diag.message_primary or "").partition("\n")[0])
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise
    except psycopg.Error:
        # What can't be planned can't be read: reading it says why.
        return ReadAccess()
    return replace(access, ties=find_order_ties(connection, relation, plan))


def is_built_in(function: str) -> bool:
    """Whether a volatile function, as ``ReadAccess`` names it, is PostgreSQL's: then it is not only
    called volatile because nobody has said otherwise."""
    return "." not in function.partition("(")[0]


def _of_plan(connection: psycopg.Connection[Any], plan: Any) -> ReadAccess:
    foreign: set[str] = set()
    names: set[str] = set()
    choosing: set[str] = set()
    sampled = False
    for node in nodes_of(plan):
        if node.get("Node Type") == "Foreign Scan" and "Relation Name" in node:
            foreign.add(f"{node.get('Schema', '')}.{node['Relation Name']}".lstrip("."))
        sampled |= "Sampling Method" in node and "Repeatable Seed" not in node
        for key, value in node.items():
            called = set(function_names(value))
            names |= called
            if key in _CHOOSES_ROWS:
                choosing |= called
    volatile = _volatile_among(connection, names)
    signatures = tuple(dict.fromkeys(signature for _, signature in volatile))
    return ReadAccess(
        tuple(sorted(foreign)),
        (*signatures, "TABLESAMPLE") if sampled else signatures,
        sampled or any(written in choosing and is_built_in(name) for written, name in volatile),
        filtering=_filtering_among(connection, names),
    )


def _volatile_among(connection: psycopg.Connection[Any], called: set[str]) -> list[tuple[str, str]]:
    """Those of the functions that are volatile: as written, and with their arguments' types."""
    if not called:
        return []
    return connection.execute(_VOLATILE, [sorted(called), sorted(_STEADY)]).fetchall()


def _filtering_among(
    connection: psycopg.Connection[Any], called: set[str]
) -> tuple[tuple[str, str], ...]:
    """Those of the functions, or of what they call, under which policies filter rows again."""
    if not called:
        return ()
    return tuple(connection.execute(_FILTERING, [sorted(called)]).fetchall())
