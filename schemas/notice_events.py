"""The events that people are notified of."""

from __future__ import annotations

from enum import Enum


class NoticeEvent(str, Enum):
    """An event of a job; its value is the name in ``notify.events``."""

    RUN_STARTED = "run_started"
    RUN_ENDED = "run_ended"
    ALERT = "alert"
    ALERT_ENDED = "alert_ended"
    INCIDENT_OPENED = "incident_opened"
    INCIDENT_ESCALATED = "incident_escalated"
    INCIDENT_CLOSED = "incident_closed"
    EMERGENCY_STOP = "emergency_stop"
