"""The decisions on codes in ``code_mappings``: read as they are in force, and stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
import pyarrow as pa

from pipelines.ledger.decision_rows import DecisionRows, NewDecision
from pipelines.ledger.job_ledger import JobLedger
from pipelines.maps.site_decisions import add_site_decisions
from schemas.code_maps.code_system import CodeSystem
from schemas.code_maps.gem import GemMap
from schemas.code_maps.outcomes import site_outcomes
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import normalise
from schemas.code_maps.translation import Notation
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.mapping.loaded_maps import site_table
from transforms.model.run_context import GemUse


@dataclass(frozen=True)
class DecidedMap:
    """A map of codes on which decisions are made.

    Attributes:
        gem: The GEM.
        notation: How its targets are written.
        case: Whether codes are looked up in capitals.
        of_source: Descriptions of source codes, by code.
        of_target: Descriptions of the targets' codes in their release, by code.
    """

    gem: GemMap
    notation: str
    case: bool
    of_source: Mapping[str, str]
    of_target: Mapping[str, str]


class DecisionRow(NamedTuple):
    """A decision on a code, to become a row of ``code_mappings``.

    Attributes:
        map: The map.
        looked_up: The code in the form in which it is looked up.
        source: The code as it is written.
        target: Its target as it is written; None for no target.
        description: The code's description.
        undotted: The target without a dot.
    """

    map: str
    looked_up: str
    source: str
    target: str | None
    description: str | None
    undotted: str | None

    def shared_by(self, maps: Mapping[str, DecidedMap]) -> tuple[str, str, str]:
        """Both systems and the code, by which maps between these systems share decisions."""
        gem = maps[self.map].gem
        return gem.source.names[0], gem.target.names[0], self.looked_up


Targets = Mapping[tuple[str, str, str], list[str | None]]
"""The targets without dots, by ``DecisionRow.decided``."""


class StoredDecisions(NamedTuple):
    """The result of storing decisions.

    Attributes:
        fresh: Those that were stored, as ``DecisionRow.decided`` has them.
        unchanged: How many were in force already.
        before: The decisions that were in force before.
    """

    fresh: tuple[tuple[str, str, str], ...]
    unchanged: int
    before: Targets


def looked_up(code: str, system: CodeSystem, case: bool) -> str:
    """A code as it is looked up: without dot and blanks, in capitals if ``case`` is repaired."""
    return str(normalise(pa.array([code], pa.string()), system, case)[0].as_py())


def store_decisions(
    ledger: JobLedger, maps: Mapping[str, DecidedMap], rows: list[DecisionRow]
) -> StoredDecisions:
    """Store the decisions on codes that aren't in force already, in the caller's transaction.

    Args:
        ledger: That of a job of the control schema.
        maps: The maps that the decisions are about.
        rows: The decisions.

    Returns:
        The decisions that were stored, and those that were in force before.

    Raises:
        TransfuseError: USER-003 if a table that the site has made lacks columns, refuses the rows,
            or has others that would stay in force.
    """
    table = ledger.decisions
    _refuse_lacking(table)
    decisions: dict[tuple[str, str, str], dict[str | None, DecisionRow]] = {}
    for row in rows:
        decisions.setdefault(row.shared_by(maps), {}).setdefault(row.undotted, row)
    in_force = decisions_in_force(ledger, maps)
    fresh = {
        decided: by_target
        for decided, by_target in decisions.items()
        if in_force.get(decided) != list(by_target)
    }
    _insert(table, fresh)
    stored = decisions_in_force(ledger, maps)
    if any(stored.get(decided) != list(by_target) for decided, by_target in fresh.items()):
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                "a decision that is stored there now wouldn't be in force: other rows count as"
                " decided later, or at the same time",
                table.place,
                "give decided_at the type timestamptz, and take back dates that lie in the future",
            )
        )
    return StoredDecisions(tuple(fresh), len(decisions) - len(fresh), in_force)


def _insert(
    table: DecisionRows,
    decisions: Mapping[tuple[str, str, str], Mapping[str | None, DecisionRow]],
) -> None:
    """Insert the rows of the decisions. Raises TransfuseError (USER-003) if the table refuses
    them."""
    try:
        table.insert(
            NewDecision(*decided[:2], row.source, row.target, row.description)
            for decided, by_target in decisions.items()
            for row in by_target.values()
        )
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        cause = error.diag.constraint_name or error.diag.column_name
        message = f"it refuses the decisions (SQLSTATE {error.sqlstate})"
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                message + (f", because of {cause}" if cause else ""),
                table.place,
                "let it take texts of any length, and several rows of one code",
            )
        ) from None


def decisions_in_force(ledger: JobLedger, maps: Mapping[str, DecidedMap]) -> Targets:
    """Read the targets without dots of each code that is decided, by ``DecisionRow.decided``."""
    uses = {name: GemUse(m.gem, GemPolicy(), Notation.AS_SOURCE) for name, m in maps.items()}
    return {
        (gem.source.names[0], gem.target.names[0], code): [
            _without_dot(row.undotted, gem.target) for row in outcome.rows
        ]
        for name, use in add_site_decisions(ledger, uses).items()
        for gem in [use.gem]
        for code, outcome in site_outcomes(
            site_table(use.site), gem.source, maps[name].case, gem.target
        ).items()
    }


def _without_dot(target: str | None, system: CodeSystem) -> str | None:
    return None if target is None else looked_up(target, system, True)


def _refuse_lacking(table: DecisionRows) -> None:
    """Raises TransfuseError (USER-003) if a table that the site has made lacks a column that is
    needed to take a decision back by a later one."""
    columns = table.read_columns()
    lacking = [name for name in _NEEDED if name not in columns]
    if lacking:
        added = ", ".join(f"ADD {name} {_NEEDED[name]}" for name in lacking)
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                f"it has no column {' and no column '.join(lacking)}",
                table.place,
                f"ALTER TABLE {table.table} {added}",
            )
        )


_NEEDED = {
    **dict.fromkeys(("source_system", "target_system", "source_code", "target_code"), "text"),
    "description": "text",
    "decided_at": "timestamptz NOT NULL DEFAULT now()",
}
"""The columns of ``code_mappings`` that a decision is written into."""
