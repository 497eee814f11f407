"""Verbs that run a job, and that look at it and steer it while it runs.

Each verb reads the specification first, and imports only what it needs: importing Beam takes a
second, and a specification that is wrong needs none of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from pipelines.cli.read_arguments import read, refuse_unusable_flags
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

if TYPE_CHECKING:
    from schemas.specification.root import Specification


def migrate(parsed: argparse.Namespace, flags: list[str]) -> int:
    specification = read(parsed, defer_fields=True)
    from pipelines.cli.console_observer import ConsoleObserver
    from pipelines.cli.reports.migrate_report import print_run
    from pipelines.run.migrate import migrate as run

    refuse_unusable_flags(flags, specification)
    observer = ConsoleObserver()
    outcome = run(specification, flags, parsed.table, parsed.accept_changes, observer)
    print_run(outcome, parsed.table, parsed.json)
    return int(outcome.status)


def status(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.status_report import print_status, print_watched_status
    from pipelines.watch import status as job

    if parsed.watch:
        with closing(job.watch_status(specification)) as statuses:
            print_watched_status(statuses, parsed.json)
    else:
        print_status(job.status(specification), parsed.json)
    return int(ExitStatus.COMPLETE)


def pause(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.control_report import print_control
    from pipelines.watch import control

    print_control(control.pause(specification), parsed.json)
    return int(ExitStatus.COMPLETE)


def resume(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.control_report import print_control
    from pipelines.watch import control

    print_control(control.resume(specification, parsed.table), parsed.json)
    return int(ExitStatus.COMPLETE)


def stop(parsed: argparse.Namespace, _: list[str]) -> int:
    if parsed.emergency != bool(parsed.reason) or (parsed.table and not parsed.emergency):
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                "--emergency and --reason belong together, and --table is for these only",
                "stop",
                f"transfuse stop {parsed.specification} --emergency --reason 'TEXT'",
            )
        )
    specification = read(parsed)
    if parsed.emergency:
        return _stop_at_once(parsed, specification)
    from pipelines.cli.reports.control_report import print_control
    from pipelines.watch import control

    print_control(control.stop(specification), parsed.json)
    return int(ExitStatus.COMPLETE)


def _stop_at_once(parsed: argparse.Namespace, specification: Specification) -> int:
    import shlex

    from pipelines.cli.reports.emergency_report import print_emergency
    from pipelines.watch.emergency import emergency_stop

    result = emergency_stop(specification, parsed.reason, parsed.table)
    print_emergency(result, shlex.quote(str(parsed.specification)), parsed.json)
    return int(ExitStatus.COMPLETE)


def reset(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed, defer_fields=True)
    from pipelines.cli.reports.reset_report import print_reset, reset_question
    from pipelines.removal.reset import reset as remove
    from pipelines.removal.reset import survey_reset
    from pipelines.terminal.confirmation import can_ask, is_confirmed

    if not parsed.yes:
        survey = survey_reset(specification, parsed.table)
        if not can_ask():
            raise TransfuseError(_confirmation_problem(specification, parsed.table))
        if not is_confirmed(reset_question(specification.job, parsed.table, survey)):
            from pipelines.terminal.console import stderr

            stderr().print("Nothing was changed.")
            return int(ExitStatus.STOPPED)
    print_reset(specification, remove(specification, parsed.table), parsed.json)
    return int(ExitStatus.COMPLETE)


def _confirmation_problem(specification: Specification, loads: Sequence[str]) -> Problem:
    from pipelines.ledger.reset_command import reset_command

    return Problem(
        ErrorCode.USER_001,
        "rows are only deleted where somebody confirms it, and nobody can be asked here",
        "stdin",
        f"confirm it beforehand: {reset_command(specification, loads)} --yes",
    )
