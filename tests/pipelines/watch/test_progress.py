"""The progress of a run, as it is shown on a terminal and off one."""

from __future__ import annotations

import re
import threading

import pytest
from rich.console import Console

from pipelines.watch import progress
from schemas.specification.reading import read_specification
from tests.support.databases.two_databases import TwoDatabases

SPECIFICATION = """
tables:
  moved: {from: legacy, copy: [id]}
"""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_rows_done_and_rows_planned_are_shown(
    is_terminal: bool,
    databases: TwoDatabases,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    databases.legacy.run("CREATE TABLE legacy AS SELECT generate_series(1, 12345) AS id")
    databases.target.run("CREATE TABLE moved (id int)")
    databases.migrate(SPECIFICATION)
    capsys.readouterr()
    specification = read_specification(databases.write(SPECIFICATION), databases.variables)
    looks = []

    class Ended(threading.Event):
        """Lets the watcher look at the ledger more than once."""

        def wait(self, timeout: float | None = None) -> bool:
            looks.append(timeout)
            return len(looks) > 12

    monkeypatch.setattr(
        progress, "stderr", lambda: Console(stderr=True, force_terminal=is_terminal, width=120)
    )
    progress._watch(specification, "watcher", Ended())
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    assert "12,345 of 12,345 rows" in shown


def test_a_ledger_that_is_not_there_yet_is_waited_for(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    specification = read_specification(databases.write(SPECIFICATION), databases.variables)
    monkeypatch.setattr(
        progress, "stderr", lambda: Console(stderr=True, force_terminal=True, width=120)
    )
    waits = iter([False, True])

    class Ended(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002
            return next(waits)

    progress._watch(specification, "watcher", Ended())
    assert "rows" not in capsys.readouterr().err
