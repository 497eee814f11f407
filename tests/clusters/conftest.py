"""Real clusters for the tests of migrations: started once, stopped at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from clusters.__main__ import HERE, JARS, install, start_cluster
from clusters.engine import Cluster, Engine
from clusters.flink import FLINK
from clusters.jars import read_lock
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


def refuse_to_download(engine: Engine) -> None:
    """A test talks to this machine alone: without the jars it is skipped."""
    jars = read_lock(HERE / f"{engine.name}.lock")
    if not all((JARS / jar.name).exists() for jar in jars):
        pytest.skip(f"'python -m clusters fetch {engine.name}' hasn't downloaded the jars")


@contextmanager
def running(engine: Engine, folder: Path) -> Iterator[Running]:
    refuse_to_download(engine)
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
