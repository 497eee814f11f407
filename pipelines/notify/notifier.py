"""Sends notices without ever holding up, or failing, the caller."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from types import TracebackType

from pipelines.notify.delivery import ATTEMPT_SECONDS, Deliver, deliver_in_time, delivery_of
from pipelines.notify.notice import Notice
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.notifying import Channel
from schemas.specification.root import Specification
from transforms.model.log_event import log_problem

logger = logging.getLogger("transfuse.notify")

MOST_WAITING = 100
"""Notices that wait for one channel; further ones are dropped, and that is logged."""

DELAYS = (1.0, 4.0)
"""Seconds between the attempts to send a notice."""

CLOSE_SECONDS = 10.0
"""Seconds that the end of a run waits at most for notices."""


class Notifier:
    """Sends the notices of a job through the channels of its specification.

    Args:
        specification: The job's; ``notify`` lists the channels.
        is_urgent: Whether a channel with a wrong URL is left out with a warning, because what the
            notices are about must not wait for it.

    Raises:
        TransfuseError: SYS-004 if the URL of a channel is none that Apprise knows, unless
            ``is_urgent``.
    """

    def __init__(self, specification: Specification, is_urgent: bool = False) -> None:
        self._channels = []
        for channel in specification.notify:
            try:
                delivery = delivery_of(specification.job, channel)
            except TransfuseError as error:
                if not is_urgent:
                    raise
                for problem in error.problems:
                    log_problem(logger, logging.WARNING, problem)
                continue
            self._channels.append(_ChannelThread(channel, delivery))

    def send(self, notice: Notice) -> None:
        """Queue a notice for each channel that takes it; never blocks and never raises."""
        for channel in self._channels:
            if channel.takes(notice):
                channel.put(notice)

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Wait until all notices are sent or given up.

        Args:
            timeout: Seconds to wait at most, for all channels together.
        """
        deadline = time.monotonic() + timeout
        for channel in self._channels:
            channel.finish()
        for channel in self._channels:
            channel.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Notifier:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _ChannelThread:
    """A channel with its queue, and a thread that sends one notice after the other."""

    def __init__(self, channel: Channel, deliver: Deliver) -> None:
        self._channel = channel
        self._deliver = deliver
        self._waiting: deque[Notice] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def takes(self, notice: Notice) -> bool:
        events = self._channel.events
        return notice.severity <= self._channel.severity and (
            events is None or notice.event in events
        )

    def put(self, notice: Notice) -> None:
        with self._changed:
            is_full = len(self._waiting) >= MOST_WAITING
            if not is_full:
                self._waiting.append(notice)
                self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
        if is_full:
            self._warn(f"a notice was dropped: {MOST_WAITING} others wait for this channel")

    def finish(self) -> None:
        """Have the thread end when its queue is empty."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()

    def join(self, seconds: float) -> None:
        if self._thread is None:
            return
        self._thread.join(seconds)
        if self._thread.is_alive():
            # The one that is being sent is no longer in the queue.
            count = len(self._waiting) + 1
            self._warn(f"{count} notices weren't sent before the end of the run")

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                notice = self._waiting.popleft()
            self._send(notice)

    def _send(self, notice: Notice) -> None:
        for delay in (*DELAYS, None):
            reason = deliver_in_time(self._deliver, notice, ATTEMPT_SECONDS)
            if reason is None:
                return
            if delay is not None:
                time.sleep(delay)
        self._warn(f"the notice '{notice.title}' couldn't be sent: {reason}")

    def _warn(self, message: str) -> None:
        way = "command" if self._channel.to is None else "to"
        remedy = "check the address and that the receiver is up; the run doesn't depend on it"
        place = str(self._channel.at(way))
        log_problem(logger, logging.WARNING, Problem(ErrorCode.SYS_005, message, place, remedy))
