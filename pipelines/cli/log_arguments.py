"""The log files that the arguments of a verb ask for.

Nothing is imported here that a ``--help`` doesn't need.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import ErrorCode, Problem, TransfuseError

logger = logging.getLogger("transfuse.command")

_VALUES = ("key", "row")
"""Arguments that are values of a row."""


def level_of(parsed: argparse.Namespace) -> int | None:
    """The level of ``--log-level``; None without it."""
    name = getattr(parsed, "log_level", None)
    return None if name is None else int(getattr(logging, name.upper()))


@contextmanager
def log_as_asked(parsed: argparse.Namespace) -> Iterator[None]:
    """Write the log files of ``--log-dir`` until the context ends, if it is given.

    Args:
        parsed: The arguments of a verb.

    Raises:
        TransfuseError: USER-001 for a flag that needs ``--log-dir``; SYS-004 if the files can't be
            written.
    """
    folder: Path | None = getattr(parsed, "log_dir", None)
    if folder is None:
        _refuse_without_folder(parsed)
        yield
        return
    from pipelines.logs.log_files import LogSettings, write_log_files
    from pipelines.logs.record_text import ProcessFacts
    from pipelines.terminal.installed_version import installed_version
    from transforms.model.log_event import log_event

    debugging = os.environ.get("TRANSFUSE_DEBUG")
    level = level_of(parsed) or (logging.DEBUG if debugging else logging.INFO)
    settings = LogSettings(folder, level, parsed.log_format == "json", parsed.log_queries)
    verb = verb_of(parsed)
    ProcessFacts.job = None
    ProcessFacts.hidden = tuple(filter(None, (getattr(parsed, name, None) for name in _VALUES)))
    with write_log_files(settings):
        log_event(
            logger,
            logging.INFO,
            f"'{verb}' begins: version {installed_version()}, process {os.getpid()}",
            verb=verb,
            pid=os.getpid(),
        )
        yield


def log_exit(parsed: argparse.Namespace, status: int) -> None:
    """Log the exit status of a verb."""
    if getattr(parsed, "log_dir", None) is not None:
        from transforms.model.log_event import log_event

        verb = verb_of(parsed)
        log_event(
            logger, logging.INFO, f"'{verb}' ends: exit status {status}", verb=verb, status=status
        )


def log_crash(parsed: argparse.Namespace, error: Exception) -> None:
    """Log an unforeseen error whose traceback is shown instead of a problem."""
    if getattr(parsed, "log_dir", None) is not None:
        from pipelines.cli.reports.refusal import failure_of
        from pipelines.terminal.console import PRINTED
        from transforms.model.log_event import log_problem

        for problem in failure_of(error)[0]:
            log_problem(PRINTED, logging.ERROR, problem)


def identify_process(parsed: argparse.Namespace, job: str) -> None:
    """Have log records and database sessions of this process name its verb and job.

    Args:
        parsed: The arguments of a verb.
        job: The job of its specification.
    """
    from pipelines.logs.record_text import ProcessFacts
    from transforms.model.session_names import ProcessSessions, session_name

    ProcessFacts.job = job
    ProcessSessions.verb = verb_of(parsed)
    ProcessSessions.name = session_name(ProcessSessions.verb, job)


def verb_of(parsed: argparse.Namespace) -> str:
    """The verb of parsed arguments, with its group: ``rejects list``."""
    return str(parsed.parser.prog.partition(" ")[2])


def _refuse_without_folder(parsed: argparse.Namespace) -> None:
    problems = [
        Problem(
            ErrorCode.USER_001,
            f"{flag} is about log files, and there are none",
            "",
            "add --log-dir DIR, or leave it out",
        )
        for flag, value in (
            ("--log-format", getattr(parsed, "log_format", None)),
            ("--log-queries", getattr(parsed, "log_queries", None)),
        )
        if value
    ]
    if problems:
        raise TransfuseError(problems)
