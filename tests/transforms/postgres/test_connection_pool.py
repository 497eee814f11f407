"""The pool of connections of a process: how many there are, and how long they are kept."""

from __future__ import annotations

import time

import psycopg
import pytest

from schemas.errors import ErrorCode
from tests.support.waiting import wait_until
from transforms.postgres.connection_pool import ConnectionPool
from transforms.postgres.database_problems import describe_error, may_pass


def sessions(url: str) -> int:
    """The sessions of the database, but the one that asks."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def process_id(pool: ConnectionPool) -> int:
    with pool.lent() as connection:
        return connection.info.backend_pid


def test_a_connection_is_used_again(database: str) -> None:
    pool = ConnectionPool(database, 2)
    assert process_id(pool) == process_id(pool)
    assert sessions(database) == 1
    pool.close()


def test_a_connection_that_nobody_needs_is_ended_by_the_server(database: str) -> None:
    pool = ConnectionPool(database, 2, idle=0.1)
    first = process_id(pool)
    wait_until(lambda: not sessions(database))
    assert process_id(pool) != first
    pool.close()


def test_a_conversation_may_be_longer_than_the_idle_time(database: str) -> None:
    pool = ConnectionPool(database, 1, idle=0.1)
    with pool.lent() as connection, connection.transaction():
        time.sleep(1.0)
        assert connection.execute("SELECT 1").fetchone() == (1,)
    pool.close()


def test_a_transaction_that_stands_still_gives_its_locks_back(database: str) -> None:
    pool = ConnectionPool(database, 2, frozen=0.2)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("CREATE TABLE ledger AS SELECT 'planned' AS state")
        with pool.lent() as frozen:
            frozen.execute("BEGIN; UPDATE ledger SET state = 'done'")
            # Waits until the server has ended that session.
            other.execute("UPDATE ledger SET state = 'failed'")
            with pytest.raises(psycopg.Error) as raised:
                frozen.execute("SELECT 1")
        assert other.execute("TABLE ledger").fetchall() == [("failed",)]
    assert may_pass(raised.value)
    code, told, _ = describe_error(raised.value, database)
    assert code is ErrorCode.CONN_001
    assert "stood still" in told
    with pool.lent() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    pool.close()
