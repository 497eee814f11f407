"""Two empty databases for a test, or for all tests of a module.

The fixtures import what they need themselves: migrations need Beam, which takes a second, and tests
of plain functions don't wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.databases.two_databases import Row, TwoDatabases


@pytest.fixture
def databases(server: str, tmp_path: Path) -> Iterator[TwoDatabases]:
    from tests.support.databases.two_databases import two_databases

    with two_databases(server, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared_databases(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwoDatabases]:
    from tests.support.databases.two_databases import two_databases

    with two_databases(server, tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture(scope="session")
def undisturbed(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """All rows that the job of people and visits leaves behind when nothing happens to it."""
    from tests.support.databases.two_databases import two_databases
    from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare

    with two_databases(server, tmp_path_factory.mktemp("undisturbed")) as databases:
        prepare(databases)
        databases.migrate(SPECIFICATION, header=SMALL)
        return content(databases)
