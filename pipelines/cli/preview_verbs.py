"""Verbs that look and change nothing.

Each verb reads the specification first, and imports only what it needs: importing Beam takes a
second, and a specification that is wrong needs none of it.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pipelines.cli.read_arguments import read
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.resources.memory_limits import refuse_too_little_memory

if TYPE_CHECKING:
    pass


def plan(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed, defer_fields=True)
    refuse_too_little_memory(workers=0)
    from pipelines.cli.reports.plan_report import print_plan
    from pipelines.preview.plan import plan as predict
    from pipelines.preview.plan_scope import PlanScope

    predicted = predict(specification, PlanScope.of(parsed.full, parsed.sample, parsed.table))
    print_plan(predicted, parsed.json)
    return int(predicted.status)


def doctor(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed, defer_fields=True)
    refuse_too_little_memory(workers=0)
    from pipelines.cli.reports.doctor_report import print_diagnosis
    from pipelines.doctor.diagnose import run_doctor

    diagnosis = run_doctor(specification, parsed.deep)
    print_diagnosis(diagnosis, parsed.json)
    return int(diagnosis.status)


def try_row(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed, defer_fields=True)
    refuse_too_little_memory(workers=0)
    row = _row_text(parsed)
    from pipelines.cli.reports.trial_report import print_trial
    from pipelines.preview.try_row import try_row as try_one

    print_trial(try_one(specification, parsed.load, parsed.key, row), parsed.json)
    return int(ExitStatus.COMPLETE)


def _row_text(parsed: argparse.Namespace) -> str | None:
    """The text of the row, from the argument or stdin; None where a key is given instead."""
    if parsed.key is not None and parsed.row is None:
        return None
    if parsed.key is not None:
        raise TransfuseError(Problem(ErrorCode.USER_001, "give either --key or a row, not both"))
    if parsed.row is None and sys.stdin.isatty():
        remedy = "give --key K, or the row as JSON, as argument or on stdin"
        raise TransfuseError(Problem(ErrorCode.USER_001, "no row is given", remedy=remedy))
    return sys.stdin.read() if parsed.row is None else str(parsed.row)


def rules(parsed: argparse.Namespace, _: list[str]) -> int:
    from pipelines.cli.reports.rules_report import print_rule, print_rules
    from pipelines.preview import rules as ready

    if parsed.name is None:
        print_rules(ready.rules(), parsed.json)
    else:
        (rule,) = ready.rules(parsed.name)
        print_rule(rule, parsed.json)
    return int(ExitStatus.COMPLETE)


def version(parsed: argparse.Namespace, _: list[str]) -> int:
    from pipelines.cli.reports.version_report import print_versions
    from pipelines.terminal.installed_version import installed_versions

    print_versions(installed_versions(), parsed.json)
    return int(ExitStatus.COMPLETE)
