"""Real clusters for the tests of migrations, where their jars are on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from clusters.__main__ import HERE, JARS, install, start_cluster
from clusters.cluster_engine import Cluster, Engine
from clusters.jars import read_lock
from schemas.errors import ErrorCode, TransfuseError
from tests.support.clusters.named_processes import NamedProcesses

EMBEDDED = {
    "flink": ("--runner=FlinkRunner", "--flink_master=[local]", "--flink_job_server_jar={}"),
    "spark": ("--runner=SparkRunner", "--spark_master_url=local[2]", "--spark_job_server_jar={}"),
}


@dataclass(frozen=True)
class Running:
    """A cluster; ``embedded`` are the flags by which its engine runs within the job server."""

    cluster: Cluster
    processes: NamedProcesses
    embedded: tuple[str, ...]


def refuse_to_download(engine: Engine) -> None:
    """A test talks to this machine alone: without the jars it is skipped."""
    jars = read_lock(HERE / f"{engine.name}.lock")
    if not all((JARS / jar.name).exists() for jar in jars):
        pytest.skip(f"'python -m clusters fetch {engine.name}' hasn't downloaded the jars")


@contextmanager
def running_cluster(engine: Engine, folder: Path) -> Iterator[Running]:
    refuse_to_download(engine)
    try:
        installation = install(engine)
    except TransfuseError as error:
        if error.problems[0].code is not ErrorCode.SYS_004:
            raise
        pytest.skip(str(error))
    processes = NamedProcesses(folder)
    with pytest.MonkeyPatch.context() as patch:
        # None of these processes lives long enough for what Java compiles to pay.
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
        try:
            cluster = start_cluster(engine, processes, installation)
            flags = (flag.format(installation.job_server) for flag in EMBEDDED[engine.name])
            yield Running(cluster, processes, (*flags, installation.launcher))
        finally:
            processes.stop()
