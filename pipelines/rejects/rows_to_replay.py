"""Rejected rows for a replay: whether they can be judged again, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pipelines.databases.open_databases import Databases
from pipelines.ledger.replay_rows import RejectedPartition
from pipelines.ledger.reset_scope import command_to_reset
from pipelines.ledger.violation_filter import ViolationFilter
from pipelines.planning.refused_changes import other_rows
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.model.program import LoadProgram
from transforms.model.rejected_rows import RejectedLevel, RejectedRows


def refuse_unfit(
    databases: Databases, programs: Mapping[str, LoadProgram], loads: Sequence[str]
) -> None:
    """Refuse loads whose rows can't be judged again.

    Args:
        databases: The open sources and the target.
        programs: The compiled loads by name.
        loads: The loads with rows to be replayed.

    Raises:
        TransfuseError: USER-003 if the loads that they refer to aren't complete, and as
            ``refuse_unfindable`` raises.
    """
    specification = databases.specification
    # Those that an earlier replay was cut off before it had settled are settled in this one.
    done = databases.ledger.loads.read_done()
    needs = databases.needs
    problems = [
        specification.tables[load].problem(
            "it isn't complete, and only then what its rows refer to is known",
            code=ErrorCode.USER_003,
            remedy="let 'migrate' end first, or name other loads with --table",
        )
        for load in loads
        if load in programs and not done.issuperset([load, *needs[load]])
    ]
    problems += _unfindable(databases, programs, loads)
    if problems:
        raise TransfuseError(problems)


def refuse_unfindable(
    databases: Databases, programs: Mapping[str, LoadProgram], loads: Sequence[str]
) -> None:
    """Refuse loads whose rows can't be looked up in their source again.

    Args:
        databases: The open sources and the target.
        programs: The compiled loads by name.
        loads: The loads with rows to be looked up.

    Raises:
        TransfuseError: USER-003 if a load isn't in the specification any more, if its rows are
            read or identified in another way than when they were rejected, or if they have no key.
            SYS-005 if they are identified by their place in a source that was written to.
    """
    problems = _unfindable(databases, programs, loads)
    if problems:
        raise TransfuseError(problems)


def _unfindable(
    databases: Databases, programs: Mapping[str, LoadProgram], loads: Sequence[str]
) -> list[Problem]:
    specification = databases.specification
    ledger = databases.ledger
    stored = {one.load: one for one in ledger.loads.read_definitions()}
    problems = []
    for load in loads:
        if load not in programs:
            message = (
                "rows of this load were rejected, and the specification doesn't have it any more"
            )
            remedy = "bring it back, or name other loads with --table"
            problems.append(Problem(ErrorCode.USER_003, message, f"table {load}", remedy))
            continue
        program = programs[load]
        command = command_to_reset(databases.ledger, [load])
        problems += other_rows(specification, program, stored[load].definition, command)
        moved = databases.sources[program.source].rereading_problem(
            program, stored[load].source_state
        )
        if moved is not None:
            problems.append(replace(moved, remedy=f"{moved.remedy}: {command}"))
    return problems


def levels_of(
    databases: Databases,
    rejected: Sequence[RejectedPartition],
    wanted: ViolationFilter,
    cut_off: Collection[str] = (),
) -> list[RejectedLevel]:
    """Arrange rejected rows by the levels of their loads.

    Args:
        databases: The open sources and the target.
        rejected: The partitions with rejected rows; of these the rows with a source key are taken.
        wanted: The filter of the rows.
        cut_off: Loads that have only to be settled.

    Returns:
        The levels with rows or loads, the first one first.
    """
    ledger = databases.ledger
    partitions = {(p.load, p.id): p for p in ledger.partitions.read_all()}
    code = wanted.code and wanted.code.value
    rows: dict[str, list[RejectedRows]] = {load: [] for load in cut_off}
    for one in rejected:
        if one.rows:
            partition = partitions[one.load, one.partition]
            rows.setdefault(one.load, []).append(RejectedRows(partition, code, wanted.rule))
    levels: dict[int, list[str]] = {}
    for load, number in databases.levels.items():
        if load in rows:
            levels.setdefault(number, []).append(load)
    return [
        RejectedLevel(level, tuple(loads), tuple(p for load in loads for p in rows[load]))
        for level, loads in sorted(levels.items())
    ]
