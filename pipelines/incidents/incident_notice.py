"""The escalation notice of the guide, filled in with the facts of an incident."""

from __future__ import annotations

from pipelines.notify.notice import Notice
from schemas.guide.escalation_matrix import MATRIX
from schemas.guide.incident import Incident
from schemas.guide.support_levels import RESPONSES, SupportLevel, time_in_words
from schemas.notice_events import NoticeEvent
from schemas.specification.root import Specification


def escalation_notice(
    specification: Specification, incident: Incident, reason: str = ""
) -> tuple[str, ...]:
    """The lines of the guide's escalation communication template.

    Args:
        specification: The job's; it names the contacts.
        incident: The incident.
        reason: Why it is escalated; empty for the event that opened it.
    """
    level = SupportLevel(incident.level)
    contacts = specification.escalation.contacts
    impact = ", ".join(f"{count} {name}" for name, count in incident.impact.items())
    events = [f"- {one['at']}: {one['event']} ({one['person']})" for one in incident.timeline]
    return (
        "ESCALATION NOTICE",
        f"Incident ID: {incident.id}",
        f"Escalation Level: {incident.level}",
        f"Severity: {incident.severity.label}",
        f"System: Healthcare Data Migration System, job {specification.job}",
        f"Issue Summary: {incident.summary}",
        f"Business Impact: {impact or 'none recorded'}",
        f"Current Status: {incident.status}",
        f"Escalation Reason: {reason or incident.trigger.value.replace('_', ' ')}",
        f"Required Expertise: {MATRIX[incident.issue][level]} ({incident.issue.value})",
        f"Expected Response: {time_in_words(RESPONSES[incident.severity].response_time)},"
        f" by {incident.respond_by:%Y-%m-%d %H:%M:%S %Z}",
        "Timeline and Actions Taken:",
        *events,
        "Contact Information:",
        f"- Level {incident.level}: {getattr(contacts, f'level_{incident.level}') or 'not set'}",
        f"- Primary Contact: {contacts.primary or 'not set'}",
        f"- Backup Contact: {contacts.backup or 'not set'}",
        f"- On-Call Manager: {contacts.on_call_manager or 'not set'}",
    )


def notice_of_incident(
    specification: Specification, incident: Incident, event: NoticeEvent, reason: str = ""
) -> Notice:
    """The notice that an incident was opened, escalated or closed."""
    title = f"{incident.id} {event.value.removeprefix('incident_')}: {incident.summary}"
    lines = escalation_notice(specification, incident, reason)
    return Notice(event, incident.severity, title, lines)
