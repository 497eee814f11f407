"""All readers of a run see one instant of the source, or say that they can't."""

from __future__ import annotations

from collections.abc import Callable

import adbc_driver_manager
import psutil
import psycopg
import pytest

from schemas.catalog_reader import read_relation
from tests.support.servers.crashing_server import CrashingServer, crashing_server
from tests.support.waiting import wait_until
from transforms.model.partition import Partition
from transforms.postgres.snapshot import Snapshot, SnapshotGone, export_snapshot
from transforms.sources.postgres.partition_reader import open_source, read_partition


def test_every_partition_is_read_under_the_snapshot(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as writer:
        writer.execute("CREATE TABLE t AS SELECT 1 AS id")
        relation = read_relation(writer, "t")
        assert relation is not None
        partition = Partition("load", "000001", "TRUE", 1)
        with psycopg.connect(database, autocommit=True) as planner:
            exported = export_snapshot(planner)
            writer.execute("INSERT INTO t VALUES (2)")
            with open_source(database, exported) as connection:
                for _ in range(2):
                    rows = read_partition(connection, relation, ["id"], partition, False)
                    assert rows.batch.column(0).to_pylist() == [1]
                with connection.cursor() as cursor, pytest.raises(adbc_driver_manager.Error):
                    cursor.execute("INSERT INTO t VALUES (3)")
        with open_source(database, None) as connection:
            rows = read_partition(connection, relation, ["id"], partition, False)
            assert rows.batch.num_rows == 2


def test_a_snapshot_that_never_was_is_refused(database: str) -> None:
    with pytest.raises(SnapshotGone, match="CONN-004"):
        open_source(database, Snapshot("00000000-00000000-1", "752:752:"))


def test_a_snapshot_whose_session_has_ended_is_refused(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as planner:
        exported = export_snapshot(planner)
    with pytest.raises(SnapshotGone):
        open_source(database, exported)


def restart(server: CrashingServer) -> None:
    server.crash()
    server.start()


def lose_a_session(server: CrashingServer) -> None:
    """The server ends all others then, forgets what they share, and goes on as it is."""
    with psycopg.connect(server.url()) as connection:
        psutil.Process(connection.info.backend_pid).kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    wait_until(lambda: answers(server))


def answers(server: CrashingServer) -> bool:
    try:
        psycopg.connect(server.url()).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("begin_anew", [restart, lose_a_session])
def test_another_snapshot_of_the_same_name_is_refused(
    begin_anew: Callable[[CrashingServer], None],
) -> None:
    with crashing_server() as server:
        url = server.url()
        begin_anew(server)
        with psycopg.connect(url, autocommit=True) as planner:
            # So that the counter doesn't have to be the same when it begins anew.
            for _ in range(20):
                planner.execute("SELECT 1")
            exported = export_snapshot(planner)
            with psycopg.connect(url, autocommit=True) as writer:
                writer.execute("CREATE TABLE t ()")
        begin_anew(server)
        with psycopg.connect(url, autocommit=True) as another:
            namesake = export_snapshot(another)
            while namesake.name < exported.name:
                another.execute("ROLLBACK")
                namesake = export_snapshot(another)
            assert namesake.name == exported.name
            with open_source(url, namesake), pytest.raises(SnapshotGone):
                open_source(url, exported)
