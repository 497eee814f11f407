"""Measures a run at intervals, stores the samples, and raises alerts."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from typing import Any

import psycopg

from pipelines.connections.watcher import Watcher, watch_meanwhile
from pipelines.ledger.alert_rows import NewAlert
from pipelines.ledger.job_ledger import JobLedger
from pipelines.monitor.alert_episodes import AlertEpisodes
from pipelines.monitor.machine_load import MachineLoad, MachineMeter
from pipelines.monitor.metrics_server import LatestSample, serve_metrics
from pipelines.monitor.thresholds import Excess, find_excesses
from pipelines.notify.notice import Notice
from pipelines.notify.notifier import Notifier
from schemas.errors import Problem
from schemas.notice_events import NoticeEvent
from schemas.run_metrics import Metric, RunSample
from schemas.specification.root import Specification
from transforms.model.log_event import EventPlace, log_event, log_problem
from transforms.model.run_context import RunContext
from transforms.model.session_names import ProcessSessions, session_name

logger = logging.getLogger("transfuse.monitor")


@contextmanager
def monitor_run(
    specification: Specification, context: RunContext, notifier: Notifier
) -> Iterator[None]:
    """Measure a run until the context ends, in a thread of its own.

    The last sample is taken at the end. Nothing of it affects the run: while the target can't be
    asked there are no samples, and a port that is taken is logged (SYS-005).

    Args:
        specification: The job's; ``monitor`` says how often, and what the limits are.
        context: The run.
        notifier: Sends notices of alerts.
    """
    with watch_meanwhile(lambda ended: _watch(specification, context, notifier, ended)):
        yield


def _watch(
    specification: Specification, context: RunContext, notifier: Notifier, ended: threading.Event
) -> None:
    name = session_name(ProcessSessions.verb, specification.job, context.run, "watcher")
    with ExitStack() as stack:
        watcher = stack.enter_context(closing(Watcher(specification.target.url, name)))
        monitor = RunMonitor(specification, context.run, notifier)
        stack.enter_context(serve_metrics(specification, monitor.latest))
        monitor.look(watcher)
        while not ended.wait(specification.monitor.every):
            monitor.look(watcher)
        monitor.look_finally(watcher)


class RunMonitor:
    """Takes the samples of one run, to be used from one thread.

    Args:
        specification: The job's.
        run: The number of the run.
        notifier: Sends notices of alerts.
    """

    def __init__(self, specification: Specification, run: int, notifier: Notifier) -> None:
        self._specification = specification
        self._notifier = notifier
        self._run = run
        self._place = EventPlace(specification.job, run)
        self._host = socket.gethostname()
        self._machine = MachineMeter()
        self._episodes = AlertEpisodes()
        self._before: tuple[datetime, int] | None = None
        self.latest = LatestSample()

    def look(self, watcher: Watcher) -> None:
        """Take and store a sample, and store and log what it changes about the alerts.

        The first look of a run only notes from where rows count.
        """
        load = self._machine.measure()

        def sample_and_judge(target: psycopg.Connection[Any]) -> bool:
            ledger = JobLedger(target, self._specification)
            usual = ledger.metrics.read_usual()
            sample = self._sample(ledger, load)
            if sample is not None:
                self._change_alerts(
                    ledger, find_excesses(sample, usual, self._specification.monitor)
                )
                self.latest.sample, self.latest.alerts = sample, self._episodes.current
            return True

        self.latest.is_target_reached = bool(watcher.ask(sample_and_judge))
        # Between two looks the run has no more connections than without a monitor.
        watcher.close()

    def look_finally(self, watcher: Watcher) -> None:
        """Store the last sample of the run, and the end of its alerts.

        It raises none: it may be the sample of an instant.
        """
        load = self._machine.measure()

        def sample_and_end(target: psycopg.Connection[Any]) -> None:
            ledger = JobLedger(target, self._specification)
            self._sample(ledger, load)
            for metric in self._episodes.end_all():
                ledger.alerts.end(metric.value)

        watcher.ask(sample_and_end)

    def _sample(self, ledger: JobLedger, load: MachineLoad) -> RunSample | None:
        """Store a sample; None at the first look, which has nothing to compare with."""
        totals = ledger.metrics.read_totals(self._before[0] if self._before else None)
        before, self._before = self._before, (totals.at, totals.rows)
        if before is None:
            ledger.alerts.end_earlier(self._run)
            return None
        seconds = max((totals.at - before[0]).total_seconds(), 0.001)
        rows = totals.rows - before[1]
        sample = RunSample(
            rows=totals.rows,
            rows_per_second=rows / seconds,
            seconds_per_partition=totals.seconds_per_partition,
            rejected_percent=100 * totals.rejected / totals.judged if totals.judged else None,
            cpu_percent=load.cpu,
            memory_percent=load.memory,
            disk_percent=load.disk,
            network_percent=load.network,
            process_bytes=load.process_bytes,
            is_loading=totals.is_loading,
        )
        ledger.metrics.store(self._run, self._host, sample)
        self._log(sample, rows, seconds)
        return sample

    def _log(self, sample: RunSample, rows: int, seconds: float) -> None:
        log_event(
            logger,
            logging.INFO,
            f"sample: {rows} rows in {seconds:.1f} s",
            self._place,
            seconds=round(seconds, 3),
            **{
                **vars(sample),
                "rows": rows,
                "rows_per_second": round(sample.rows_per_second),
            },
        )

    def _change_alerts(self, ledger: JobLedger, excesses: Sequence[Excess]) -> None:
        changes = self._episodes.follow(excesses)
        for excess in changes.begun:
            alert = NewAlert(
                excess.metric.value,
                excess.metric.code,
                excess.message,
                excess.limit,
                excess.measured,
            )
            ledger.alerts.begin(self._run, alert)
            place = f"job {self._specification.job}, monitor.{excess.metric.value}"
            problem = Problem(excess.metric.code, excess.message, place, excess.remedy)
            log_problem(logger, logging.WARNING, problem)
            self._notify(NoticeEvent.ALERT, excess.metric, excess.message, excess.remedy)
        for excess in changes.worse:
            ledger.alerts.worsen(excess.metric.value, excess.measured)
        for metric in changes.ended:
            self._end(ledger, metric)

    def _end(self, ledger: JobLedger, metric: Metric) -> None:
        ledger.alerts.end(metric.value)
        text = f"{metric.value} is within its limit again"
        log_event(logger, logging.INFO, text, self._place, metric=metric.value)
        self._notify(NoticeEvent.ALERT_ENDED, metric, "it is within its limit again")

    def _notify(self, event: NoticeEvent, metric: Metric, *lines: str) -> None:
        title = f"{metric.code.value}: {metric.value} of run {self._run}"
        self._notifier.send(Notice(event, metric.code.severity, title, lines))
