"""Serves the latest sample of a run: ``/metrics`` for Prometheus, and ``/health``."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from pipelines.monitor.thresholds import Excess
from schemas.errors import ErrorCode, Problem
from schemas.run_metrics import Metric, RunSample
from schemas.specification.root import Specification
from transforms.model.log_event import log_problem

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import GaugeMetricFamily

logger = logging.getLogger("transfuse.monitor")

_GAUGES = {
    "rows": ("transfuse_rows", "Source rows that are committed, of all runs of the job"),
    "rows_per_second": ("transfuse_rows_per_second", "Source rows committed per second"),
    "seconds_per_partition": ("transfuse_partition_seconds", "Mean time of a commit, in seconds"),
    "rejected_percent": ("transfuse_rejected_percent", "Rejected among the rows not skipped"),
    "cpu_percent": ("transfuse_cpu_percent", "Busy processors of the launcher's machine"),
    "memory_percent": ("transfuse_memory_percent", "Memory in use on the launcher's machine"),
    "disk_percent": ("transfuse_disk_percent", "Used part of the disk for temporary files"),
    "network_percent": ("transfuse_network_percent", "Used part of the network's speed"),
    "process_bytes": ("transfuse_process_bytes", "Memory of the launcher and its children"),
}


class LatestSample:
    """The sample that is served; written by one thread and read by others.

    Attributes:
        sample: The latest sample; None before the first.
        alerts: The metrics that are beyond their limits.
        is_target_reached: Whether the target answered at the last look.
    """

    def __init__(self) -> None:
        self.sample: RunSample | None = None
        self.alerts: tuple[Excess, ...] = ()
        self.is_target_reached = True


@contextmanager
def serve_metrics(specification: Specification, latest: LatestSample) -> Iterator[None]:
    """Serve a run's latest sample until the context ends, if ``monitor.metrics_port`` is set.

    Args:
        specification: The job's.
        latest: What is served.
    """
    monitor = specification.monitor
    if monitor.metrics_port is None:
        yield
        return
    address = (monitor.metrics_address, monitor.metrics_port)
    try:
        server = _MetricsServer(address, specification.job, latest)
    except OSError as error:
        message = f"the metrics can't be served: {error.strerror}"
        place = f"monitor.metrics_port {monitor.metrics_address}:{monitor.metrics_port}"
        remedy = "choose another monitor.metrics_port for this job; the run goes on without it"
        log_problem(logger, logging.WARNING, Problem(ErrorCode.SYS_005, message, place, remedy))
        yield
        return
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _MetricsServer(ThreadingHTTPServer):
    """An HTTP server that knows what it serves."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], job: str, latest: LatestSample) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Answer)
        self.job = job
        self.latest = latest
        self.registry = _registry_of(job, latest)


class _Answer(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _MetricsServer
    timeout = 10
    server_version = "transfuse"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path == "/metrics":
            from prometheus_client import generate_latest
            from prometheus_client.exposition import CONTENT_TYPE_LATEST

            self._send(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        elif self.path == "/health":
            self._send_health()
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"there are /metrics and /health\n")

    def _send_health(self) -> None:
        latest = self.server.latest
        is_healthy = latest.is_target_reached
        document = {
            "job": self.server.job,
            "healthy": is_healthy,
            "alerts": [one.metric.value for one in latest.alerts],
        }
        status = HTTPStatus.OK if is_healthy else HTTPStatus.SERVICE_UNAVAILABLE
        self._send(status, "application/json", json.dumps(document).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests aren't logged."""


class _RunCollector:
    """Turns the latest sample into metrics whenever Prometheus asks."""

    def __init__(self, job: str, latest: LatestSample) -> None:
        self._job = job
        self._latest = latest

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics that could be measured, and an alert for each limit."""
        from prometheus_client.core import GaugeMetricFamily

        sample = self._latest.sample
        for attribute, (name, words) in _GAUGES.items():
            value = getattr(sample, attribute, None)
            if value is not None:
                gauge = GaugeMetricFamily(name, words, labels=["job"])
                gauge.add_metric([self._job], float(value))
                yield gauge
        alerts = GaugeMetricFamily(
            "transfuse_alert", "1 while a metric is beyond its limit", labels=["job", "metric"]
        )
        beyond = {one.metric for one in self._latest.alerts}
        for metric in Metric:
            alerts.add_metric([self._job, metric.value], float(metric in beyond))
        yield alerts


def _registry_of(job: str, latest: LatestSample) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    registry.register(_RunCollector(job, latest))
    return registry
