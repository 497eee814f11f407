"""Real clusters for the tests of migrations: started once, stopped at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from clusters.__main__ import install, start_cluster
from clusters.engine import Cluster, Engine
from clusters.flink import FLINK
from clusters.processes import Processes
from clusters.spark import SPARK
from schemas.errors import TransfuseError
from tests.pipelines.conftest import databases, undisturbed

__all__ = ["databases", "undisturbed"]


@dataclass(frozen=True)
class Running:
    cluster: Cluster
    processes: Processes
    job_server: Path


@contextmanager
def running(engine: Engine, folder: Path) -> Iterator[Running]:
    try:
        installation = install(engine)
    except TransfuseError as error:
        pytest.skip(str(error))
    processes = Processes(folder)
    try:
        cluster = start_cluster(engine, processes, installation)
        yield Running(cluster, processes, installation.job_server)
    finally:
        processes.stop()


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(FLINK, tmp_path_factory.mktemp("flink")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(SPARK, tmp_path_factory.mktemp("spark")) as cluster:
        yield cluster
