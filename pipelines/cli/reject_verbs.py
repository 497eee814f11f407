"""Verbs for rejected rows, and for decisions on codes.

Each verb reads the specification first, and imports only what it needs: importing Beam takes a
second, and a specification that is wrong needs none of it.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pipelines.cli.read_arguments import read, refuse_unusable_flags
from schemas.errors import ExitStatus

if TYPE_CHECKING:
    from pipelines.ledger.violation_filter import ViolationFilter
    from schemas.specification.root import Specification


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
    from pipelines.cli.console_observer import ConsoleObserver
    from pipelines.cli.reports.replay_report import print_replay
    from pipelines.run.replay import replay

    refuse_unusable_flags(flags, specification)
    observer = ConsoleObserver()
    outcome = replay(specification, _filter(specification, parsed), flags, observer)
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
