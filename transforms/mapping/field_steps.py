"""The SQL of fields: their values, then transform, map, type, default and required in one query."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from schemas.blanks import BLANKS_SQL
from schemas.column_types import TEXT, ColumnType
from schemas.conversions import AS_WRITTEN, convert
from schemas.specification.policies import UnmappedAction
from schemas.sql.expressions import literal, quote
from transforms.model.bound_expression import BoundExpression
from transforms.model.field_maps import PairsInSql
from transforms.model.field_program import FieldProgram
from transforms.sql.duckdb_engine import select
from transforms.sql.exposure import expose
from transforms.sql.lost_values import UNKNOWN, lost_columns
from transforms.sql.python_functions import RAISED

UNMAPPED, MISSING, UPSTREAM = "unmapped", "missing", "upstream"
"""Why a field has no value, besides the reasons of a conversion and RAISED."""


def values_query(
    fields: Sequence[FieldProgram],
    names: tuple[str, ...],
    types: dict[str, ColumnType],
    guarded: bool,
) -> str:
    """Selects ``v.NAME`` (value) and ``fail.NAME`` for each field, and ``v2.NAME`` and so on for
    the further parts of a key."""
    selected = []
    for field in fields:
        expression = field.origin.value
        value, failure = _guard(expression) if guarded else (expression.sql, "NULL::VARCHAR")
        causes = [f"bad.{f}" for f in field.fields_read]
        causes += lost_columns(names, (*field.reads, *field.key_parts), UNKNOWN)
        upstream = " OR ".join(f"coalesce({quote(cause)}, false)" for cause in causes)
        inexact = " OR ".join(f"({c})" for c in expression.inexact)
        cases = ""
        if upstream:
            cases += f" WHEN {upstream} THEN '{UPSTREAM}'"
        if inexact:
            cases += f" WHEN {inexact} THEN '{RAISED}'"
        if cases:
            failure = f"CASE{cases} ELSE {failure} END"
        selected += [
            f"{value} AS {quote(f'v.{field.name}')}",
            f"{failure} AS {quote(f'fail.{field.name}')}",
        ]
        selected += [
            f"{part.sql} AS {quote(f'{prefix}.{field.name}')}"
            for prefix, part in zip(part_prefixes(field, "v")[1:], field.key_parts, strict=True)
        ]
    return select(selected, expose("batch", names, types))


def _guard(expression: BoundExpression) -> tuple[str, str]:
    """The value where it can be computed, and the failure where not.

    ``try([x])`` is NULL where x raises and [NULL] where x is NULL.
    """
    if not expression.risky:
        return expression.sql, "NULL::VARCHAR"
    tried = f"try([{expression.sql}])"
    return f"{tried}[1]", f"CASE WHEN {tried} IS NULL THEN '{RAISED}' END"


def part_prefixes(field: FieldProgram, letter: str) -> list[str]:
    """The prefixes of the columns of a field's value: ``v``, and ``v2``, ``v3`` for a key."""
    return [letter, *(f"{letter}{number}" for number in range(2, len(field.key_parts) + 2))]


def keys_query(fields: Sequence[FieldProgram], source: str) -> str:
    """Selects ``t.NAME`` (transformed, and so for all parts of a key) and ``fail.NAME``."""
    selected = []
    for field in fields:
        selected += [*_transform_step(field), quote(f"fail.{field.name}")]
    return select(selected, source)


_SOURCE = "\0source\0"
"""Stands for what a query selects from: no constant of a specification can contain it."""


def steps_query(fields: Sequence[FieldProgram], source: str, looked_up: bool = False) -> str:
    """Selects ``x.NAME``, ``fail.NAME`` and, for maps, ``lost.NAME`` from ``source``.

    That has ``v.NAME`` and ``fail.NAME`` of each field. Where they are ``looked_up`` already, it
    has what ``look_up`` adds instead of the values, and ``known.NAME`` is selected as well.
    """
    return _steps_template(tuple(fields), looked_up).replace(_SOURCE, source)


@lru_cache(maxsize=1024)
def _steps_template(fields: tuple[FieldProgram, ...], looked_up: bool) -> str:
    query = _SOURCE
    begin = () if looked_up else (_transform_step, _map_step)
    for step in (*begin, _type_step, _convert_step, _finish_step):
        selected = [column for field in fields for column in step(field)]
        if selected:
            query = f"(SELECT *, {', '.join(selected)} FROM {query})"
    finished = []
    for field in fields:
        failure = f"{quote(f'f.{field.name}')} AS {quote(f'fail.{field.name}')}"
        finished += [quote(f"x.{field.name}"), failure]
        if field.value_map is not None:
            finished.append(quote(f"lost.{field.name}"))
        if looked_up:
            finished.append(quote(f"known.{field.name}"))
    return select(finished, query)


