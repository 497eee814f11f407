"""Decisions on codes as ``code_mappings`` keeps them: what is in force, and how more are added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
from psycopg import sql

from pipelines.ledger.job import control_table
from pipelines.maps.run_contexts import with_site_decisions
from schemas.code_maps.code_system import CodeSystem
from schemas.code_maps.gem import GemMap
from schemas.code_maps.outcomes import site_outcomes
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import normalise
from schemas.code_maps.translation import Notation
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.mapping.loaded_maps import site_table
from transforms.model.run_context import GemUse


@dataclass(frozen=True)
class DecidedMap:
    """A map, its notation, and what releases say of the codes that it leads from and to."""

    gem: GemMap
    notation: str
    case: bool
    of_source: Mapping[str, str]
    of_target: Mapping[str, str]


class DecisionRow(NamedTuple):
    """A row of ``code_mappings`` to be, the form in which its code is looked up, and its target
    without a dot."""

    map: str
    looked_up: str
    source: str
    target: str | None
    description: str | None
    undotted: str | None

    def decided(self, maps: Mapping[str, DecidedMap]) -> tuple[str, str, str]:
        """What is decided on: the systems and the code. Maps between them share decisions."""
        gem = maps[self.map].gem
        return gem.source.names[0], gem.target.names[0], self.looked_up


Targets = Mapping[tuple[str, str, str], list[str | None]]
"""By ``DecisionRow.decided`` the targets without dots."""


class StoredDecisions(NamedTuple):
    """The decisions that were stored (``DecisionRow.decided``), how many were in force already, and
    what was in force before."""

    fresh: tuple[tuple[str, str, str], ...]
    unchanged: int
    before: Targets


def looked_up(code: str, system: CodeSystem, case: bool) -> str:
    """A code as it is looked up: without dot and blanks, in capitals if ``case`` is repaired."""
    return str(normalise(pa.array([code], pa.string()), system, case)[0].as_py())


def store(
    connection: psycopg.Connection[Any],
    specification: Specification,
    maps: Mapping[str, DecidedMap],
    rows: list[DecisionRow],
) -> StoredDecisions:
    """Stores the decisions on codes that aren't in force already, and says which.

    In the caller's transaction. Raises TransfuseError (USER-003) where a table that the site has
    made lacks columns, refuses the rows, or holds others that would stay in force.
    """
    table = control_table(specification, "code_mappings")
    _refuse_lacking(connection, table)
    decisions: dict[tuple[str, str, str], dict[str | None, DecisionRow]] = {}
    for row in rows:
        decisions.setdefault(row.decided(maps), {}).setdefault(row.undotted, row)
    in_force = decisions_in_force(connection, specification, maps)
    fresh = {
        decided: by_target
        for decided, by_target in decisions.items()
        if in_force.get(decided) != list(by_target)
    }
    _insert(connection, table, fresh)
    stored = decisions_in_force(connection, specification, maps)
    if any(stored.get(decided) != list(by_target) for decided, by_target in fresh.items()):
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                "a decision that is stored there now wouldn't be in force: other rows count as"
                " decided later, or at the same time",
                f"table {table.as_string()}",
                "give decided_at the type timestamptz, and take back dates that lie in the future",
            )
        )
    return StoredDecisions(tuple(fresh), len(decisions) - len(fresh), in_force)


def _insert(
    connection: psycopg.Connection[Any],
    table: sql.Identifier,
    decisions: Mapping[tuple[str, str, str], Mapping[str | None, DecisionRow]],
) -> None:
    """Inserts the rows of the decisions. Raises TransfuseError: USER-003 where the table refuses
    them."""
    try:
        with connection.cursor() as cursor:
            cursor.executemany(
                sql.SQL(
                    "INSERT INTO {} (source_system, target_system, source_code, target_code,"
                    " description, decided_at) VALUES (%s, %s, %s, %s, %s, now())"
                ).format(table),
                [
                    (*decided[:2], row.source, row.target, row.description)
                    for decided, by_target in decisions.items()
                    for row in by_target.values()
                ],
            )
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        named = error.diag.constraint_name or error.diag.column_name
        told = f"it refuses the decisions (SQLSTATE {error.sqlstate})"
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                told + (f", because of {named}" if named else ""),
                f"table {table.as_string()}",
                "let it take texts of any length, and several rows of one code",
            )
        ) from None


def decisions_in_force(
    connection: psycopg.Connection[Any],
    specification: Specification,
    maps: Mapping[str, DecidedMap],
) -> Targets:
    """The targets without dots of each code that is decided, by ``DecisionRow.decided``."""
    uses = {name: GemUse(m.gem, GemPolicy(), Notation.AS_SOURCE) for name, m in maps.items()}
    return {
        (gem.source.names[0], gem.target.names[0], code): [
            _undotted(row.undotted, gem.target) for row in outcome.rows
        ]
        for name, use in with_site_decisions(connection, specification, uses).items()
        for gem in [use.gem]
        for code, outcome in site_outcomes(
            site_table(use.site), gem.source, maps[name].case, gem.target
        ).items()
    }


def _undotted(target: str | None, system: CodeSystem) -> str | None:
    return None if target is None else looked_up(target, system, True)


def _refuse_lacking(connection: psycopg.Connection[Any], table: sql.Identifier) -> None:
    """Raises TransfuseError (USER-003) where a table that the site has made lacks what is needed
    to take a decision back by a later one."""
    known = connection.execute(
        "SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = to_regclass(%s)"
        " AND attnum > 0 AND NOT attisdropped",
        [table.as_string()],
    ).fetchone()
    lacking = [name for name in _NEEDED if known is None or name not in (known[0] or ())]
    if lacking:
        added = ", ".join(f"ADD {name} {_NEEDED[name]}" for name in lacking)
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                f"it has no column {' and no column '.join(lacking)}",
                f"table {table.as_string()}",
                f"ALTER TABLE {table.as_string()} {added}",
            )
        )


_NEEDED = {
    **dict.fromkeys(("source_system", "target_system", "source_code", "target_code"), "text"),
    "description": "text",
    "decided_at": "timestamptz NOT NULL DEFAULT now()",
}
"""The columns of ``code_mappings`` that a decision is written into."""
