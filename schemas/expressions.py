"""SQL expressions of a specification: parsed, checked, and bound to the columns they read.

Expressions are evaluated by an embedded DuckDB. Here they are only taken apart: DuckDB's
own parser gives the syntax tree, names are replaced by the columns of a batch, and what
would make a result depend on the clock, on chance or on other rows is refused.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
from duckdb.func import ARROW

from schemas.conversions.documents import REPEATS_A_KEY, repeats_a_key
from schemas.distinct_names import with_distinct_names

Name = tuple[str, ...]
"""A name as written: ``("pat_id",)``, ``("src", "pat_id")``."""

_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
_NO_EXPRESSION = "this must be one SQL expression, not a statement"
_TOO_DEEP = "this is nested too deeply; split it into several fields"
_lock = threading.Lock()


class ExpressionError(ValueError):
    """An expression that can't be used; its text says why, in words for the person who wrote it."""


@dataclass(frozen=True)
class Expression:
    """An expression with its syntax tree (JSON text, as DuckDB serialises it)."""

    text: str
    tree: str

    @property
    def names(self) -> tuple[Name, ...]:
        """The distinct column names it reads, as written, in order."""
        return tuple(dict.fromkeys(tuple(ref["column_names"]) for ref in _references(self._node)))

    @property
    def _node(self) -> dict[str, Any]:
        node: dict[str, Any] = json.loads(self.tree)
        return node

    def bound(self, column_of: Callable[[Name], str]) -> str:
        """The expression as SQL in which each name is the one column that it stands for.

        ``column_of`` gives the column of a name, or raises ExpressionError.
        """
        try:
            statement = self._node
            for reference in list(_references(statement)):
                reference["column_names"] = [column_of(tuple(reference["column_names"]))]
            tree = json.dumps(statement)
        except RecursionError:
            raise ExpressionError(_TOO_DEEP) from None
        return _ask("SELECT json_deserialize_sql(?::JSON)", tree).removeprefix("SELECT ")


@lru_cache(maxsize=4096)
def parse_expression(text: str) -> Expression:
    """Parses ``text``; raises ExpressionError where it isn't one usable SQL expression.

    Refused are syntax errors, more than one expression, subqueries, aggregates, window
    functions, parameters, and functions whose result depends on clock or chance.
    """
    try:
        return _parsed(text)
    except RecursionError:
        raise ExpressionError(_TOO_DEEP) from None


def _parsed(text: str) -> Expression:
    query = f"SELECT (\n{text}\n)"
    tree = json.loads(_ask("SELECT json_serialize_sql(?)", query))
    if tree["error"]:
        told = str(tree["error_message"]).partition("\n")[0]
        if tree["error_type"] != "parser":
            raise ExpressionError(_NO_EXPRESSION)
        if "expression depth" in told:
            raise ExpressionError(_TOO_DEEP)
        if tree.get("position") == str(len(query.encode()) - 1):
            told = "it isn't complete, or has a bracket too many"
        raise ExpressionError(f"the SQL expression has an error: {told}")
    statements = tree["statements"]
    node = statements[0]["node"] if len(statements) == 1 else {}
    if (
        node.get("type") != "SELECT_NODE"
        or len(node["select_list"]) != 1
        or node["from_table"]["type"] != "EMPTY"
        or any(node[part] for part in ("where_clause", "group_expressions", "having", "qualify"))
    ):
        raise ExpressionError(_NO_EXPRESSION)
    for part in _walk(node["select_list"][0]):
        _refuse_unsteady(part)
    return Expression(text, json.dumps(tree))


