"""The log of an engine's worker: on its stderr, and in files where its environment names a folder.

A worker has no command line of ours, and its stderr is that of the pool or the engine that started
it. So its lines name the job and the run, which a launcher's stderr doesn't.
"""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pipelines.logs.log_files import LogSettings, write_log_files
from pipelines.logs.record_text import TextLine, is_ours, local_time
from pipelines.logs.stderr_log import log_to_stderr

FOLDER_VARIABLE = "TRANSFUSE_LOG_DIR"
"""The environment variable of a pool that does for its workers what ``--log-dir`` does."""


class WorkerLine(TextLine):
    """The text of log files; a record of a library has its message, as on stderr elsewhere."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        if is_ours(record) and not record.exc_info:
            return super().format(record)
        message = logging.Formatter.format(self, record)
        return f"{local_time(record)} {record.levelname} {message}"


def log_worker_to_stderr() -> None:
    """Log to stderr, from INFO on: a line for each partition that is committed here."""
    log_to_stderr(logging.DEBUG if os.environ.get("TRANSFUSE_DEBUG") else logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(WorkerLine())


def worker_log_files() -> AbstractContextManager[None]:
    """The context in which a worker writes the log files that its environment asks for.

    Raises:
        TransfuseError: SYS-004 when it is entered, if they can't be written.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    return write_log_files(LogSettings(Path(folder))) if folder else nullcontext()
