"""Notices about the start and the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipelines.notify.notice import Notice
from pipelines.notify.notifier import Notifier
from schemas.errors import ErrorCode, ExitStatus, Problem, Severity, TransfuseError
from schemas.notice_events import NoticeEvent

_SEVERITIES = {
    ExitStatus.COMPLETE: Severity.LOW,
    ExitStatus.CRASH: Severity.CRITICAL,
    ExitStatus.REFUSED: Severity.HIGH,
    ExitStatus.INCOMPLETE: Severity.HIGH,
    ExitStatus.STOPPED: Severity.MEDIUM,
    ExitStatus.OUT_OF_BALANCE: Severity.CRITICAL,
}


def notice_of_start(verb: str, run: int) -> Notice:
    """The notice that a run begins."""
    return Notice(NoticeEvent.RUN_STARTED, Severity.LOW, f"{verb}: run {run} started")


def notice_of_end(
    verb: str, state: str, status: ExitStatus, counts: str, problems: Sequence[Problem]
) -> Notice:
    """The notice that a run has ended.

    Args:
        verb: The verb.
        state: The job's state, or the result of the run.
        status: The exit status.
        counts: The counts in words; empty if there are none.
        problems: The problems that it met. Only their codes are sent, which say what happened and
            hold nothing of the data.

    Returns:
        The notice.
    """
    codes = sorted({problem.code for problem in problems}, key=lambda code: code.value)
    lines = [f"Exit status: {int(status)}"]
    if counts:
        lines.append(f"Rows: {counts}")
    lines += [f"{code.value}: {code.description}" for code in codes]
    severities = [_SEVERITIES.get(status, Severity.HIGH), *(code.severity for code in codes)]
    title = f"{verb} ended: {state}"
    return Notice(NoticeEvent.RUN_ENDED, min(severities), title, tuple(lines))


@contextmanager
def notify_of_failure(notifier: Notifier, verb: str) -> Iterator[None]:
    """Send a notice if a run ends by an exception, or couldn't be started."""
    try:
        yield
    except TransfuseError as error:
        notifier.send(notice_of_end(verb, "with an error", error.status, "", error.problems))
        raise
    except KeyboardInterrupt:
        notifier.send(notice_of_end(verb, "interrupted", ExitStatus.STOPPED, "", ()))
        raise
    except Exception as error:
        crash = Problem(ErrorCode.SYS_003, type(error).__name__)
        notifier.send(notice_of_end(verb, "by a crash", ExitStatus.CRASH, "", [crash]))
        raise
