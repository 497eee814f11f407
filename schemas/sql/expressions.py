"""SQL expressions of a specification: parsed, checked, and bound to the columns they read.

An embedded DuckDB evaluates expressions. Here its parser gives the syntax tree, names are replaced
by the columns of a batch, and expressions whose result depends on the clock, on chance or on other
rows are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb

from schemas.sql.callable_functions import (
    FunctionProblem,
    guesses_century,
    is_clock_name,
    judge_call,
    judge_plan,
    walk,
)
from schemas.sql.distinct_names import with_distinct_names
from schemas.sql.embedded_duckdb import ask

Name = tuple[str, ...]
"""A name as written: ``("pat_id",)``, ``("src", "pat_id")``."""

FIX = "correct the expression"
"""The remedy for an expression that can't be used."""

_NO_EXPRESSION = "this must be one SQL expression, not a statement"
_TOO_DEEP = "this is nested too deeply; split it into several fields"

_CLASSES = {
    "BETWEEN",
    "CASE",
    "CAST",
    "COLLATE",
    "COLUMN_REF",
    "COMPARISON",
    "CONJUNCTION",
    "CONSTANT",
    "FUNCTION",
    "LAMBDA",
    "LAMBDA_REF",
    "OPERATOR",
    "TYPE",
}
"""The kinds of nodes of a syntax tree that read nothing but named columns."""

_REFUSED_CLASSES = {
    "SUBQUERY": "a subquery can't be used here: an expression sees one row",
    "WINDOW": "a window function can't be used here: an expression sees one row",
}


class ExpressionError(ValueError):
    """An expression can't be used; the text says why, for its author."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    Attributes:
        text: The expression as written.
        tree: Its syntax tree, as JSON of DuckDB.
        problems: The reasons why it can't be used.
    """

    text: str
    tree: str
    problems: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[Name, ...]:
        """The distinct column names that it reads, as written, in order."""
        return tuple(dict.fromkeys(tuple(ref["column_names"]) for ref in _references(self._node)))

    @property
    def column(self) -> Name | None:
        """The column name, for an expression that is nothing else."""
        selected = self._node["statements"][0]["node"]["select_list"][0]
        return tuple(selected["column_names"]) if selected["class"] == "COLUMN_REF" else None

    @property
    def _node(self) -> dict[str, Any]:
        node: dict[str, Any] = json.loads(self.tree)
        return node

    def bind(
        self,
        column_of: Callable[[Name], str],
        written_column_of: Callable[[Name, int | None], str | None] = lambda *_: None,
    ) -> str:
        """Replaces each name by the column that it stands for.

        Args:
            column_of: Returns the column of a name, or raises ExpressionError.
            written_column_of: Returns the column with the server's own text of a name's value. It
                is called where a value becomes text (None), or a decimal with so many decimals
                (the second argument). If it returns None, ``column_of`` decides.

        Returns:
            The SQL.

        Raises:
            ExpressionError: A name has no column, or the expression is nested too deeply.
        """
        try:
            statement = self._node
            written = {
                id(reference): column
                for reference, decimals in _written_out(statement)
                if (column := written_column_of(tuple(reference["column_names"]), decimals))
            }
            for reference in list(_references(statement)):
                name = tuple(reference["column_names"])
                reference["column_names"] = [written.get(id(reference)) or column_of(name)]
            tree = json.dumps(statement)
        except RecursionError:
            raise ExpressionError(_TOO_DEEP) from None
        sql = str(ask("SELECT json_deserialize_sql(?::JSON)", [tree])[0][0])
        return sql.removeprefix("SELECT ")


@lru_cache(maxsize=4096)
def parse_expression(text: str) -> Expression:
    """Parses one SQL expression.

    Args:
        text: The expression as written.

    Returns:
        The expression. Its ``problems`` list the subqueries, aggregates, window functions,
        parameters, functions that give several rows, and functions whose result depends on
        clock, chance or session.

    Raises:
        ExpressionError: The text isn't exactly one SQL expression.
    """
    try:
        return _parse(text)
    except RecursionError:
        raise ExpressionError(_TOO_DEEP) from None


def _parse(text: str) -> Expression:
    query = f"SELECT (\n{text}\n)"
    tree = json.loads(ask("SELECT json_serialize_sql(?)", [query])[0][0])
    if tree["error"]:
        message = str(tree["error_message"]).partition("\n")[0]
        if tree["error_type"] != "parser":
            raise ExpressionError(_NO_EXPRESSION)
        if "expression depth" in message:
            raise ExpressionError(_TOO_DEEP)
        if tree.get("position") == str(len(query.encode()) - 1):
            message = "it isn't complete, or has a bracket too many"
        raise ExpressionError(f"the SQL expression has an error: {message}")
    statements = tree["statements"]
    node = statements[0]["node"] if len(statements) == 1 else {}
    if (
        node.get("type") != "SELECT_NODE"
        or len(node["select_list"]) != 1
        or node["from_table"]["type"] != "EMPTY"
        or any(node[part] for part in _CLAUSES)
    ):
        raise ExpressionError(_NO_EXPRESSION)
    problems = dict.fromkeys(_problems(node["select_list"][0]))
    return Expression(text, json.dumps(tree), tuple(problems))


