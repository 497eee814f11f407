"""Decisions on codes that contradict themselves: a target, and that there is none.

``codes import`` takes none of them. Who writes ``code_mappings`` by SQL is told before a row is
written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
from psycopg import sql

from pipelines.ledger.job import control_table
from schemas.code_maps.code_system import CodeSystem
from schemas.code_maps.spelling import normalise
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.model.run_context import GemUse

_SHOWN = 5


class _Row(NamedTuple):
    """A row of ``code_mappings``; ``name`` is what ``GemUse.site`` calls its decision."""

    source: CodeSystem
    target: CodeSystem
    code: str
    target_code: str | None
    name: str | None


def refuse_contradictions(
    target: psycopg.Connection[Any], specification: Specification, maps: Mapping[str, GemUse]
) -> None:
    """Refuses a decision that a code has a target and has none; ``maps`` have the decisions.

    Raises:
        TransfuseError: USER-003 with the statements of which one has to be run.
    """
    codes: dict[str, None] = {}
    with_target: dict[_Row, None] = {}
    without: dict[_Row, None] = {}
    for use in maps.values():
        for code, rows in _decisions_in_force(use):
            if len({row.target_code is None for row in rows}) > 1:
                codes.setdefault(use.gem.source.with_dot(code))
                for row in rows:
                    (without if row.target_code is None else with_target).setdefault(row)
    if not codes:
        return
    more = f" and {len(codes) - _SHOWN} more" if len(codes) > _SHOWN else ""
    table = control_table(specification, "code_mappings")
    raise TransfuseError(
        Problem(
            ErrorCode.USER_003,
            "one decision says of a code that it has a target, and that it has none:"
            f" {', '.join(list(codes)[:_SHOWN])}{more}",
            f"table {table.as_string()}",
            f"keep the targets: {_removal(target, table, list(without))};"
            f" or keep that there is none: {_removal(target, table, list(with_target))};",
        )
    )


def _decisions_in_force(use: GemUse) -> Iterator[tuple[str, list[_Row]]]:
    """Each code with the rows of its last decision."""
    written = pa.array([source for source, *_ in use.site], pa.string())
    codes = normalise(written, use.gem.source, use.repair.case).to_pylist()
    newest: dict[str, int] = {}
    for code, (_, _, decision, _) in zip(codes, use.site, strict=True):
        newest[code] = max(decision, newest.get(code, decision))
    found: dict[str, list[_Row]] = {}
    for code, (source, target, decision, name) in zip(codes, use.site, strict=True):
        if decision == newest[code]:
            row = _Row(use.gem.source, use.gem.target, source, target, name)
            found.setdefault(code, []).append(row)
    yield from found.items()


def _removal(target: psycopg.Connection[Any], table: sql.Identifier, rows: Sequence[_Row]) -> str:
    """The statement that removes these rows: by their ``id``, else by all that tells them."""
    known = target.execute(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(%s)"
        " AND attnum > 0 AND NOT attisdropped",
        [table.as_string()],
    ).fetchall()
    columns = {name for (name,) in known}
    begin = sql.SQL("DELETE FROM {} WHERE ").format(table)
    if "id" in columns and not _lacks_ids(target, table):
        names = sql.SQL(", ").join(sql.Literal(row.name) for row in rows)
        return (begin + sql.SQL("id IN ({})").format(names)).as_string(target)
    is_dated = "decided_at" in columns and "id" not in columns
    told = sql.SQL(" OR ").join(_condition(row, is_dated) for row in rows)
    return (begin + told).as_string(target)


def _lacks_ids(target: psycopg.Connection[Any], table: sql.Identifier) -> bool:
    query = sql.SQL("SELECT FROM {} WHERE id IS NULL LIMIT 1").format(table)
    return target.execute(query).fetchone() is not None


def _condition(row: _Row, is_dated: bool) -> sql.Composed:
    terms = [
        _is_system("source_system", row.source),
        _is_system("target_system", row.target),
        sql.SQL("source_code = {}").format(sql.Literal(row.code)),
        sql.SQL("coalesce(target_code, '') !~ '\\S'")
        if row.target_code is None
        else sql.SQL("target_code = {}").format(sql.Literal(row.target_code)),
    ]
    if is_dated:
        dated = sql.SQL("decided_at IS NOT DISTINCT FROM {}").format(sql.Literal(row.name))
        terms.append(dated)
    return sql.SQL("({})").format(sql.SQL(" AND ").join(terms))


def _is_system(column: str, system: CodeSystem) -> sql.Composed:
    return sql.SQL("upper(regexp_replace({}, '[^A-Za-z0-9]', '', 'g')) IN ({})").format(
        sql.Identifier(column), sql.SQL(", ").join(map(sql.Literal, system.names))
    )
