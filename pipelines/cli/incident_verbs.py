"""Verbs on incidents."""

from __future__ import annotations

import argparse

from pipelines.cli.read_arguments import read
from schemas.errors import ExitStatus


def incidents_list(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.incident_report import print_incidents
    from pipelines.incidents.response import list_incidents

    print_incidents(list_incidents(specification), parsed.json)
    return int(ExitStatus.COMPLETE)


def incidents_show(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.incident_report import print_incident
    from pipelines.incidents.response import show_incident

    print_incident(specification, show_incident(specification, parsed.id), parsed.json)
    return int(ExitStatus.COMPLETE)


def incidents_acknowledge(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.incident_report import print_change
    from pipelines.incidents.response import acknowledge_incident

    print_change(acknowledge_incident(specification, parsed.id), parsed.json)
    return int(ExitStatus.COMPLETE)


def incidents_escalate(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.incident_report import print_change
    from pipelines.incidents.response import escalate_incident

    print_change(escalate_incident(specification, parsed.id, parsed.reason), parsed.json)
    return int(ExitStatus.COMPLETE)


def incidents_close(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.incident_report import print_change
    from pipelines.incidents.response import close_incident

    print_change(close_incident(specification, parsed.id, parsed.resolution), parsed.json)
    return int(ExitStatus.COMPLETE)


def incidents_check(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.cli.reports.incident_report import print_actions
    from pipelines.incidents.response import check_incidents

    print_actions(check_incidents(specification), parsed.json)
    return int(ExitStatus.COMPLETE)