_CLAUSES = ("where_clause", "group_expressions", "having", "qualify", "sample", "modifiers")


def describe_expressions(
    expressions: Mapping[str, str], columns: Mapping[str, str]
) -> dict[str, str | ExpressionError]:
    """Binds expressions without evaluating them.

    Args:
        expressions: Bound expressions by any key.
        columns: The DuckDB types of the columns that they read.

    Returns:
        The DuckDB type of each; an ExpressionError for one that doesn't bind (an unknown
        function, types that don't fit) or doesn't give exactly one value for each row.
    """
    described: dict[str, str | ExpressionError] = {}
    for key, bound in expressions.items():
        query, _ = query_of(bound, columns)
        try:
            rows = ask(f"DESCRIBE {query}")
            problem = judge_plan(query)
        except duckdb.Error as error:
            first = str(error).splitlines()[0].partition("Error: ")[2] or "it can't be evaluated"
            described[key] = ExpressionError(first)
            continue
        described[key] = str(rows[0][1])
        if problem is not None or len(rows) != 1:
            reason = "gives several columns" if problem is None else problem.value
            described[key] = ExpressionError(f"this {reason}")
    return described


def query_of(bound: str, columns: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Builds a query of a bound expression over one row of NULLs.

    Args:
        bound: The bound expression.
        columns: The DuckDB types of the columns that it reads.

    Returns:
        The query, and the new name of each column that DuckDB would confuse with another because
        they differ in case alone.
    """
    quoted = ", ".join(f"NULL::{kind} AS {quote(name)}" for name, kind in columns.items())
    source = f"FROM (SELECT {quoted})" if quoted else ""
    return with_distinct_names(f"SELECT {bound} AS v {source}", ())


def quote(name: str) -> str:
    """An identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text constant in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def _problems(node: Any) -> Iterator[str]:
    """The reasons why parts of a syntax tree can't be used."""
    for part in walk(node):
        kind = part.get("class")
        if kind == "FUNCTION":
            name = str(part["function_name"]).lower()
            problem = judge_call(name, len(part["children"]))
            if problem is not None:
                yield f"{name}() {problem.value}"
            elif guesses_century(name, part["children"][1:]):
                yield f"{name}() {FunctionProblem.CENTURY.value}"
        elif kind == "COLUMN_REF":
            if len(part["column_names"]) == 1 and is_clock_name(part["column_names"][0]):
                name = part["column_names"][0].lower()
                yield f"{name} is a clock; use started_at, the start of the job"
        elif kind is not None and kind not in _CLASSES:
            yield _REFUSED_CLASSES.get(
                kind, "'?', '$1', '#1' and '*' have no meaning here; name the columns"
            )


_CONCATENATIONS = ("||", "concat", "concat_ws")


def _written_out(node: Any) -> Iterator[tuple[dict[str, Any], int | None]]:
    """The column references that become text (None) or a decimal (its decimals) directly."""
    references = {id(reference) for reference in _references(node)}
    for part in walk(node):
        children, decimals = [], None
        if part.get("class") == "CAST":
            kind = part["cast_type"]
            decimals = (kind.get("type_info") or {}).get("scale")
            if kind["id"] == "VARCHAR" or (kind["id"] == "DECIMAL" and decimals is not None):
                children = [part["child"]]
        elif part.get("class") == "FUNCTION" and part["function_name"] in _CONCATENATIONS:
            children = part["children"]
        for child in children:
            if id(child) in references:
                yield child, decimals


def _references(node: Any, bound: frozenset[str] = frozenset()) -> Iterator[dict[str, Any]]:
    """The column references of a tree, without the parameters of lambda functions."""
    if isinstance(node, list):
        for value in node:
            yield from _references(value, bound)
    elif isinstance(node, dict):
        if node.get("class") == "LAMBDA":
            parameters = {
                n["column_names"][0] for n in walk(node["lhs"]) if n.get("class") == "COLUMN_REF"
            }
            yield from _references(node["expr"], bound | parameters)
        elif node.get("class") == "COLUMN_REF":
            if not (len(node["column_names"]) == 1 and node["column_names"][0] in bound):
                yield node
        else:
            for value in node.values():
                yield from _references(value, bound)
