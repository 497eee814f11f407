"""Checks that the role may read every relation of the sources, and every row of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.databases.open_databases import Databases
from pipelines.preflight.finding import Finding, blocker
from pipelines.preflight.rights import Right, missing_rights, unusable_schemas
from pipelines.preflight.source_uses import SourceServer, source_servers
from schemas.errors import ErrorCode
from transforms.model.program import LoadProgram
from transforms.postgres.row_security import current_role, exemption

_BEHIND = """
WITH RECURSIVE me AS (SELECT oid FROM pg_roles WHERE rolname = current_user),
reached(number, oid, reader, depth) AS (
    SELECT u.number, c.oid, me.oid, 0
    FROM me, unnest(%(schemas)s::text[], %(names)s::text[])
        WITH ORDINALITY AS u(schema, name, number)
    JOIN pg_namespace n ON n.nspname = u.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name
    UNION
    SELECT r.number, d.refobjid, CASE WHEN EXISTS (
            SELECT FROM pg_options_to_table(v.reloptions) o
            WHERE o.option_name = 'security_invoker' AND o.option_value::bool)
        THEN (SELECT oid FROM me) ELSE v.relowner END, 1
    FROM reached r
    JOIN pg_class v ON v.oid = r.oid AND v.relkind = 'v'
    JOIN pg_rewrite w ON w.ev_class = v.oid AND w.ev_type = '1'
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> v.oid),
read AS (
    SELECT r.number, r.depth, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS relation,
           quote_ident(u.rolname) AS reader,
           c.relrowsecurity AND NOT u.rolsuper AND NOT u.rolbypassrls
               AND (c.relforcerowsecurity OR NOT pg_has_role(u.oid, c.relowner, 'USAGE')) AS hidden,
           r.depth > 0 AND NOT has_any_column_privilege(u.oid, c.oid, 'SELECT') AS denied
    FROM reached r JOIN pg_class c ON c.oid = r.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles u ON u.oid = r.reader)
SELECT DISTINCT number, depth, relation, reader, hidden, denied FROM read WHERE hidden OR denied
ORDER BY number, depth, relation
"""
"""Every relation that is read, those behind views too, by the role that PostgreSQL checks there:
the view's owner, or for a security_invoker view the reader."""


def check_source_rights(databases: Databases, programs: Mapping[str, LoadProgram]) -> list[Finding]:
    """USER-002 for each relation of a source that the role can't read, or not all rows of it."""
    findings: list[Finding] = []
    for server in source_servers(databases, programs):
        denied = [*_missing_rights(server), *_behind(server)]
        findings += denied or _unexplained_refusals(server)
        findings += _filtering(server)
    return findings


def _missing_rights(server: SourceServer) -> Iterator[Finding]:
    role = current_role(server.connection)
    for schema in unusable_schemas(server.connection, (schema for schema, _ in server.stored)):
        yield blocker(
            ErrorCode.USER_002,
            f"{server.place}, schema {schema}",
            f"the role {role} may not use the schema",
            f"GRANT USAGE ON SCHEMA {schema} TO {role};",
        )
    rights = [
        Right(schema, name, "SELECT", column)
        for (schema, name), use in server.stored.items()
        for column in use.columns
    ]
    for missing in missing_rights(server.connection, rights):
        yield blocker(
            ErrorCode.USER_002,
            f"{server.place}, {missing.name}",
            f"the role {role} may not read columns that the specification names",
            missing.grant,
        )


def _behind(server: SourceServer) -> Iterator[Finding]:
    uses = list(server.stored.values())
    rows = server.connection.execute(
        _BEHIND.encode(),
        {
            "schemas": [schema for schema, _ in server.stored],
            "names": [name for _, name in server.stored],
        },
    ).fetchall()
    for number, depth, relation, reader, hidden, denied in rows:
        use = uses[number - 1]
        behind = f"it reads {relation}, and " if depth else ""
        if hidden:
            yield blocker(
                ErrorCode.USER_002,
                server.where(use),
                f"{behind}row-level security may hide rows of {relation} from the role {reader}",
                exemption(reader),
            )
        if denied:
            yield blocker(
                ErrorCode.USER_002,
                server.where(use),
                f"{behind}the role {reader} may not read that",
                f"GRANT SELECT ON {relation} TO {reader};",
            )


def _unexplained_refusals(server: SourceServer) -> Iterator[Finding]:
    """What the server refuses to read, where none of the rights on relations explains it."""
    for use in server.stored.values():
        if use.relation.access.refused:
            yield blocker(
                ErrorCode.USER_002,
                server.where(use),
                f"the server refuses to read it: {use.relation.access.refused}",
                "grant the owner of the view what its query reads",
            )


def _filtering(server: SourceServer) -> Iterator[Finding]:
    """Functions that have policies filter what they read, whatever our session has set."""
    for use in server.relations:
        for function, role in use.relation.access.filtering:
            yield blocker(
                ErrorCode.USER_002,
                server.where(use),
                f"it calls the function {function}, which sets row_security itself: row-level"
                f" security may hide rows from the role {role} there",
                exemption(role),
            )
