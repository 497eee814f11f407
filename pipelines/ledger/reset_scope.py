"""Which loads a reset is about: those that are named, and all that rest on what they wrote.

Everything is read from the ledger, because the specification may have changed since.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.ledger_counts import LoadCounts
from pipelines.ledger.reset_command import reset_command
from pipelines.terminal.flag_check import closest
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.referring_tables import read_foreign_keys


@dataclass(frozen=True)
class StoredLoad:
    """A load as the ledger has it.

    ``into`` is its table as the specification spelled it, ``references`` are the loads or tables
    that its fields refer to, and ``placeholders`` how many parents it made for each load.
    ``rows`` are those that it wrote into its table, ``rows_before`` those that the table had.
    """

    name: str
    level: int
    into: str
    references: frozenset[str]
    has_run: bool
    rows: int
    inserted: int
    placeholders: Mapping[str, int]
    rows_before: int


def read_stored_loads(ledger: JobLedger) -> dict[str, StoredLoad]:
    """Read the loads of the job that are planned, by name, in the order in which they run."""
    counts = ledger.counts.read_loads()
    loads = {}
    for name, level, definition, rows_before in ledger.loads.read_order():
        load = definition["load"]
        count = counts.get(name, LoadCounts())
        loads[name] = StoredLoad(
            name=name,
            level=level,
            into=load["into"],
            references=frozenset(f["ref"] for f in load["fields"].values() if f.get("ref")),
            has_run=count.partitions_done > 0,
            rows=count.written,
            inserted=count.inserted,
            placeholders=count.placeholders,
            rows_before=rows_before,
        )
    return loads


def loads_to_reset(
    ledger: JobLedger, loads: Mapping[str, StoredLoad], named: Sequence[str]
) -> set[str]:
    """The named loads, or all, with dependent ones of which nothing is committed yet.

    Args:
        ledger: The job's.
        loads: Its planned loads, by name.
        named: The loads to reset; none means all.

    Returns:
        The names of the loads.

    Raises:
        TransfuseError: USER-001 for a load that the job doesn't have; USER-003 if loads that depend
            on a named one have run and aren't named. Nothing is changed (exit status 2).
    """
    if not named:
        return {*loads}
    unknown = [name for name in named if name not in loads]
    if unknown:
        raise TransfuseError([_unknown(name, loads) for name in unknown])
    chosen = with_dependents(ledger.connection, loads, named)
    lacking = sorted(name for name in chosen.difference(named) if loads[name].has_run)
    if lacking:
        command = reset_command(ledger.specification, [name for name in loads if name in chosen])
        raise TransfuseError(
            Problem(
                ErrorCode.USER_003,
                f"{', '.join(lacking)} rest on what {', '.join(named)} wrote, and have run",
                "--table",
                f"reset them together: {command}",
            )
        )
    return chosen


def command_to_reset(ledger: JobLedger, named: Collection[str]) -> str:
    """The command that resets some loads of the job, as few as possible, ready to be copied.

    Args:
        ledger: The job's.
        named: Loads of the job.

    Returns:
        The command, with ``--table`` unless all loads have to be reset.
    """
    loads = read_stored_loads(ledger)
    chosen = with_dependents(ledger.connection, loads, named)
    return reset_command(
        ledger.specification,
        [name for name in loads if name in chosen] if chosen < {*loads} else [],
    )


def _unknown(name: str, loads: Collection[str]) -> Problem:
    meant = closest(name, loads)
    listed = f"there are: {', '.join(loads)}" if loads else "nothing is planned yet"
    return Problem(
        ErrorCode.USER_001,
        f"the job has no load '{name}'",
        "--table",
        f"did you mean '{meant}'?" if meant else listed,
    )


def with_dependents(
    target: psycopg.Connection[Any], loads: Mapping[str, StoredLoad], named: Collection[str]
) -> set[str]:
    """The named loads, and all that have to be reset with them.

    Those are the loads that refer to rows of their tables, by the specification or by a foreign
    key, and later ones into the same table; and the loads for which placeholders were made,
    which others may refer to.
    """
    keys = read_foreign_keys(target, sorted({load.into for load in loads.values()}))
    chosen: set[str] = set()
    waiting = [name for name in named if name in loads]
    while waiting:
        parent = loads[waiting.pop()]
        if parent.name in chosen:
            continue
        chosen.add(parent.name)
        alike = {load.name for load in loads.values() if load.into == parent.into}
        waiting += [
            child.name
            for child in loads.values()
            if child.references & {*alike, parent.into}
            or (child.into, parent.into) in keys
            or (child.into == parent.into and child.level > parent.level)
        ]
        waiting += [name for name in parent.placeholders if name in loads]
    return chosen
