"""Maps of codes whose content has changed since a job began, and what is refused of it.

A load that is written in part would go on with other codes: one diagnosis would have two names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

from pipelines.job import control_table
from pipelines.reset_scope import command_to_reset
from schemas.code_maps.outcomes import map_outcomes, site_outcomes
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.mapping.maps import site_table
from transforms.run_context import GemUse

Decisions = Mapping[str, Mapping[str, list[str | None]]]
"""By map and source code the targets that the site has decided on."""


def decisions_of(maps: Mapping[str, GemUse]) -> Decisions:
    """The decisions that are in force, as the job's row keeps them."""
    return {
        name: {
            code: [row.undotted for row in outcome.rows]
            for code, outcome in site_outcomes(
                site_table(use.site), use.gem.source, use.repair.case, use.gem.target
            ).items()
        }
        for name, use in maps.items()
    }


def refuse_other_maps(
    target: psycopg.Connection[Any],
    specification: Specification,
    labels: Mapping[str, str],
    maps: Mapping[str, GemUse],
) -> None:
    """Raises TransfuseError (USER-003) where a load would go on with the codes of another file, or
    with other decisions of the site on codes of which rows may be written.

    ``labels`` tell the maps of this run by name and content, as ``GemUse.label`` does; ``maps``
    have the decisions. A decision on a code whose rows were all rejected changes nothing that is
    written.
    """
    rows = target.execute(
        sql.SQL(
            "SELECT j.maps, j.decisions, p.load FROM {} j JOIN {} p USING (job_id)"
            " WHERE job_id = %s GROUP BY 1, 2, 3"
            " HAVING bool_or(p.state = 'done') AND bool_or(p.state <> 'done') ORDER BY 3"
        ).format(
            control_table(specification, "migration_jobs"),
            control_table(specification, "migration_partitions"),
        ),
        [specification.job],
    ).fetchall()
    now = decisions_of(maps)
    problems: list[Problem] = []
    command = command_to_reset(target, specification, [load for *_, load in rows])
    for known, decided, load in rows:
        fields = specification.tables[load].fields if load in specification.tables else {}
        used = {f.map for f in fields.values()}
        for name, label in labels.items():
            if name not in used:
                continue
            if known.get(name, label) != label:
                problems.append(
                    specification.maps[name].problem(
                        f"rows of {load} are written already with {known[name]}, and this is"
                        f" {label}",
                        code=ErrorCode.USER_003,
                        remedy="bring the earlier file back, or remove what is written and start"
                        f" over: {command}",
                    )
                )
            changed = list(_changed(maps[name], decided.get(name, {}), now[name]))
            if changed:
                problems.append(
                    specification.maps[name].problem(
                        f"rows of {load} may be written already with other targets of"
                        f" {', '.join(changed[:_SHOWN])}"
                        + (f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else "")
                        + ", which have been decided on since",
                        code=ErrorCode.USER_003,
                        remedy="take these decisions back until the load is complete, or remove"
                        f" what is written and start over: {command}",
                    )
                )
    if problems:
        raise TransfuseError(problems)


_SHOWN = 5


def _changed(
    use: GemUse, before: Mapping[str, list[str | None]], now: Mapping[str, list[str | None]]
) -> Iterator[str]:
    """The codes that are translated otherwise than before, but for those that were rejected."""
    different = [code for code in {**before, **now} if before.get(code) != now.get(code)]
    by_map = map_outcomes(use.gem, use.policy, use.check) if different else {}
    for code in different:
        outcome = by_map.get(code)
        if code in before or (outcome is not None and outcome.rejected is None):
            yield code
