"""Checks for columns of codes with and without a dot, of which the targets would be a mixture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

from pipelines.databases.open_databases import Databases
from pipelines.preflight.finding import Finding, warning
from pipelines.preflight.source_uses import source_servers
from schemas.catalog import Relation
from schemas.code_maps.translation import Notation
from schemas.errors import ErrorCode
from transforms.model.field_origins import unchanged_column
from transforms.model.field_program import FieldProgram
from transforms.model.program import LoadProgram

_SAMPLE = 10_000
"""Rows that are looked at: the finding is a warning, and a run must not read a table for it."""

_MIXED = """
SELECT coalesce(bool_or(code LIKE '%.%'), false),
       coalesce(bool_or(
           code ~* '^([0-9]{{3}}|V[0-9]{{2}}|E[0-9]{{3}}|[A-TV-Z][0-9][0-9AB])$'), false),
       coalesce(bool_or(code ~* '^([0-9V][0-9]{{3,4}}|E[0-9]{{4}})$'), false)
FROM (SELECT trim({column}::text) AS code FROM {relation} LIMIT {sample}) AS s
"""
"""Whether there are codes with a dot, codes without room for one, and codes that lack theirs."""


def check_code_notations(
    databases: Databases, programs: Mapping[str, LoadProgram]
) -> list[Finding]:
    """TRANS-004 where 'notation: as_source' would write some targets with a dot and others without.

    Args:
        databases: the open source and target.
        programs: compiled loads by name.

    Returns:
        A warning for each field whose column mixes the notations.

    Raises:
        psycopg.Error: the source can't be asked.
    """
    maps = databases.specification.maps
    connections = {
        load: server.connection
        for server in source_servers(databases, programs)
        for use in server.relations
        for load in use.loads
    }
    findings: list[Finding] = []
    for program in programs.values():
        connection = connections.get(program.name)
        for field in program.fields:
            named = None if field.translation is None else maps.get(field.translation.gem)
            if (
                connection is None
                or named is None
                or named.notation not in (None, Notation.AS_SOURCE)
            ):
                continue
            findings += _of_field(databases, connection, program, field)
    return findings


def _of_field(
    databases: Databases,
    connection: psycopg.Connection[Any],
    program: LoadProgram,
    field: FieldProgram,
) -> Iterator[Finding]:
    name = unchanged_column(field.origin)
    if name is None or field.translation is None:
        return
    for relation in program.relations:
        column = relation.column(name)
        if column is None or not column.type.is_textual or relation.kind not in ("r", "p", "m"):
            continue
        dotted, without_room, without_dot = _kinds(connection, relation, column.name)
        if not dotted or not (without_room or without_dot):
            continue
        others = "others, such as 496, have no room for one" if without_room else "others lack it"
        yield warning(
            ErrorCode.TRANS_004,
            str(databases.specification.tables[program.name].at("fields", field.name, "map")),
            f"codes of {relation} have a dot, and {others}: each target is written as its code is,"
            " so some have a dot and others have none",
            f"write 'notation: dotted' (or undotted) in the map {field.translation.gem}",
        )
        return


def _kinds(
    connection: psycopg.Connection[Any], relation: Relation, column: str
) -> tuple[bool, bool, bool]:
    query = sql.SQL(_MIXED).format(
        column=sql.Identifier(column), relation=relation.sql, sample=sql.Literal(_SAMPLE)
    )
    try:
        with connection.transaction():
            row = connection.execute(query).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        # The check of rights reports it, with the statement that grants them.
        return False, False, False
    assert row is not None
    return row[0], row[1], row[2]
