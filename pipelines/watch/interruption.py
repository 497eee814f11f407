"""Has SIGINT and SIGTERM stop a run in order, and the second SIGINT end it at once."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psycopg

from pipelines.connections.patient_connections import retrying_of
from pipelines.ledger.job_ledger import JobLedger
from pipelines.terminal.signals import interrupt
from schemas.errors import TransfuseError
from schemas.specification.root import Specification
from transforms.model.log_event import EventPlace, log_event
from transforms.postgres.connections import connect
from transforms.postgres.retries import run_with_retries

logger = logging.getLogger("transfuse.control")


@contextmanager
def stop_on_signals(specification: Specification) -> Iterator[None]:
    """Until the context ends, have the first signal ask the job to stop, as ``stop`` does.

    What is in work is committed. A second SIGINT raises KeyboardInterrupt. Signals reach the
    main thread alone; in any other thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGINT, interrupt)
        sys.stderr.write(
            "stopping when what is in work is committed; interrupt again to end at once\n"
        )
        # Not here: the signal may have come in the middle of another conversation.
        threading.Thread(target=_ask_to_stop, args=(specification,), daemon=True).start()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _ask_to_stop(specification: Specification) -> None:
    def ask() -> None:
        with connect(specification.target.url) as target:
            JobLedger(target, specification).job.set_wanted("stop")
        place = EventPlace(specification.job)
        log_event(logger, logging.INFO, "a signal asks the job to stop", place)

    try:
        run_with_retries(retrying_of(specification), ask, "the target")
    except (TransfuseError, psycopg.Error) as error:
        reason = error if isinstance(error, TransfuseError) else type(error).__name__
        sys.stderr.write(f"the job couldn't be asked to stop: {reason}\n")