def _transform_step(field: FieldProgram) -> list[str]:
    columns = zip(part_prefixes(field, "v"), part_prefixes(field, "t"), strict=True)
    return [
        f"{_transform_sql(field, f'{before}.{field.name}')} AS {quote(f'{after}.{field.name}')}"
        for before, after in columns
    ]


def _transform_sql(field: FieldProgram, column: str) -> str:
    value = quote(column)
    # A Python function has run all of them before the query.
    templates = [step for step in field.transforms if isinstance(step, str)]
    if not field.calls_python:
        for template in templates:
            value = template.replace("{}", value)
    if field.transformed_type.is_textual and field.blank_is_missing:
        blank = f"trim({value}, {BLANKS_SQL}) = ''"
        value = f"CASE WHEN ascii({value}) > 32 OR NOT {blank} THEN {value} END"
    return value


def _map_step(field: FieldProgram) -> list[str]:
    value, name = quote(f"t.{field.name}"), field.name
    if not isinstance(field.map, PairsInSql):
        return [f"{value} AS {quote(f'm.{name}')}"]
    pairs = dict(field.map.pairs)
    cases = " ".join(
        f"WHEN {literal(key)} THEN {'NULL' if to is None else literal(to)}"
        for key, to in pairs.items()
    )
    is_mapped = f"{value} IN ({', '.join(map(literal, pairs))})" if pairs else "false"
    other = "NULL"
    if field.map.unmapped.action is UnmappedAction.KEEP:
        other = value
    elif field.map.unmapped.default is not None:
        other = literal(field.map.unmapped.default)
    mapped = f"CASE {value} {cases} ELSE {other} END" if pairs else other
    return [
        f"CASE WHEN {value} IS NOT NULL THEN {mapped} END AS {quote(f'm.{name}')}",
        f"{value} IS NOT NULL AND NOT ({is_mapped}) AS {quote(f'lost.{name}')}",
    ]


def _type_step(field: FieldProgram) -> list[str]:
    """The value in the type that the specification names, before it becomes the target's."""
    if field.declared is None or field.translation is not None:
        return []
    conversion = convert(quote(f"m.{field.name}"), field.mapped_type, field.declared, field.reading)
    return [
        f"{conversion.value} AS {quote(f'd.{field.name}')}",
        f"{conversion.reason or 'NULL::VARCHAR'} AS {quote(f's.{field.name}')}",
    ]


def _convert_step(field: FieldProgram) -> list[str]:
    name = field.name
    target = TEXT if field.is_raw else field.target
    declared = None if field.translation is not None else field.declared
    if declared is not None:
        conversion = convert(quote(f"d.{name}"), declared, target)
    else:
        reading = AS_WRITTEN if field.is_raw else field.reading
        conversion = convert(quote(f"m.{name}"), field.mapped_type, target, reading)
    reason = conversion.reason or "NULL::VARCHAR"
    if declared is not None:
        reason = f"coalesce({quote(f's.{name}')}, {reason})"
    return [f"{conversion.value} AS {quote(f'c.{name}')}", f"{reason} AS {quote(f'r.{name}')}"]


def _finish_step(field: FieldProgram) -> list[str]:
    name = field.name
    value, reason = quote(f"c.{name}"), quote(f"r.{name}")
    failed = f"coalesce({quote(f'fail.{name}')}, {reason})"
    values = field.value_map
    if values is not None and values.unmapped.action is UnmappedAction.REJECT:
        failed = (
            f"CASE WHEN {quote(f'fail.{name}')} IS NULL AND {quote(f'lost.{name}')}"
            f" THEN '{UNMAPPED}' ELSE {failed} END"
        )
    final = value
    if field.default is not None and field.translation is None:
        final = f"coalesce({value}, {field.default})"
    if field.required and not field.is_raw:
        failed = f"coalesce({failed}, CASE WHEN {final} IS NULL THEN '{MISSING}' END)"
    return [
        f"CASE WHEN {failed} IS NULL THEN {final} END AS {quote(f'x.{name}')}",
        f"{failed} AS {quote(f'f.{name}')}",
    ]
