"""The log of statements: without values, with how long each took.

It is off unless the logger ``transfuse.sql`` is at the level DEBUG (``--log-queries``); debug
messages of the other loggers don't turn it on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from transforms.model.log_event import log_event
from transforms.postgres.statement_text import hide_literals

logger = logging.getLogger("transfuse.sql")
if logger.level == logging.NOTSET:
    logger.setLevel(logging.INFO)


def is_logging_statements() -> bool:
    """Whether statements are logged."""
    return logger.isEnabledFor(logging.DEBUG)


@contextmanager
def log_statement(statement: Callable[[], str], database: str) -> Iterator[None]:
    """Log a statement that the context executes, if statements are logged.

    Args:
        statement: Returns its text, with placeholders instead of parameters.
        database: The name of the database.
    """
    if not is_logging_statements():
        yield
        return
    begun = time.perf_counter()
    failure = ""
    try:
        yield
    except BaseException as error:
        failure = f", failed with {getattr(error, 'sqlstate', None) or type(error).__name__}"
        raise
    finally:
        milliseconds = round(1000 * (time.perf_counter() - begun), 1)
        text = hide_literals(statement())
        log_event(
            logger,
            logging.DEBUG,
            f"{milliseconds} ms{failure}: {text}",
            where=database,
            milliseconds=milliseconds,
        )
