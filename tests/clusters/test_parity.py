"""Every engine leaves behind what one process does: the same rows, violations and ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from schemas.errors import ExitStatus
from tests.clusters.conftest import Running
from tests.clusters.data_sets import DataSet, demo_hospital, left_behind, mimic3
from tests.faults.runs import assert_nothing_left, kill_all, start
from tests.pipelines.two_databases import Row, TwoDatabases, two_databases
from tests.waiting import LONGEST

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Expected:
    """A data set, and what its migration in one process has left behind."""

    data: DataSet
    content: dict[str, list[Row]]


@pytest.fixture(scope="module")
def expected(
    server: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Expected]:
    folder = tmp_path_factory.mktemp("legacy")
    with two_databases(server, folder) as first:
        if request.param == "demo":
            data = demo_hospital(first.legacy)
        else:
            data = mimic3(first.legacy, request.getfixturevalue("shared_data"))
        content = migrated(data, first, ())
        assert len(content) > 12
        yield Expected(data, content)


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


@pytest.mark.parametrize(
    ("expected", "engine"),
    [
        *(("demo", engine) for engine in (*ENGINES, "embedded spark")),
        *(("mimic3", e) for e in ENGINES),
    ],
    indirect=["expected"],
)
def test_every_engine_leaves_behind_the_same(
    expected: Expected, databases: TwoDatabases, engine: str, request: pytest.FixtureRequest
):
    name = engine.rpartition(" ")[2]
    running: Running = request.getfixturevalue(name)
    flags = running.cluster.flags if engine == name else running.embedded
    assert migrated(expected.data, databases, flags) == expected.content
