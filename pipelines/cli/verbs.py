"""What the verbs do: each reads the specification first, and imports only what it needs.

Importing Beam takes a second, and a specification that is wrong needs none of it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.resources.memory_limits import refuse_too_little_memory

if TYPE_CHECKING:
    from pipelines.ledger.violation_filter import ViolationFilter
    from schemas.specification.root import Specification


def read(parsed: argparse.Namespace, defer_fields: bool = False) -> Specification:
    """The specification that the arguments name, with variables and job as they say.

    ``defer_fields`` as in ``read_specification``: for verbs that compile every load.
    """
    from schemas.specification.reading import read_specification

    variables = dict(os.environ)
    for given in parsed.var:
        name, equals, value = given.partition("=")
        if not equals or not name:
            # Not what was written: it may be a URL with its password.
            problem = Problem(
                ErrorCode.USER_001, "--var takes NAME=VALUE", "", "write --var NAME=VALUE"
            )
            raise TransfuseError(problem)
        variables[name] = value
    return read_specification(parsed.specification, variables, parsed.job, defer_fields)


def migrate(parsed: argparse.Namespace, flags: list[str]) -> int:
    specification = read(parsed, defer_fields=True)
    from pipelines.cli.reports.migrate_report import print_run
    from pipelines.run.migrate import migrate as run

    _judge(flags, specification)
    outcome = run(specification, flags, parsed.table, parsed.accept_changes)
    print_run(outcome, parsed.table, parsed.json)
    return int(outcome.status)


def _judge(flags: list[str], specification: Specification) -> None:
    """Refuses flags that the run couldn't use, on a job that has nothing left to do as well."""
    if not flags:
        return
    from pipelines.engines.runner import pipeline_of
    from pipelines.maps.run_contexts import most_workers, workers_of

    pipeline_of(flags, workers_of(specification), most_workers(specification))


def plan(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed, defer_fields=True)
    refuse_too_little_memory(workers=0)
    from pipelines.cli.reports.plan_report import print_plan
    from pipelines.preview.plan import plan as predict
    from pipelines.preview.plan_scope import PlanScope

    predicted = predict(specification, PlanScope.of(parsed.full, parsed.sample, parsed.table))
    print_plan(predicted, parsed.json)
    return int(predicted.status)


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

    print_control(control.resume(specification), parsed.json)
    return int(ExitStatus.COMPLETE)


def stop(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.control_report import print_control
    from pipelines.watch import control

    print_control(control.stop(specification), parsed.json)
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
            raise TransfuseError(_unconfirmed(specification, parsed.table))
        if not is_confirmed(reset_question(specification.job, parsed.table, survey)):
            from pipelines.terminal.console import stderr

            stderr().print("Nothing was changed.")
            return int(ExitStatus.STOPPED)
    print_reset(specification, remove(specification, parsed.table), parsed.json)
    return int(ExitStatus.COMPLETE)


def _unconfirmed(specification: Specification, loads: Sequence[str]) -> Problem:
    from pipelines.ledger.reset_command import reset_command

    return Problem(
        ErrorCode.USER_001,
        "rows are only deleted where somebody confirms it, and nobody can be asked here",
        "stdin",
        f"confirm it beforehand: {reset_command(specification, loads)} --yes",
    )


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


def rejects_list(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.reject_list_report import print_reject_list
    from pipelines.rejects.reject_list import list_rejects

    wanted = _filter(specification, parsed)
    print_reject_list(list_rejects(specification, wanted), wanted.code, parsed.json)
    return int(ExitStatus.COMPLETE)


def rejects_show(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.reject_report import print_reject
    from pipelines.rejects.single_reject import show_reject

    print_reject(show_reject(specification, parsed.id, parsed.source), parsed.json)
    return int(ExitStatus.COMPLETE)


def rejects_replay(parsed: argparse.Namespace, flags: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.replay_report import print_replay
    from pipelines.run.replay import replay

    _judge(flags, specification)
    outcome = replay(specification, _filter(specification, parsed), flags)
    print_replay(specification.job, outcome, parsed.json)
    return int(outcome.status)


def rejects_discard(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.discard_report import discard_question, print_changed_rejects
    from pipelines.rejects.discard import discard, survey_discard
    from pipelines.terminal.confirmation import can_ask, is_confirmed

    wanted = _filter(specification, parsed)
    if not parsed.yes and can_ask():
        survey = survey_discard(specification, wanted, parsed.reason, parsed.all)
        if not is_confirmed(discard_question(specification.job, survey)):
            from pipelines.terminal.console import stderr

            stderr().print("Nothing was discarded.")
            return int(ExitStatus.STOPPED)
    counts = discard(specification, wanted, parsed.reason, parsed.all)
    print_changed_rejects(specification.job, "discarded", counts, parsed.json)
    return int(ExitStatus.COMPLETE)


def rejects_reopen(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.discard_report import print_changed_rejects
    from pipelines.rejects.reopen import reopen

    counts = reopen(specification, _filter(specification, parsed), parsed.all)
    print_changed_rejects(specification.job, "reopened", counts, parsed.json)
    return int(ExitStatus.COMPLETE)


def rejects_export(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.codes_report import print_export
    from pipelines.codes.code_export import export_codes

    export = export_codes(specification, _filter(specification, parsed), parsed.output)
    print_export(specification.job, export, parsed.output, parsed.json)
    return int(ExitStatus.COMPLETE)


def codes_import(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.codes_report import print_import
    from pipelines.codes.code_import import import_codes

    result = import_codes(specification, parsed.file)
    print_import(specification, parsed.file, result, parsed.json)
    return int(ExitStatus.COMPLETE)


def _filter(specification: Specification, parsed: argparse.Namespace) -> ViolationFilter:
    from pipelines.rejects.reject_filter import filter_rejects

    return filter_rejects(specification, parsed.code, parsed.table, parsed.rule)
