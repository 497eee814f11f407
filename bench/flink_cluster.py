"""A Flink cluster for a benchmark, and what its processes need."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.databases import ROOT

# Workers of a cluster import the packages of the project.
os.environ["PYTHONPATH"] = str(ROOT)

from clusters.__main__ import install, start_cluster
from clusters.cluster_engine import Cluster
from clusters.flink import FLINK
from clusters.processes import Processes

PARTS = {"TaskManagerRunner": "TaskManager", "pipelines.engines.worker": "Python worker"}


@dataclass
class Peaks:
    """The largest resident size that any process of a kind has had, in MB."""

    of: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(f"{kind} {peak:.0f} MB" for kind, peak in sorted(self.of.items()))


@contextmanager
def flink_cluster() -> Iterator[Cluster]:
    """A JobManager and two TaskManagers of 1 GB, as ``run_cluster.sh flink`` starts them."""
    # An end by SIGTERM is to stop them too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="tfb-", ignore_cleanup_errors=True) as folder:
        processes = Processes(Path(folder))
        try:
            yield start_cluster(FLINK, processes, install(FLINK))
        finally:
            processes.stop()


def run_on(command: Sequence[str], environment: dict[str, str]) -> tuple[str, Peaks]:
    """What a command prints, and the peaks of the cluster's processes while it runs."""
    peaks = Peaks()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.25):
            for process in psutil.process_iter(["cmdline"]):
                line = process.info["cmdline"] or []
                for word, kind in PARTS.items():
                    if any(part.endswith(word) for part in line):
                        with suppress(psutil.NoSuchProcess):
                            size = process.memory_info().rss / 2**20
                            peaks.of[kind] = max(peaks.of.get(kind, 0), size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = subprocess.run(
            command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        )
    finally:
        ended.set()
        watcher.join()
    return done.stdout, peaks


def last_job_seconds(cluster: Cluster) -> float:
    """How long the job that was submitted last has run in the engine."""
    with urllib.request.urlopen(f"{cluster.web}/jobs/overview", timeout=10) as answer:
        jobs: list[dict[str, Any]] = json.load(answer)["jobs"]
    return float(max(jobs, key=lambda job: int(job["start-time"]))["duration"]) / 1000
