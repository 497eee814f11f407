"""What the tests of faults share with those of whole migrations."""

from __future__ import annotations

import time

import pytest

from tests.support.databases.two_databases import two_databases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, prepare
from tests.support.runs.child_runs import LONGEST, start


@pytest.fixture(scope="session")
def usual_seconds(server: str, tmp_path_factory: pytest.TempPathFactory) -> float:
    """What an undisturbed run takes here: moments are chosen within it."""
    with two_databases(server, tmp_path_factory.mktemp("usual")) as made:
        prepare(made)
        path = made.write(SPECIFICATION, SMALL)
        begun = time.monotonic()
        assert start(made, path).wait(timeout=LONGEST) == 0
        return time.monotonic() - begun
