"""Rows that are too large for the server to send: found by their lengths, without their values.

A message of PostgreSQL holds less than 1 GB, and a bytea travels as text, two characters a byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import adbc_driver_manager
from psycopg import sql

from schemas.catalog import Column

_MOST = 1_000_000_000
"""Bytes of a row that the server can send for sure."""

_LARGE = 1_000_000
"""Bytes above which a value is left out of such a row: its keys are shorter."""

_BYTES_OF_TEXT = ("json", "xml")


def may_be_too_large(error: adbc_driver_manager.Error) -> bool:
    """Whether a read may have failed because of the size of a row."""
    return str(error.sqlstate or "") in ("XX000", "54000", "53200")


def text_length(column: Column) -> sql.Composable:
    """SQL for the length of a column's value as text, which is known without fetching it.

    Of types whose text can be of any length it is a guess from the stored bytes.
    """
    name = sql.Identifier(column.name)
    if column.type.name == "bytea":
        return sql.SQL("coalesce(2 * octet_length({})::int8 + 2, 0)").format(name)
    if column.type.is_textual or column.type.name in _BYTES_OF_TEXT:
        return sql.SQL("coalesce(octet_length({}::text), 0)::int8").format(name)
    return sql.SQL("coalesce(4 * pg_column_size({})::int8, 0)").format(name)


def is_left_out(column: Column, among: Sequence[Column]) -> sql.Composable:
    """SQL that is true for a value that has to be left out so that its row can be sent."""
    total = sql.SQL(" + ").join([text_length(c) for c in among])
    return sql.SQL("({} > {} AND {} > {})").format(
        text_length(column), sql.Literal(_LARGE), total, sql.Literal(_MOST)
    )
