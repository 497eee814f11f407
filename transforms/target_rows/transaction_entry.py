"""The transaction of the caller, in which rows are written."""

from __future__ import annotations

import psycopg
from psycopg.pq import TransactionStatus


def join_transaction(connection: psycopg.Connection) -> None:
    """Make sure that a transaction is open, in which savepoints can be set.

    Raises:
        ValueError: none is open on an autocommit connection, or its encoding isn't UTF8.
    """
    if connection.info.encoding != "utf-8":
        # Arrow's strings go to the server as they are.
        raise ValueError("the connection's client_encoding must be UTF8")
    if connection.info.transaction_status == TransactionStatus.IDLE:
        if connection.autocommit:
            raise ValueError("rows are written inside the caller's transaction, and none is open")
        connection.execute("SELECT 1")
