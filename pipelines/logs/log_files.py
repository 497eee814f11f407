"""The files of ``--log-dir``: application.log, error.log and performance.log."""

from __future__ import annotations

import errno
import getpass
import logging
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.logs.record_text import (
    JsonLine,
    PerformanceLine,
    TextLine,
    is_measured,
    is_ours,
)
from pipelines.logs.rotated_file import RotatedFile
from pipelines.terminal.console import PRINTED
from pipelines.terminal.private_files import make_private_folder
from schemas.errors import ErrorCode, Problem, TransfuseError

APPLICATION, ERRORS, MEASURED = "application.log", "error.log", "performance.log"

QUERIES = logging.getLogger("transfuse.sql")
"""The logger of statements; see ``transforms.postgres.statement_log``."""


@dataclass(frozen=True)
class LogSettings:
    """What the files hold.

    Attributes:
        folder: Their folder.
        level: The level of ``logging`` from which application.log has events.
        as_json: Whether a line is a JSON object.
        queries: Whether application.log has the statements, without values.
    """

    folder: Path
    level: int = logging.INFO
    as_json: bool = False
    queries: bool = False


@contextmanager
def write_log_files(settings: LogSettings) -> Iterator[None]:
    """Write what is logged into files until the context ends.

    Files and a folder that are made here are readable by their owner alone.

    Args:
        settings: Where, and what.

    Raises:
        TransfuseError: SYS-004, exit status 2, if a file can't be written.
    """
    handlers = _open_all(settings)
    root, ours = logging.getLogger(), logging.getLogger("transfuse")
    levels = ours.level, QUERIES.level
    others, keep_levels = list(root.handlers), _keep_levels(ours, QUERIES)
    ours.setLevel(min(ours.getEffectiveLevel(), settings.level, logging.INFO))
    if settings.queries:
        QUERIES.setLevel(logging.DEBUG)
    for other in others:
        other.addFilter(keep_levels)
    # First, because that of stderr takes the exceptions out of the records that it has seen.
    root.handlers[:0] = handlers
    for handler in handlers:
        PRINTED.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            PRINTED.removeHandler(handler)
            handler.close()
        for other in others:
            other.removeFilter(keep_levels)
        ours.setLevel(levels[0])
        QUERIES.setLevel(levels[1])


def _keep_levels(*loggers: logging.Logger) -> Callable[[logging.LogRecord], bool]:
    """A filter by which other handlers get what they got before the files wanted more."""
    levels = {logger.name: logger.getEffectiveLevel() for logger in loggers}

    def is_wanted(record: logging.LogRecord) -> bool:
        if not is_ours(record):
            return True
        return record.levelno >= levels.get(record.name, levels["transfuse"])

    return is_wanted


def _open_all(settings: LogSettings) -> list[RotatedFile]:
    handlers: list[RotatedFile] = []
    try:
        make_private_folder(settings.folder)
        # One after the other: those before one that fails are closed below.
        handlers += map(RotatedFile, (settings.folder / n for n in (APPLICATION, ERRORS, MEASURED)))
    except OSError as error:
        for handler in handlers:
            handler.close()
        raise TransfuseError(_unwritable(settings.folder, error)) from None
    application, errors, measured = handlers
    for handler in handlers:
        handler.setFormatter(JsonLine() if settings.as_json else TextLine())
    if not settings.as_json:
        measured.setFormatter(PerformanceLine())
    application.addFilter(
        lambda record: record.name == QUERIES.name or record.levelno >= settings.level
    )
    errors.setLevel(logging.ERROR)
    measured.addFilter(lambda record: is_ours(record) and is_measured(record))
    return handlers


def _unwritable(folder: Path, error: OSError) -> Problem:
    path = error.filename or folder
    remedy = "name another folder, in which files can be created"
    if error.errno in (errno.EACCES, errno.EPERM):
        whole = shlex.quote(str(folder.absolute()))
        remedy = (
            "name a folder that you may write to, or have this one made yours:"
            f" sudo install -d -m 700 -o {getpass.getuser()} {whole}"
        )
    elif error.errno == errno.ELOOP:
        remedy = "the files of a log may be no symbolic links: remove it, or name another folder"
    return Problem(
        ErrorCode.SYS_004,
        f"log files can't be written here: {error.strerror}",
        str(path),
        remedy,
    )
