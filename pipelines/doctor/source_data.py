"""Data of the sources: the rejections and warnings that a migration would record for them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pipelines.databases.open_databases import Databases
from pipelines.doctor.health_finding import (
    HealthFact,
    Observation,
    advise,
    warn,
)
from pipelines.doctor.recent_errors import verb_command
from pipelines.maps.decided_maps import read_decided_maps
from pipelines.maps.run_contexts import run_context
from pipelines.preview.migration_plan import PlannedLoad
from pipelines.preview.plan import plan_loads
from pipelines.preview.plan_scope import PlanScope
from schemas.code_maps.lookup_table import LookupTable
from schemas.errors import ErrorCode
from schemas.remedies import remedy_of
from transforms.model.program import LoadProgram


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
        yield warn(problem.code, problem.where, problem.message, problem.remedy)


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
