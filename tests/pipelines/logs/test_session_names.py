"""The names of sessions in ``pg_stat_activity``: verb, run, part and job."""

from __future__ import annotations

import pytest

from tests.support.databases.two_databases import Database, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, prepare
from tests.support.runs.held_runs import gate, running, someone_waits, wait_until

READER = "transfuse migrate run 1 reader of moved"
WRITER = "transfuse migrate run 1 writer of moved"
LAUNCHER = "transfuse migrate launcher of moved"


def session_names(database: Database) -> set[str]:
    return {
        *database.values(
            "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND application_name <> 'test'"
        )
    }


def test_the_sessions_of_a_run(databases: TwoDatabases) -> None:
    prepare(databases)
    with gate(databases, "people", "INSERT", "new.id = 2500"), running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        assert session_names(databases.legacy) == {LAUNCHER, READER}
        assert session_names(databases.target) == {LAUNCHER, WRITER}


@pytest.mark.slow
def test_a_url_keeps_its_name(databases: TwoDatabases) -> None:
    prepare(databases)
    header = SMALL.replace("${TARGET_URL}", "${TARGET_URL}&application_name=night")
    keeper = gate(databases, "people", "INSERT", "new.id = 2500")
    with keeper, running(databases, header) as process:
        wait_until(process, lambda: someone_waits(databases))
        assert session_names(databases.legacy) == {LAUNCHER, READER}
        assert session_names(databases.target) == {"night"}


def test_a_long_name_is_cut_off_by_the_server(databases: TwoDatabases) -> None:
    from transforms.model.session_names import session_name
    from transforms.postgres.connections import connect

    name = session_name("migrate", "j" * 100, 12, "writer")
    with connect(databases.target.url, name=name):
        (shown,) = session_names(databases.target)
    assert shown == name[:63]
    assert shown.startswith("transfuse migrate run 12 writer of jjjj")
