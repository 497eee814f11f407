"""A run whose throughput collapses says so."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pipelines import ConsoleObserver, migrate, read_specification
from pipelines.terminal import throughput
from pipelines.terminal.throughput import Sample, Throughput
from pipelines.watch import progress
from schemas.errors import ErrorCode, Problem
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, prepare


def told(rates: Iterable[tuple[int, int]], step: int = 1) -> list[Problem]:
    """What is told of a run: seconds and rows/s, looked at every ``step`` seconds."""
    run = Throughput("moved")
    now = rows = 0
    found = []
    for seconds, rate in rates:
        for _ in range(seconds // step):
            now, rows = now + step, rows + rate * step
            problem = run.add(Sample(now, rows))
            found += [problem] if problem else []
    return found


def test_a_collapse_is_told_once_and_again_after_it_has_recovered() -> None:
    (problem,) = told([(200, 1000), (120, 40)])
    assert problem.code is ErrorCode.SYS_002
    assert problem.message == "88 rows/s in the last 60 s, and 1,000 before"
    assert len(told([(200, 1000), (120, 50), (120, 1000), (120, 50)])) == 2


@pytest.mark.parametrize(
    "rates",
    [
        [(600, 1000)],
        [(600, 0)],
        [(600, 3), (600, 1000)],
        [(200, 1000), (300, 150)],
        [(100, 1000), (70, 0)],
        [(30, 0), (10, 100_000)] * 20,
    ],
    ids=["steady", "nothing", "faster", "slower", "too early", "by large partitions"],
)
def test_what_is_no_collapse(rates: list[tuple[int, int]]) -> None:
    assert told(rates, step=10) == []


@pytest.mark.slow
def test_a_run_that_stands_still(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(databases)
    databases.target.run(
        "CREATE FUNCTION rests() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_sleep(3); RETURN new; END $$;"
        "CREATE TRIGGER rests BEFORE INSERT ON visits FOR EACH ROW WHEN (new.id = 5000)"
        " EXECUTE FUNCTION rests()"
    )
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.05)
    monkeypatch.setattr(throughput, "WINDOW", 0.5)
    path = databases.write(SPECIFICATION, SMALL)
    specification = read_specification(path, databases.variables)
    outcome = migrate(specification, observer=ConsoleObserver())
    assert outcome.summary.state == "complete"
    assert "SYS-002 job moved: 0 rows/s in the last" in caplog.text
