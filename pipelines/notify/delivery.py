"""The ways in which a notice leaves the process: an Apprise URL, or a program."""

from __future__ import annotations

import json
import logging
import subprocess
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipelines.notify.notice import Notice
from schemas.errors import ErrorCode, Severity, TransfuseError
from schemas.specification.notifying import Channel

if TYPE_CHECKING:
    import apprise

ATTEMPT_SECONDS = 10.0
"""Seconds after which an attempt to send has failed."""

Deliver = Callable[[Notice], str | None]
"""Sends a notice once; returns why it failed, without the address, or None."""


def delivery_of(job: str, channel: Channel) -> Deliver:
    """Prepare the delivery through a channel.

    Args:
        job: The job that the notices are about.
        channel: The channel.

    Returns:
        The function that sends a notice. It may take longer than ``ATTEMPT_SECONDS``.

    Raises:
        TransfuseError: SYS-004 if its URL is none that Apprise knows.
    """
    if channel.command is not None:
        command = list(channel.command)
        return lambda notice: _run(command, _document_of(job, notice))
    assert channel.to is not None
    service = _open_service(channel, channel.to)
    return lambda notice: _send(service, job, notice)


def deliver_in_time(deliver: Deliver, notice: Notice, seconds: float) -> str | None:
    """Send a notice once, and leave an attempt that takes too long to itself.

    Args:
        deliver: The delivery.
        notice: The notice.
        seconds: How long to wait.

    Returns:
        Why it failed; None if it was sent.
    """
    results: list[str | None] = []

    def attempt() -> None:
        try:
            results.append(deliver(notice))
        except Exception as error:
            # The text of an exception may hold the address.
            results.append(type(error).__name__)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return results[0] if results else f"no answer within {seconds:g} s"


def _open_service(channel: Channel, url: str) -> apprise.NotifyBase:
    import apprise

    # Its messages hold addresses, with their tokens.
    logging.getLogger("apprise").disabled = True
    service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if service is None:
        raise TransfuseError(
            channel.problem(
                "this is not the URL of a service that Apprise knows",
                "to",
                code=ErrorCode.SYS_004,
                remedy="write it as https://appriseit.com/services lists it, such as"
                " jsons://HOST/PATH for a webhook or mailtos://USER:PASSWORD@HOST?to=ADDRESS",
            )
        )
    return service


def _send(service: apprise.NotifyBase, job: str, notice: Notice) -> str | None:
    import apprise

    kind = apprise.NotifyType.INFO
    if notice.severity is Severity.CRITICAL:
        kind = apprise.NotifyType.FAILURE
    elif notice.severity is Severity.HIGH:
        kind = apprise.NotifyType.WARNING
    body = "\n".join(notice.lines) or notice.title
    title = f"[{notice.severity.label}] {job}: {notice.title}"
    is_sent = service.notify(body=body, title=title, notify_type=kind)
    return None if is_sent else "the service can't be reached or refused it"


def _run(command: list[str], document: dict[str, Any]) -> str | None:
    try:
        process = subprocess.run(
            command,
            input=json.dumps(document).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=ATTEMPT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the program didn't end within {ATTEMPT_SECONDS:g} s"
    except OSError as error:
        return f"the program can't be started: {error.strerror}"
    if process.returncode == 0:
        return None
    return f"the program ended with status {process.returncode}"


def _document_of(job: str, notice: Notice) -> dict[str, Any]:
    return {
        "job": job,
        "event": notice.event.value,
        "severity": notice.severity.label.lower(),
        "title": notice.title,
        "lines": list(notice.lines),
    }
