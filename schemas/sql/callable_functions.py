"""Decides which functions an expression may call: those that always give one value for one row.

DuckDB's own catalogue describes each function, so functions of later versions are covered. It
lacks two things. Some clocks are listed as if they depended on their arguments alone; these are
recognised by their signature: a moment from no argument, or an interval from a single moment.
And macros are classified by the functions that they call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from schemas.sql.embedded_duckdb import ask


class FunctionProblem(Enum):
    """The reason why an expression can't call a function; the value has it in words."""

    SEVERAL = (
        "gives several rows or columns, and an expression gives one value for each row; take one"
        " element, as in string_split(a, ';')[1], or make rows with 'split' or 'unpivot'"
    )
    AGGREGATE = "is an aggregate, and an expression sees one row"
    WINDOW = "is a window function, and an expression sees one row"
    UNSTEADY = (
        "depends on clock, chance or session, so a resumed run would write other values; for the"
        " time use started_at"
    )
    SERVER = "describes the DuckDB that evaluates expressions, not your databases; use 'const'"
    TABLE = "reads a table, and an expression sees one row"
    LOCAL_TIME = (
        "takes a local time for a moment, which it guesses where clocks change: such a time occurs"
        " twice or never; leave timezone() out and let the field decide, as in"
        ' {sql: "...", type: timestamptz, zone: Europe/Berlin, on_ambiguous: reject}'
    )
    NO_ZONE = (
        "casts to timestamptz what has no zone, which would be read as UTC; leave the cast out and"
        ' let the field decide, as in {sql: "...", type: timestamptz, zone: Europe/Berlin},'
        " or write timezone('UTC', ...)"
    )
    CENTURY = (
        "with %y guesses the century (68 is 2068, 69 is 1969); use the field's 'format' with"
        " 'century', as in {from: COLUMN, type: date, format: \"%d.%m.%y\", century: past}, or give"
        " it four digits and %Y"
    )


_SETTINGS = {"current_setting", "getvariable"}
"""Functions that DuckDB replaces by a constant of the session while it parses."""

_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
"""Clocks that are called without parentheses."""

_MOMENTS = ("DATE", "TIME")
"""The beginnings of type names of moments: TIMESTAMP WITH TIME ZONE, TIME, ..."""

_STEADY_ZONES = re.compile(r"UTC|GMT|Z|Zulu|UCT|Universal|Greenwich|Etc/.+", re.IGNORECASE)
"""Zones whose clocks never change."""

_SHORT_YEAR = re.compile(r"(?<!%)(?:%%)*%-?y")

_ONE_ROW_OPERATORS = {"LOGICAL_PROJECTION", "LOGICAL_DUMMY_SCAN"}
_OPERATORS = {
    "LOGICAL_UNNEST": FunctionProblem.SEVERAL,
    "LOGICAL_AGGREGATE_AND_GROUP_BY": FunctionProblem.AGGREGATE,
    "LOGICAL_WINDOW": FunctionProblem.WINDOW,
}


@dataclass(frozen=True)
class _Overload:
    """An entry of DuckDB's catalogue; ``parameters`` are types, or the names of a macro's."""

    kind: str
    schema: str
    parameters: tuple[str, ...]
    returns: str | None
    stability: str | None
    body: str | None

    @property
    def is_callable(self) -> bool:
        return self.kind in ("scalar", "macro")

    @property
    def is_clock(self) -> bool:
        """Whether it gives a moment from no argument, or an interval from a single moment."""
        if self.kind != "scalar" or self.returns is None:
            return False
        if not self.parameters:
            return self.returns.startswith(_MOMENTS)
        lone = len(self.parameters) == 1 and self.parameters[0].startswith(_MOMENTS)
        return lone and self.returns == "INTERVAL"

    @property
    def describes_the_server(self) -> bool:
        if self.schema == "pg_catalog" or (self.kind == "macro" and not self.parameters):
            return True
        return self.kind == "scalar" and not self.parameters and self.returns == "VARCHAR"


@lru_cache(maxsize=4096)
def judge_call(name: str, arguments: int) -> FunctionProblem | None:
    """Decides whether an expression may call a function.

    Args:
        name: The function.
        arguments: The number of arguments.

    Returns:
        The reason why not. None if it may, and for a function that doesn't exist, which binding
        reports.
    """
    overloads = _catalogue().get(name.lower(), ())
    if name.lower() in _SETTINGS:
        return FunctionProblem.SERVER
    if any(o.stability not in (None, "CONSISTENT") for o in overloads):
        return FunctionProblem.UNSTEADY
    if any(o.is_clock and len(o.parameters) == arguments for o in overloads):
        return FunctionProblem.UNSTEADY
    if overloads and not any(o.is_callable for o in overloads):
        is_aggregate = any(o.kind == "aggregate" for o in overloads)
        return FunctionProblem.AGGREGATE if is_aggregate else FunctionProblem.SEVERAL
    for overload in overloads:
        if overload.kind == "macro" and len(overload.parameters) == arguments:
            inner = _judge_macro(overload.body or "NULL")
            if inner is not None:
                return inner
    fitting = [o for o in overloads if o.kind != "macro" or len(o.parameters) == arguments]
    if any(o.describes_the_server for o in fitting if o.is_callable):
        return FunctionProblem.SERVER
    return None


