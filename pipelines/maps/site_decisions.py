"""The GEMs of loads with the site's own decisions on codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipelines.ledger.job_ledger import JobLedger
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.model.run_context import GemUse

DECIDED_ON = ("source_system", "target_system", "source_code", "target_code")
"""The columns without which ``code_mappings`` has no decisions."""


def add_site_decisions(ledger: JobLedger, maps: Mapping[str, GemUse]) -> dict[str, GemUse]:
    """Add the site's rows of ``code_mappings`` to maps, where they win over the files.

    A map gets the rows from its source system to its target system (``CodeSystem.names``, however
    spelled). The rows of a code that were decided last are one decision, and earlier ones are taken
    back. A row is named by its ``id``, or else by when it was decided. A site that makes the table
    before the first run needs none of its columns but systems and codes; without a number as
    ``id`` rows count as stored, and without ``decided_at`` all of them as one decision.

    Args:
        ledger: The job's.
        maps: The maps by name.

    Returns:
        The maps with the decisions; as they are where there is no such table yet.

    Raises:
        TransfuseError: USER-003 if the table lacks one of these columns.
    """
    decisions = ledger.decisions
    if not decisions.has_table():
        return dict(maps)
    columns = decisions.read_columns()
    lacking = [name for name in DECIDED_ON if name not in columns]
    if lacking:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                f"it has no column {' and no column '.join(lacking)}",
                decisions.place,
                f"ALTER TABLE {decisions.table} {', '.join(f'ADD {n} text' for n in lacking)}",
            )
        )
    lines = decisions.read(is_dated=columns.get("decided_at", False))
    return {
        name: replace(
            use,
            site=tuple(
                (line.source, line.target, line.decision, line.name)
                for line in lines
                if line.source_system in use.gem.source.names
                and line.target_system in use.gem.target.names
            ),
        )
        for name, use in maps.items()
    }
