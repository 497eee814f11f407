"""A connection whose work is taken back after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest

from schemas.catalog_reader import read_relation
from schemas.specification.policies import WriteMode
from tests.support.direct_calls.target_batches import batch_of
from transforms.postgres.session_settings import SESSION_SETTINGS
from transforms.target_rows.write import TargetWriter, WriteOutcome

Load = Callable[..., WriteOutcome]


@pytest.fixture
def connection(server: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server) as opened:
        for name, value in SESSION_SETTINGS.items():
            opened.execute("SELECT set_config(%s, %s, false)", [name, value])
        yield opened
        if not opened.closed:
            opened.rollback()


@pytest.fixture
def load(connection: psycopg.Connection) -> Load:
    """Writes rows into a table: ``load("t", ["a", "b"], [(0, 1, "x")], key=["a"], mode=..)``."""

    def write(
        name: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        key: Sequence[str] = (),
        mode: WriteMode = WriteMode.INSERT,
    ) -> WriteOutcome:
        table = read_relation(connection, name)
        assert table is not None
        writer = TargetWriter(table, columns, key, mode)
        return writer.write(connection, batch_of(table, columns, rows))

    return write