def is_clock_name(name: str) -> bool:
    """Whether SQL takes a bare name for a clock."""
    return name.lower() in _CLOCKS


def judge_plan(query: str) -> FunctionProblem | None:
    """Decides whether a query of one expression over one row gives exactly one value.

    It looks at DuckDB's plan, in which macros are replaced and names bound, so nothing hides
    behind a name.

    Args:
        query: The query, as ``query_of`` builds it.

    Returns:
        The reason why not; None if it does.

    Raises:
        duckdb.Error: The query can't be planned.
    """
    plan = json.loads(ask("SELECT json_serialize_plan(?)", [query])[0][0])
    if plan["error"]:
        return FunctionProblem.TABLE
    for node in walk(plan["plans"]):
        kind = str(node.get("type"))
        if kind.startswith("LOGICAL_") and kind not in _ONE_ROW_OPERATORS:
            return _OPERATORS.get(kind, FunctionProblem.TABLE)
    for node in walk(plan["plans"]):
        if node.get("expression_class") == "BOUND_FUNCTION":
            problem = judge_call(str(node["name"]), len(node["children"]))
            if problem is FunctionProblem.UNSTEADY:
                return problem
            if _takes_local_time(node):
                return FunctionProblem.LOCAL_TIME
        if _assumes_zone(node) and _casts_to_moments(query):
            return FunctionProblem.NO_ZONE
    return None


def _assumes_zone(cast: Mapping[str, Any]) -> bool:
    """Whether a bound cast makes a moment of a column without a zone."""
    if cast.get("expression_class") != "BOUND_CAST" or cast["return_type"]["id"] != _MOMENT:
        return False
    child = cast["child"]
    if child.get("expression_class") == "BOUND_CONSTANT":
        return False
    return str(child.get("return_type", {}).get("id")) in ("VARCHAR", "TIMESTAMP", "DATE")


def _casts_to_moments(query: str) -> bool:
    """Whether the query itself casts to a moment: DuckDB adds casts where moments are compared."""
    tree = json.loads(ask("SELECT json_serialize_sql(?)", [query])[0][0])
    return any(
        node.get("class") == "CAST"
        and node["cast_type"]["id"] == _MOMENT
        and node["child"].get("class") != "CONSTANT"
        for node in walk(tree)
    )


_MOMENT = "TIMESTAMP WITH TIME ZONE"


def _takes_local_time(function: Mapping[str, Any]) -> bool:
    """Whether a bound function makes a moment of a local time in a zone whose clocks change."""
    arguments = [str(argument["id"]) for argument in function["arguments"]]
    if function["name"] != "timezone" or arguments != ["VARCHAR", "TIMESTAMP"]:
        return False
    zone = (function["children"][0].get("value") or {}).get("value")
    return not (isinstance(zone, str) and _STEADY_ZONES.fullmatch(zone))


def guesses_century(name: str, arguments: Any) -> bool:
    """Whether a call parses dates whose year has two digits.

    Args:
        name: The function, in lower case.
        arguments: The nodes of its arguments in the syntax tree.
    """
    if name not in ("strptime", "try_strptime"):
        return False
    return any(
        isinstance(text := node["value"].get("value"), str) and _SHORT_YEAR.search(text)
        for node in walk(arguments)
        if node.get("class") == "CONSTANT"
    )


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Yields all objects of a JSON document, outer ones before those inside them."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def _judge_macro(body: str) -> FunctionProblem | None:
    tree = json.loads(ask("SELECT json_serialize_sql(?)", [f"SELECT ({body})"])[0][0])
    for node in walk(tree.get("statements")):
        kind = node.get("class")
        if kind == "SUBQUERY":
            return FunctionProblem.SERVER
        if kind == "FUNCTION":
            problem = judge_call(str(node["function_name"]), len(node["children"]))
            if problem is not None:
                return problem
        if kind == "COLUMN_REF" and is_clock_name(node["column_names"][-1]):
            return FunctionProblem.UNSTEADY
    return None


@lru_cache(maxsize=1)
def _catalogue() -> Mapping[str, tuple[_Overload, ...]]:
    """DuckDB's functions by name."""
    rows = ask(
        "SELECT function_name, function_type, schema_name, parameters, parameter_types,"
        " return_type, stability, macro_definition FROM duckdb_functions()"
    )
    by_name: dict[str, list[_Overload]] = {}
    for name, kind, schema, names, types, returns, stability, body in rows:
        parameters = tuple(str(p) for p in (names if kind == "macro" else types))
        overload = _Overload(kind, schema, parameters, returns, stability, body)
        by_name.setdefault(name.lower(), []).append(overload)
    return {name: tuple(overloads) for name, overloads in by_name.items()}
