"""Output of the verbs on incidents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.incidents.incident_notice import escalation_notice
from pipelines.terminal.console import print_json, stdout
from schemas.guide.incident import Incident
from schemas.specification.root import Specification


def print_incidents(incidents: Sequence[Incident], as_json: bool) -> None:
    """Print a line for each incident, the latest first."""
    if as_json:
        print_json({"incidents": [_document(one) for one in incidents]})
        return
    for one in incidents:
        line = f"{one.id}  {one.severity.label}  level {one.level}  {one.status}  {one.summary}"
        stdout().print(line, markup=False)
    if not incidents:
        stdout().print("There are no incidents.", markup=False)


def print_incident(specification: Specification, incident: Incident, as_json: bool) -> None:
    """Print the escalation notice of an incident."""
    if as_json:
        print_json(_document(incident))
        return
    for line in escalation_notice(specification, incident):
        stdout().print(line, markup=False)


def print_change(incident: Incident, as_json: bool) -> None:
    """Print the state of an incident after it was changed."""
    if as_json:
        print_json(_document(incident))
        return
    line = f"{incident.id} is {incident.status}, on level {incident.level}."
    stdout().print(line, markup=False)


def print_actions(actions: Sequence[str], as_json: bool) -> None:
    """Print what a check did."""
    if as_json:
        print_json({"actions": list(actions)})
        return
    for line in actions or ["Nothing is due."]:
        stdout().print(line, markup=False)


def _document(incident: Incident) -> dict[str, Any]:
    times = ("opened_at", "respond_by", "acknowledged_at", "closed_at")
    return {
        **vars(incident),
        "trigger": incident.trigger.value,
        "code": None if incident.code is None else incident.code.value,
        "severity": incident.severity.label.lower(),
        **{name: at and at.isoformat() for name in times for at in [getattr(incident, name)]},
    }
