"""Checks that no column holds the numbers of large objects, whose contents would be left behind."""

from __future__ import annotations

import re
from collections.abc import Mapping

import psycopg
from psycopg import sql

from pipelines.databases.open_databases import Databases
from pipelines.preflight.finding import Finding, blocker
from pipelines.preflight.source_uses import SourceServer, SourceUse, source_servers
from schemas.catalog import Column
from schemas.errors import ErrorCode
from transforms.model.program import LoadProgram


def check_large_objects(databases: Databases, programs: Mapping[str, LoadProgram]) -> list[Finding]:
    """TRANS-004 for columns of which fields would copy the numbers of large objects."""
    findings = []
    for server in source_servers(databases, programs):
        suspects = [
            (use, column)
            for use in server.relations
            for column in use.relation.columns
            if column.type.name in ("oid", "lo")
            and any(_is_copied(programs[load], column) for load in use.loads)
        ]
        if not suspects or not _has_large_objects(server):
            continue
        findings += [
            _finding(server, use, column)
            for use, column in suspects
            if _holds_large_objects(server, use, column)
        ]
    return findings


def _is_copied(program: LoadProgram, column: Column) -> bool:
    """Whether a field gets its value from the column, not only whether there is one."""
    name = f'"src.{column.name}"'
    return any(
        name in expression.sql and field.transformed_type.name != "bool"
        for field in program.fields
        for expression in (field.origin.value, *field.key_parts)
    )


def _has_large_objects(server: SourceServer) -> bool:
    row = server.connection.execute(
        "SELECT EXISTS (SELECT FROM pg_largeobject_metadata)"
    ).fetchone()
    return row == (True,)


def _holds_large_objects(server: SourceServer, use: SourceUse, column: Column) -> bool:
    query = sql.SQL(
        "SELECT EXISTS (SELECT FROM {} JOIN pg_largeobject_metadata m ON m.oid = {}::oid)"
    ).format(use.relation.sql, sql.Identifier(column.name))
    try:
        with server.connection.transaction():
            return server.connection.execute(query).fetchone() == (True,)
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise
    except psycopg.Error:
        # What can't be read isn't copied; another check, or reading it, says why.
        return False


def _plain(name: str) -> str:
    """A name as it can be written in a query that stands in quotation marks in YAML."""
    if re.fullmatch("[a-z_][a-z0-9_]*", name):
        return name
    return _escape(sql.Identifier(name).as_string())


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _finding(server: SourceServer, use: SourceUse, column: Column) -> Finding:
    names = ", ".join(
        f"lo_get({_plain(c.name)}) AS {_plain(c.name)}" if c.name == column.name else _plain(c.name)
        for c in use.relation.columns
        if c.name in use.columns
    )
    relation = use.relation
    source = f"{_plain(relation.schema)}.{_plain(relation.name)}"
    if relation.query is not None:
        source = f"({_escape(relation.query)}) AS q"
    key = ", ".join(map(_plain, relation.primary_key))
    identified = f", source_key: [{key}]" if key else ""
    return blocker(
        ErrorCode.TRANS_004,
        f"{server.where(use)}, column {column.name}",
        "it holds the numbers of large objects: the numbers would be copied, and what they stand"
        " for would be lost",
        f'write from: {{query: "SELECT {names} FROM {source}"}}{identified}, and let the column of'
        " the target be bytea",
    )
