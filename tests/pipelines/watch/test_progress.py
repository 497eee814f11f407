"""The progress of a run, as it is shown on a terminal and off one."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator

import pytest
from rich.console import Console

from pipelines.watch import progress
from schemas.errors import ExitStatus
from schemas.specification.reading import read_specification
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL
from tests.support.waiting import wait_until

STOPS = SMALL + "errors: {budget: {rejected: 0}}\n"
"""A row that is rejected stops the run between two partitions."""

SPECIFICATION = """
tables:
  moved: {from: legacy, key: [id], copy: [id, v], rules: {FROM_2: id > 1}}
"""


class Steps(threading.Event):
    """Does one thing after the other, each before a look at the ledger, and then ends the watch."""

    def __init__(self, steps: Iterator[None]) -> None:
        super().__init__()
        self._steps = steps

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002
        return next(self._steps, "ended") == "ended"


@pytest.mark.parametrize("is_terminal", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_rows_done_and_rows_planned_are_shown_as_they_grow(
    is_terminal: bool, databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.legacy.run(
        "CREATE TABLE legacy (id int PRIMARY KEY, v text);"
        "INSERT INTO legacy SELECT i, repeat('v', 40) FROM generate_series(1, 12345) i"
    )
    databases.target.run("CREATE TABLE moved (id int PRIMARY KEY, v text)")
    specification = read_specification(databases.write(SPECIFICATION, SMALL), databases.variables)
    screen = io.StringIO()

    def shown() -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())

    def steps() -> Iterator[None]:
        yield  # There are no control tables yet.
        assert "rows" not in shown()
        databases.migrate(SPECIFICATION, header=STOPS, expected=ExitStatus.STOPPED)
        yield
        read = "SELECT sum(read)::int FROM migration.migration_partitions WHERE state = 'done'"
        (done,) = databases.target.row(read)
        assert 0 < done < 12345
        wait_until(lambda: f"{done:,} of 12,345 rows" in shown(), 30)
        assert "12,345 of 12,345 rows" not in shown()
        databases.migrate(SPECIFICATION, header=SMALL)
        yield
        wait_until(lambda: "12,345 of 12,345 rows" in shown(), 30)

    with monkeypatch.context() as patched:
        console = Console(file=screen, force_terminal=is_terminal, width=120)
        # The migrations of the steps show their own progress elsewhere.
        consoles = iter([console])
        patched.setattr(progress, "stderr", lambda: next(consoles, Console(file=io.StringIO())))
        # One wait for each look.
        patched.setattr(progress, "PLAIN_INTERVAL", progress.INTERVAL)
        progress._watch(specification, "watcher", Steps(steps()))
