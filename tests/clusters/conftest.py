"""Real clusters for the tests of migrations: started once, stopped at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clusters.flink import FLINK
from clusters.spark import SPARK
from tests.support.clusters.running_clusters import Running, running_cluster


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_cluster(FLINK, tmp_path_factory.mktemp("flink")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_cluster(SPARK, tmp_path_factory.mktemp("spark")) as cluster:
        yield cluster
