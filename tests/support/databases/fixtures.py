"""Fixtures: two empty databases for a test, or for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases.two_databases import Row, TwoDatabases, two_databases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare


@pytest.fixture
def databases(server: str, tmp_path: Path) -> Iterator[TwoDatabases]:
    with two_databases(server, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared_databases(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwoDatabases]:
    with two_databases(server, tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture(scope="session")
def undisturbed(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """What the job of people and visits leaves behind when nothing happens to it."""
    with two_databases(server, tmp_path_factory.mktemp("undisturbed")) as databases:
        prepare(databases)
        databases.migrate(SPECIFICATION, header=SMALL)
        return content(databases)
