"""Finds where an expression loses digits of numbers, or writes more of them into a text.

DuckDB has no decimal without a fixed number of decimals: it shows a PostgreSQL ``numeric`` without
a scale as DECIMAL(38,12), so its text has additional zeros. And ``/`` gives
a binary number of 15 exact digits. Both are read from the plan, in which implicit casts are written
out and nothing hides behind a macro.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from schemas.sql.callable_functions import walk

LOOSE_SCALE = 12
"""The decimals with which expressions see a numeric that has no scale of its own."""


class Digits(IntEnum):
    """The origin of a number's digits; of several origins the largest counts."""

    FIXED = 0
    """As stored, or with decimals that the expression names."""
    ROUNDED = 1
    """A binary number that was rounded to as many decimals as the expression says."""
    LOOSE = 2
    """A decimal whose number of decimals is DuckDB's choice."""
    BINARY = 3
    """A binary number that was computed, so that its last digits are noise."""


@dataclass(frozen=True)
class NumberUse:
    """The treatment of numbers by an expression.

    Attributes:
        result: The digits of its value.
        in_text: The largest digits of the numbers that it turns into text.
        divided: The columns of exact numbers that it converts to binary numbers.
        parsed: The columns that it reads as JSON, whose decimals DuckDB parses as binary numbers.
    """

    result: Digits
    in_text: Digits
    divided: frozenset[str]
    parsed: frozenset[str] = frozenset()


def judge_numbers(plan: Mapping[str, Any], loose: frozenset[str]) -> NumberUse:
    """Analyses how the one expression of a query treats numbers.

    Args:
        plan: The ``serialized_plan`` of ``SELECT expression FROM (SELECT NULL::type AS column,
            ...)``.
        loose: The columns that are DECIMAL(38,12) because they have no scale.
    """
    expressions = [] if plan["error"] else plan["plans"][0].get("expressions") or []
    if not expressions:
        return NumberUse(Digits.FIXED, Digits.FIXED, frozenset())
    root = expressions[0]
    nodes = [node for node in walk(root) if "expression_class" in node]
    loose |= _lambda_parameters(nodes) if loose else frozenset()
    texts = [_digits(part, loose) for node in nodes for part in _made_text(node)]
    in_text = max((d for d in texts if d > Digits.ROUNDED), default=Digits.FIXED)
    divided = {ref for node in nodes for ref in _binary_operands(node)}
    parsed = {ref for node in nodes if _parses_json(node) for ref in _columns(node)}
    return NumberUse(_digits(root, loose), in_text, frozenset(divided), frozenset(parsed))


def _lambda_parameters(nodes: list[dict[str, Any]]) -> frozenset[str]:
    """The names within lambda functions that may stand for elements without a fixed scale."""
    functions = [node.get("function_data") or {} for node in nodes]
    bodies = [data["lambda_expr"] for data in functions if "lambda_expr" in data]
    parts = [part for part in walk(bodies) if part.get("expression_class") == "BOUND_REF"]
    return frozenset(
        str(part["alias"])
        for part in parts
        if (part["return_type"].get("type_info") or {}).get("scale") == LOOSE_SCALE
    )


_BINARY_TYPES = ("DOUBLE", "FLOAT")
_ROUNDING = ("round", "floor", "ceil", "ceiling", "trunc", "round_even", "even", "sign")
_CHOOSING = ("greatest", "least", "abs", "@", "list_value", "list_extract", "array_extract")
"""Functions whose number is one of their arguments."""

_FORMATTING = ("printf", "format")


def _digits(node: Mapping[str, Any], loose: frozenset[str]) -> Digits:
    """The digits of a node's value."""
    kind = node["expression_class"]
    if kind == "BOUND_REF":
        return Digits.LOOSE if node["alias"] in loose else Digits.FIXED
    types = _types(node)
    if kind == "BOUND_CONSTANT" or not types & {"DECIMAL", *_BINARY_TYPES}:
        return Digits.FIXED
    parts = max((_digits(part, loose) for part in _values(node)), default=Digits.FIXED)
    if kind == "BOUND_CAST":
        return _of_cast(node, types, parts)
    if kind != "BOUND_FUNCTION":
        return parts
    name = str(node["name"]).lower()
    if types & set(_BINARY_TYPES):
        if name in _ROUNDING:
            return Digits.ROUNDED
        chooses = name in _CHOOSING or (name == "-" and len(node["children"]) == 1)
        return parts if chooses else Digits.BINARY
    return Digits.FIXED if name in _ROUNDING else parts


def _of_cast(node: Mapping[str, Any], types: set[str], parts: Digits) -> Digits:
    if "DECIMAL" in types:
        scale = (node["return_type"].get("type_info") or {}).get("scale")
        return parts if scale == LOOSE_SCALE and parts is Digits.LOOSE else Digits.FIXED
    child = node["child"]
    if child["expression_class"] == "BOUND_CONSTANT" or _types(child) & set(_BINARY_TYPES):
        return parts
    return Digits.BINARY


def _values(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The nodes whose values can become that of the node; conditions aren't among them."""
    for key in ("child", "else_expr"):
        if isinstance(node.get(key), dict):
            yield node[key]
    for check in node.get("case_checks") or ():
        yield check["then_expr"]
    yield from node.get("children") or ()


def _types(node: Mapping[str, Any]) -> set[str]:
    """The names of a node's type, and of those within a list or struct."""
    kind = node.get("return_type") or (node.get("value") or {}).get("type")
    return {str(part["id"]) for part in walk(kind) if "id" in part}


def _made_text(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The numbers whose digits a node writes out, or hashes."""
    types = _types(node)
    if node["expression_class"] == "BOUND_CAST" and "VARCHAR" in types:
        yield node["child"]
    if node["expression_class"] != "BOUND_FUNCTION":
        return
    name, children = str(node["name"]).lower(), node["children"]
    if name in _FORMATTING and not _formats_as_it_is(children):
        return
    if types & {"VARCHAR", "BLOB", "UBIGINT"}:
        yield from children


def _formats_as_it_is(children: list[Mapping[str, Any]]) -> bool:
    """Whether a call of ``format`` or ``printf`` leaves the number of digits open."""
    if children[0]["expression_class"] != "BOUND_CONSTANT":
        return True
    template = str(children[0]["value"].get("value"))
    return re.search(r"\{[0-9]*(:[^.}]*)?\}|%[-+0-9]*[gGaA]", template) is not None


def _binary_operands(node: Mapping[str, Any]) -> Iterator[str]:
    """The columns of exact numbers that a part of an expression takes as binary ones."""
    for child in (*(node.get("children") or ()), *_values(node)):
        if child["expression_class"] == "BOUND_CAST" and _types(child) & set(_BINARY_TYPES):
            yield from _columns(child["child"])


_JSON_MAKERS = frozenset({"to_json", "json_object", "json_array", "row_to_json", "array_to_json"})
"""Functions that write their arguments into JSON, and read none."""


def _parses_json(node: Mapping[str, Any]) -> bool:
    if node["expression_class"] != "BOUND_FUNCTION":
        return False
    name = str(node["name"]).lower()
    return name in ("->", "->>") or ("json" in name and name not in _JSON_MAKERS)


def _columns(node: Mapping[str, Any]) -> Iterator[str]:
    """The columns that a node reads."""
    for part in walk(node):
        if part.get("expression_class") == "BOUND_REF":
            yield str(part["alias"])
