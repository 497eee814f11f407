"""Logging of the command: warnings and errors to stderr, one line each."""

from __future__ import annotations

import logging
import os
import threading


def log_to_stderr(level: int | None = None) -> None:
    """Set logging up, before Beam is imported.

    Args:
        level: The level from which messages of Transfuse are shown; None for warnings, or for
            debug messages with TRANSFUSE_DEBUG. Those of Beam are shown from warnings on, because
            its debug messages hold elements.
    """
    debugging = bool(os.environ.get("TRANSFUSE_DEBUG"))
    if level is None:
        level = logging.DEBUG if debugging else logging.WARNING
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("transfuse").setLevel(level)
    for handler in logging.getLogger().handlers:
        # Log files may want more than stderr; a test's own handlers stay as they are.
        if type(handler) is logging.StreamHandler:
            handler.setLevel(level)
    if not debugging:
        for handler in logging.getLogger().handlers:
            handler.addFilter(_without_values)
            handler.addFilter(_is_no_message_of_an_engine)
        threading.excepthook = _log_the_kind
    logging.getLogger().addFilter(_is_wanted)


def _is_wanted(record: logging.LogRecord) -> bool:
    """Not what Beam says on import about a library that only its Google Cloud parts use."""
    return "apitools not found" not in record.getMessage()


def _without_values(record: logging.LogRecord) -> bool:
    """Reduce a logged exception to its kind: its text and traceback may hold values of rows.

    Beam logs whatever ends a step, with what was raised in the message as well.
    """
    raised = record.exc_info[0] if record.exc_info else None
    if raised is not None:
        record.msg, record.args = f"{record.name}: {raised.__name__}", ()
        record.exc_info = record.exc_text = None
    return True


def keep_quiet_of_ended_streams() -> None:
    """From now on don't log why workers in a launcher's own process (``LOOPBACK``) ended:
    at the end of each job the engine hangs up. Where it does so too early, the run says so itself.
    """
    if not os.environ.get("TRANSFUSE_DEBUG"):
        for handler in logging.getLogger().handlers:
            # A run that was paused comes here again. Before what makes of an exception its kind.
            handler.removeFilter(_is_no_end_of_a_stream)
            handler.filters.insert(0, _is_no_end_of_a_stream)


def _is_no_end_of_a_stream(record: logging.LogRecord) -> bool:
    raised = record.exc_info[0] if record.exc_info else None
    return raised is None or not raised.__module__.startswith("grpc")


def _is_no_message_of_an_engine(record: logging.LogRecord) -> bool:
    """Not what Flink and Spark say of a job, which Beam passes on: it may hold values of rows."""
    return record.funcName != "read_messages"


def _log_the_kind(ended: threading.ExceptHookArgs) -> None:
    """What a thread of Beam's dies of, without the traceback that Python would print."""
    name = ended.thread.name if ended.thread else "a thread"
    logging.getLogger(name).error("", exc_info=ended.exc_value)