def describe_expressions(
    expressions: Mapping[str, str], columns: Mapping[str, str]
) -> dict[str, str | ExpressionError]:
    """The DuckDB type of each bound expression over columns of the given DuckDB types.

    What doesn't bind (an unknown function, types that don't fit) is an ExpressionError.
    """
    described: dict[str, str | ExpressionError] = {}
    quoted = ", ".join(f"NULL::{kind} AS {quote(name)}" for name, kind in columns.items())
    for key, bound in expressions.items():
        source = f"FROM (SELECT {quoted})" if quoted else ""
        query, _ = with_distinct_names(f"DESCRIBE SELECT {bound} AS v {source}", ())
        try:
            with _lock:
                row = _parser().execute(query).fetchall()[0]
            described[key] = str(row[1])
        except duckdb.Error as error:
            first = str(error).splitlines()[0].partition("Error: ")[2] or "it can't be evaluated"
            described[key] = ExpressionError(first)
    return described


def quote(name: str) -> str:
    """An identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text constant in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def new_connection() -> duckdb.DuckDBPyConnection:
    """A DuckDB connection of one thread in UTC that reaches no file, network or setting."""
    connection = duckdb.connect(
        config={
            "threads": "1",
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "preserve_insertion_order": "true",
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.create_function(REPEATS_A_KEY, repeats_a_key, ["VARCHAR"], "BOOLEAN", type=ARROW)
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET lock_configuration = true")
    return connection


@lru_cache(maxsize=1)
def _parser() -> duckdb.DuckDBPyConnection:
    return new_connection()


def _ask(query: str, parameter: str) -> str:
    with _lock:
        return str(_parser().execute(query, [parameter]).fetchall()[0][0])


@lru_cache(maxsize=1)
def _unsteady_functions() -> tuple[frozenset[str], frozenset[str]]:
    with _lock:
        rows = (
            _parser()
            .execute("SELECT function_name, function_type, stability FROM duckdb_functions()")
            .fetchall()
        )
    steady = {n for n, kind, s in rows if kind in ("scalar", "macro") and s in ("CONSISTENT", None)}
    clocks = {n for n, _, s in rows if s in ("VOLATILE", "CONSISTENT_WITHIN_QUERY")}
    aggregates = {n for n, kind, _ in rows if kind == "aggregate"}
    return frozenset(clocks), frozenset(aggregates - steady)


def _refuse_unsteady(part: dict[str, Any]) -> None:
    kind = part.get("class")
    if kind == "SUBQUERY":
        raise ExpressionError("a subquery can't be used here: an expression sees one row")
    if kind == "WINDOW":
        raise ExpressionError("a window function can't be used here: an expression sees one row")
    if kind in ("PARAMETER", "STAR"):
        raise ExpressionError("'?', '$1' and '*' have no meaning here; name the columns")
    if kind == "FUNCTION":
        name = str(part["function_name"]).lower()
        clocks, aggregates = _unsteady_functions()
        if name in clocks or (name == "age" and len(part["children"]) == 1):
            raise ExpressionError(
                f"{name}() depends on clock or chance, so a resumed run would write other "
                "values; use started_at for the time"
            )
        if name in aggregates:
            raise ExpressionError(f"{name}() is an aggregate: an expression sees one row")
    if kind == "COLUMN_REF" and len(part["column_names"]) == 1:
        name = part["column_names"][0].lower()
        if name in _CLOCKS:
            raise ExpressionError(f"{name} is a clock; use started_at, the start of the job")


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


def _references(node: Any, bound: frozenset[str] = frozenset()) -> Iterator[dict[str, Any]]:
    """The column references of a tree, without the parameters of lambda functions."""
    if isinstance(node, list):
        for value in node:
            yield from _references(value, bound)
    elif isinstance(node, dict):
        if node.get("class") == "LAMBDA":
            parameters = {
                n["column_names"][0] for n in _walk(node["lhs"]) if n.get("class") == "COLUMN_REF"
            }
            yield from _references(node["expr"], bound | parameters)
        elif node.get("class") == "COLUMN_REF":
            if not (len(node["column_names"]) == 1 and node["column_names"][0] in bound):
                yield node
        else:
            for value in node.values():
                yield from _references(value, bound)
