"""Checks that what is read in parts adds up: foreign tables, volatile functions, other storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from psycopg import sql

from pipelines.databases.open_databases import Databases
from pipelines.preflight.finding import Finding, blocker, warning
from pipelines.preflight.source_uses import SourceServer, SourceUse, source_servers
from schemas.errors import ErrorCode
from transforms.model.program import LoadProgram
from transforms.sources.postgres.read_access import is_built_in

_WRITES = ("nextval(", "setval(", "lastval(", "currval(")
"""Functions that a read-only transaction refuses, or that need one which wrote."""


def check_repeatable_reads(
    databases: Databases, programs: Mapping[str, LoadProgram]
) -> list[Finding]:
    """SYS-004 for relations whose rows aren't the same whenever they are read."""
    twice = {name for name, program in programs.items() if program.compares_rows}
    return [
        finding
        for server in source_servers(databases, programs)
        for use in server.relations
        for finding in _of_relation(server, use, twice)
    ]


def _of_relation(server: SourceServer, use: SourceUse, twice: set[str]) -> Iterator[Finding]:
    access, where = use.relation.access, server.where(use)
    if use.relation.schema.startswith("pg_temp_"):
        yield blocker(
            ErrorCode.SYS_004,
            where,
            "it is a temporary table of another session, which nobody else can read",
            "have the other session store it:"
            f" CREATE TABLE public.stored AS TABLE {use.relation.sql.as_string()};",
        )
    yield from _of_functions(server, use, twice)
    if access.foreign:
        yield warning(
            ErrorCode.SYS_004,
            where,
            f"its rows come from a foreign table ({_list(access.foreign)}), which each session"
            " sees at another moment, so it is read in one partition and its count is not checked",
            f"copy it first: {stored_copy(use)}",
        )


def _of_functions(server: SourceServer, use: SourceUse, twice: set[str]) -> Iterator[Finding]:
    """Findings about the functions that the relation calls; ``twice`` are the loads whose rows are
    read again to compare them."""
    access, where = use.relation.access, server.where(use)
    writing = [name for name in access.volatile if name.startswith(_WRITES)]
    if writing:
        yield blocker(
            ErrorCode.SYS_004,
            where,
            f"it calls {_list(writing)}, which a source can't: it is read in a read-only"
            " transaction",
            "take the call out of the query, and let the target number the rows"
            " ('generate: sequence')",
        )
    elif access.unsteady or (
        any(map(is_built_in, access.volatile)) and twice.intersection(use.loads)
    ):
        why = "decides which rows there are" if access.unsteady else "gives other values each time"
        yield blocker(
            ErrorCode.SYS_004,
            where,
            f"its rows are not the same when they are read twice: {_list(access.volatile)} {why}",
            _remedy(use, access.volatile),
        )
    elif access.volatile:
        yield warning(
            ErrorCode.SYS_004,
            where,
            f"it calls {_list(access.volatile)}, which may give other values each time, so it is"
            " read in one partition",
            _remedy(use, access.volatile),
        )
    elif access.ties:
        yield warning(
            ErrorCode.SYS_004,
            where,
            f"{_list(access.ties)} depends on which of several rows that are alike in its"
            " order comes first, so it is read in one partition",
            f"order it by a key of its table too, or {_remedy(use, ('row_number()',))}",
        )


def _remedy(use: SourceUse, functions: Sequence[str]) -> str:
    if not any(map(is_built_in, functions)):
        statements = " ".join(f"ALTER FUNCTION {name} STABLE;" for name in functions)
        return f"if they give the same for the same row: {statements}"
    return f"store its rows first, and read those: {stored_copy(use)}"


def stored_copy(use: SourceUse) -> str:
    """The statement that stores a relation's rows in a table of the source."""
    if use.relation.query is not None:
        return "CREATE TABLE stored_rows AS followed by the query, and 'from: stored_rows'"
    copy = sql.Identifier(use.relation.schema, f"{use.relation.name}_stored")
    return (
        sql.SQL("CREATE MATERIALIZED VIEW {} AS TABLE {};")
        .format(copy, use.relation.sql)
        .as_string()
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
