"""The lookup tables that loads use: read once, at the start, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import adbc_driver_manager
import psycopg
import pyarrow as pa
from psycopg import sql

from pipelines.connections.patient_connections import retrying_of
from pipelines.databases.load_compilation import Lookups
from pipelines.databases.open_databases import Databases
from schemas.catalog import Column
from schemas.catalog_reader import read_query, read_relation
from schemas.code_maps.chains import CircularChains
from schemas.code_maps.lookup_table import ContradictoryKeys, LookupTable
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.maps import CodeMap, MapQuery
from schemas.specification.policies import UnmappedAction
from schemas.specification.root import Specification
from transforms.postgres.database_problems import describe_error
from transforms.postgres.retries import run_with_retries
from transforms.postgres.row_security import query_refusal
from transforms.postgres.snapshot import Snapshot
from transforms.sources.files.lookup_file import read_lookup_file
from transforms.sources.postgres.partition_reader import open_source
from transforms.sources.postgres.postgres_source import PostgresSource
from transforms.sql.duckdb_engine import one_array


def read_lookups(databases: Databases) -> Lookups:
    """The tables of all fields: of files beside the specification, and of queries as the run sees
    the sources.

    Their problems (SYS-004, USER-002) are returned, to be reported with all others.
    Raises TransfuseError (exit status 3) where a database can't be asked.
    """
    specification = databases.specification
    tables: dict[str, LookupTable] = {}
    problems: list[Problem] = []
    for name in _lookup_names(specification):
        entry = specification.maps[name]
        try:
            read = _of_file if entry.csv is not None else _of_query
            tables[name] = read(databases, name, entry)
        except TransfuseError as error:
            if error.status is not ExitStatus.REFUSED:
                raise
            problems += error.problems
    return Lookups(tables, tuple(problems))


def _lookup_names(specification: Specification) -> list[str]:
    fields = (field for load in specification.tables.values() for field in load.fields.values())
    return sorted({str(field.map) for field in fields if specification.looks_up(field)})


def _refuse_several_parts(entry: CodeMap, parts: int) -> None:
    """Raises TransfuseError for what only a key of one part can have."""
    problems = []
    if parts > 1 and entry.chain:
        message = f"a chain needs keys of one column, and these have {parts}"
        problems.append(entry.problem(message, "chain", remedy="leave 'chain' out"))
    if parts > 1 and entry.unmapped.action is UnmappedAction.KEEP:
        message = f"a value can't be kept where it is a key of {parts} columns"
        remedy = "choose reject, set_null or {default: VALUE}"
        problems.append(entry.problem(message, "on_unmapped", remedy=remedy))
    if problems:
        raise TransfuseError(problems)


# -- files --------------------------------------------------------------------------------------


def _of_file(databases: Databases, name: str, entry: CodeMap) -> LookupTable:
    keys = entry.from_ or []
    _refuse_several_parts(entry, len(keys))
    path = databases.specification.folder / (entry.csv or "")
    try:
        return read_lookup_file(name, path, keys, entry.to, entry.chain)
    except TransfuseError as error:
        raise TransfuseError(
            [
                entry.problem(f"{p.message} ({p.where})", "csv", code=p.code, remedy=p.remedy)
                for p in error.problems
            ]
        ) from None


# -- queries ------------------------------------------------------------------------------------


def _of_query(databases: Databases, name: str, entry: CodeMap) -> LookupTable:
    assert entry.query is not None
    columns = _columns(databases, entry, entry.query)
    width = len(columns)
    if width < 2:
        raise _refusal(
            entry,
            f"the query gives {'one' if width else 'no'} column, and a map needs two",
            "select the key's columns, and then what they stand for",
        )
    _refuse_several_parts(entry, width - 1)
    *keys, values = read = _read(databases, entry, entry.query, width)
    _refuse_bytes(entry, columns, read)
    try:
        return LookupTable.build(name, keys, values, entry.chain)
    except ContradictoryKeys as error:
        raise _refusal(
            entry,
            f"{len(error.rows)} rows of the query have the key of another one, and another value",
            "let the query give one value for each key",
        ) from None
    except CircularChains as error:
        raise _refusal(
            entry,
            f"chains of keys that have no end: {error.count}, the first of them through"
            f" {len(error.rows)} keys",
            "break each circle: a key must lead to a value that stays",
        ) from None


def _refusal(
    entry: CodeMap, message: str, remedy: str, code: ErrorCode = ErrorCode.SYS_004
) -> TransfuseError:
    return TransfuseError(entry.problem(message, *_place(entry), code=code, remedy=remedy))


def _place(entry: CodeMap) -> tuple[str, str]:
    in_target = entry.query is not None and entry.query.target is not None
    return "query", "target" if in_target else "query"


def _source_of(databases: Databases, entry: CodeMap, query: MapQuery) -> PostgresSource:
    name = query.source or next(iter(databases.specification.named_sources))
    source = databases.sources[name]
    if not isinstance(source, PostgresSource):
        raise _refusal(
            entry,
            f"the source '{name}' is files, and they can't be queried",
            "name a source that is a database, or read the map from a file with 'csv'",
        )
    return source


def _columns(databases: Databases, entry: CodeMap, query: MapQuery) -> tuple[Column, ...]:
    """The columns that the query gives. Raises TransfuseError where the server refuses it."""
    in_target = query.target is not None
    connection = databases.target if in_target else _source_of(databases, entry, query).connection
    try:
        with connection.transaction():
            if in_target:
                connection.execute("SET TRANSACTION READ ONLY")
                connection.execute("SET LOCAL row_security = off")
            described = read_query(connection, query.text)
            read = set(_relations_in(connection, query.text)) if in_target else set()
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise
    except psycopg.Error as error:
        side = "target" if in_target else "source"
        message, code, remedy = query_refusal(connection, error, side)
        raise _refusal(entry, message, remedy, code) from None
    for load in databases.specification.tables if read else ():
        table = read_relation(databases.target, databases.specification.target_table(load))
        if table is not None and (table.schema, table.name) in read:
            raise _refusal(
                entry,
                f"the query reads {table}, which '{load}' fills: a map is read before any row is"
                " written",
                f"refer to its rows with 'ref: {load}', or read what the source has of them",
            )
    return described.columns


def _relations_in(connection: psycopg.Connection[Any], query: str) -> Iterator[tuple[str, str]]:
    """The tables that a query reads, also behind views; with each partition what it belongs to."""
    row = connection.execute(
        sql.SQL("EXPLAIN (VERBOSE, FORMAT JSON) SELECT * FROM ({}\n) AS q").format(
            sql.SQL(query.strip().rstrip(";"))
        )
    ).fetchone()
    waiting: list[Any] = [] if row is None else [row[0]]
    found = []
    while waiting:
        plan = waiting.pop()
        if isinstance(plan, list):
            waiting += plan
        elif isinstance(plan, dict):
            waiting += plan.values()
            if "Relation Name" in plan:
                found.append((plan["Schema"], plan["Relation Name"]))
    yield from found
    yield from connection.execute(
        "SELECT an.nspname, ac.relname FROM unnest(%s::text[], %s::text[]) AS r(schema, name)"
        " JOIN pg_namespace n ON n.nspname = r.schema"
        " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = r.name"
        " CROSS JOIN LATERAL pg_partition_ancestors(c.oid) AS a(relation)"
        " JOIN pg_class ac ON ac.oid = a.relation JOIN pg_namespace an ON an.oid = ac.relnamespace",
        [[schema for schema, _ in found], [name for _, name in found]],
    ).fetchall()


def _refuse_bytes(entry: CodeMap, columns: Sequence[Column], read: Sequence[pa.Array]) -> None:
    """Refuse bytes where text is looked up: nothing says how they are to be read."""
    for column, values in zip(columns, read, strict=True):
        if column.type.is_bytes and values.null_count < len(values):
            raise _refusal(
                entry,
                f"the query gives '{column.name}' as {column.type}, and a map is of text",
                f"name the encoding in the query: convert_from({column.name}, 'UTF8')",
                ErrorCode.TRANS_004,
            )


def _read(databases: Databases, entry: CodeMap, query: MapQuery, width: int) -> list[pa.Array]:
    """The columns of the query as the server's text."""
    specification = databases.specification
    if query.target is not None:
        url, snapshot = specification.target.url, None
    else:
        address = _source_of(databases, entry, query).address
        url, snapshot = address.url, address.exported
    try:
        table = run_with_retries(
            retrying_of(specification), lambda: _run_query(url, snapshot, query.text, width)
        )
        table.validate(full=True)
    except pa.ArrowInvalid:
        raise _refusal(
            entry, "the query gives text that isn't UTF-8", "convert it in the query"
        ) from None
    except adbc_driver_manager.Error as error:
        code, message, remedy = describe_error(error, url)
        if code is ErrorCode.SYS_003:
            raise
        problem = entry.problem(
            f"the query couldn't be read: {message}",
            *_place(entry),
            code=code,
            remedy=remedy or "see to the database, and start again",
        )
        by_itself = code in (ErrorCode.SYS_004, ErrorCode.USER_002)
        status = ExitStatus.REFUSED if by_itself else ExitStatus.INCOMPLETE
        raise TransfuseError(problem, status) from None
    return [one_array(column, pa.string()) for column in table.columns]


def _run_query(url: str, snapshot: Snapshot | None, query: str, width: int) -> pa.Table:
    names = [f"c{number}" for number in range(width)]
    selected = ", ".join(f"{name}::text" for name in names)
    text = query.strip().rstrip(";")
    connection = open_source(url, snapshot)
    try:
        with connection.cursor() as cursor:
            if snapshot is None:
                cursor.execute("BEGIN READ ONLY")
            cursor.execute(f"SELECT {selected} FROM ({text}\n) AS q({', '.join(names)})")
            return cursor.fetch_arrow_table()
    finally:
        connection.close()
