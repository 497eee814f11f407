"""Every engine leaves behind what one process does: the same rows, violations and ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.errors import ExitStatus
from tests.support.clusters.data_sets import DataSet, demo_hospital, left_behind, mimic3
from tests.support.clusters.running_clusters import Running
from tests.support.databases.two_databases import Row, TwoDatabases, two_databases
from tests.support.runs.child_runs import assert_nothing_left, kill_all, start
from tests.support.waiting import LONGEST

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Expected:
    """A data set, and what its migration in one process has left behind."""

    data: DataSet
    content: dict[str, list[Row]]


@pytest.fixture(scope="module")
def demo(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Expected]:
    with two_databases(server, tmp_path_factory.mktemp("legacy")) as first:
        data = demo_hospital(first.legacy)
        yield Expected(data, content_of_one_process(data, first))


@pytest.fixture(scope="module")
def mimic(
    server: str, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Expected]:
    with two_databases(server, tmp_path_factory.mktemp("legacy")) as first:
        data = mimic3(first.legacy, shared_data)
        yield Expected(data, content_of_one_process(data, first))


def content_of_one_process(data: DataSet, databases: TwoDatabases) -> dict[str, list[Row]]:
    content = migrated(data, databases, ())
    assert len(content) > 12
    return content


def migrated(data: DataSet, databases: TwoDatabases, flags: Sequence[str]) -> dict[str, list[Row]]:
    """Migrates a data set into the target of ``databases``; gives what is there then."""
    data.fill_target(databases.target.url)
    databases = TwoDatabases(data.legacy, databases.target, databases.folder)
    path = databases.write(data.specification, header="")
    variables = [f"--var={name}={value}" for name, value in data.variables.items()]
    process = start(databases, path, [*variables, *flags])
    try:
        status = process.wait(timeout=LONGEST)
    finally:
        kill_all(process)
    told = (databases.folder / "run.log").read_text(encoding="utf-8")
    assert status == ExitStatus.COMPLETE, told
    assert not [line for line in told.splitlines() if line.startswith(("ERROR", "CRITICAL"))]
    assert_nothing_left(databases)
    return left_behind(databases.target)


ENGINES = ("flink", "embedded flink", "spark")


# Two tests and not one with two parameters, whose data would be made for each engine again.
@pytest.mark.parametrize("engine", [*ENGINES, "embedded spark"])
def test_every_engine_leaves_behind_the_same_demo(
    demo: Expected, databases: TwoDatabases, engine: str, request: pytest.FixtureRequest
) -> None:
    assert migrated(demo.data, databases, flags_of(engine, request)) == demo.content


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_leaves_behind_the_same_mimic3(
    mimic: Expected, databases: TwoDatabases, engine: str, request: pytest.FixtureRequest
) -> None:
    assert migrated(mimic.data, databases, flags_of(engine, request)) == mimic.content


def flags_of(engine: str, request: pytest.FixtureRequest) -> Sequence[str]:
    """The flags for an engine's cluster, which is started, or for the engine in the launcher."""
    name = engine.rpartition(" ")[2]
    running: Running = request.getfixturevalue(name)
    return running.cluster.flags if engine == name else running.embedded
