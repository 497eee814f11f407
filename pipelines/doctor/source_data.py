"""Data of the sources: the rejections and warnings that a migration would record for them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pipelines.databases.open_databases import Databases
from pipelines.doctor.health_finding import (
    FindingLevel,
    HealthFact,
    Observation,
    advise,
    finding_of,
    warn,
)
from pipelines.doctor.recent_errors import verb_command
from pipelines.maps.decided_maps import read_decided_maps
from pipelines.maps.run_contexts import run_context
from pipelines.preview.migration_plan import PlannedLoad
from pipelines.preview.plan import plan_loads
from pipelines.preview.plan_scope import PlanScope
from schemas.code_maps.lookup_table import LookupTable
from schemas.errors import ErrorCode, Problem
from schemas.remedies import remedy_of
from schemas.specification.root import Specification
from transforms.model.program import LoadProgram

_CANCELED = "SQLSTATE 57014"
_LOCKED = "SQLSTATE 55P03"
"""The signs of statements that took longer, or waited longer, than the diagnosis allows."""


def examine_data(
    databases: Databases,
    programs: Mapping[str, LoadProgram],
    lookups: Mapping[str, LookupTable],
    scope: PlanScope,
) -> Iterator[Observation]:
    """Predict from rows of the sources what a migration would reject, as ``plan`` does.

    Args:
        databases: The open databases.
        programs: All loads, compiled.
        lookups: The lookup tables by name.
        scope: How many rows of each load are read, and until when.

    Yields:
        Facts; a warning for each load, code and rule that rejects rows, and advice for those that
        only warn. No value of a row.

    Raises:
        TransfuseError: A source can't give its rows.
    """
    maps = read_decided_maps(databases, programs)
    context = replace(run_context(databases, programs, maps, lookups), verb="doctor")
    plan = plan_loads(databases, context, scope)
    specification = databases.specification
    for name, load in plan.loads.items():
        yield HealthFact(f"load {name}", "source rows", load.rows)
        yield HealthFact(f"load {name}", "rows looked at", load.sampled)
        yield from _examine_load(name, load)
    left_out = [name for name in programs if name not in plan.loads]
    if left_out:
        yield HealthFact("data", "loads not looked at", ", ".join(left_out))
    for broken in plan.broken:
        yield warn(
            ErrorCode.DATA_005,
            f"table {broken.load}",
            f"the error budget would be broken: about {broken.rejected:,} of"
            f" {broken.candidates:,} rows would be rejected",
            f"{verb_command('plan', specification)} --table {shlex.quote(broken.load)}",
        )
    for problem in plan.problems:
        yield _finding_of_load(specification, problem)


def _examine_load(name: str, load: PlannedLoad) -> Iterator[Observation]:
    about = "" if load.sampled == load.rows else "about "
    for kind, rows in load.estimated_kinds.items():
        place = f"table {name}" + (f", field {kind.field}" if kind.field else "")
        reason = f", {kind.reason}" if kind.reason else ""
        effect = "get a warning" if kind.warning else "be rejected"
        make = advise if kind.warning else warn
        yield make(
            ErrorCode(kind.code),
            place,
            f"{about}{rows:,} of {load.rows:,} source rows would {effect} ({kind.rule}{reason})",
            remedy_of(kind.code, kind.rule, kind.field, kind.reason),
        )


def _finding_of_load(specification: Specification, problem: Problem) -> Observation:
    """The reason why a load's rows couldn't be looked at."""
    if _CANCELED in problem.message:
        reason = "the source needs more time for its rows than a diagnosis has"
        fix = f"{verb_command('doctor', specification)} --deep"
        return advise(ErrorCode.SYS_002, problem.where, reason, fix)
    if _LOCKED in problem.message:
        reason = "another session's lock kept its rows from being looked at"
        fix = verb_command("doctor", specification)
        return advise(ErrorCode.SYS_005, problem.where, reason, fix)
    return finding_of(problem, FindingLevel.WARNING)
