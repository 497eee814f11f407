"""Which functions an expression may call: those that make one value of one row, always the same.

What a function is, DuckDB's own catalogue says, so a function that a later DuckDB adds is judged
as well. Two things it doesn't say. Some clocks are listed as functions of their arguments alone;
they are recognised by their signature: a moment from no argument, or the time between one moment
and another that isn't given. And what a macro is follows from the functions that it calls.
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
    """Why a function can't be part of an expression; the value is the reason in words."""

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
"""Functions that DuckDB replaces by a constant of the session before anything else sees them."""

_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
"""Clocks that SQL writes without brackets."""

_MOMENTS = ("DATE", "TIME")
"""How the names of types begin that hold a moment: TIMESTAMP WITH TIME ZONE, TIME, ..."""

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
    """One entry of DuckDB's catalogue; ``parameters`` are types, of a macro names."""

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
        """Whether it gives a moment of none, or an interval of a single moment."""
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
    """Why a function, called with so many arguments, can't be used.

    None where it can, and where there is no such function: binding says so.
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
    """Whether a bare name would be a clock in SQL."""
    return name.lower() in _CLOCKS


def judge_plan(query: str) -> FunctionProblem | None:
    """Why a query of one expression over one row doesn't give exactly one value for it.

    This is what DuckDB makes of the query, with its macros replaced and its names bound, so
    nothing hides behind a name. Raises duckdb.Error where it can't be planned.
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
    """Whether the cast is written: DuckDB adds others itself where moments are compared."""
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
        name: the function, in lower case.
        arguments: the nodes of its arguments in the syntax tree.
    """
    if name not in ("strptime", "try_strptime"):
        return False
    return any(
        isinstance(text := node["value"].get("value"), str) and _SHORT_YEAR.search(text)
        for node in walk(arguments)
        if node.get("class") == "CONSTANT"
    )


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """All objects of a JSON document, the outer before the inner."""
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
    found: dict[str, list[_Overload]] = {}
    for name, kind, schema, names, types, returns, stability, body in rows:
        parameters = tuple(str(p) for p in (names if kind == "macro" else types))
        overload = _Overload(kind, schema, parameters, returns, stability, body)
        found.setdefault(name.lower(), []).append(overload)
    return {name: tuple(overloads) for name, overloads in found.items()}
