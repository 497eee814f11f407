"""Lookup tables in the target, where workers in other processes find them."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy

from schemas.code_maps.lookup_table import LookupTable
from schemas.control_tables import control_metadata
from schemas.errors import ErrorCode, TransfuseError
from tests.transforms.test_run_context import CONTEXT
from transforms.lookup_store import lookups_stored, stored_lookup

TABLE = LookupTable.build(
    "m", [pa.array(["a", "b", "b"]), pa.array(["1", "", "1"])], pa.array(["x", None, "Müller"])
)


def test_a_table_comes_back_as_it_was_and_only_during_the_run(new_database):
    url = new_database()
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    with engine.begin() as connection:
        control_metadata(None).create_all(connection)
    engine.dispose()
    context = replace(CONTEXT, target=url, lookups={"m": TABLE}, in_process=False)
    with psycopg.connect(url, autocommit=True) as target:
        with lookups_stored(target, context):
            found = stored_lookup(context, TABLE.unheld())
            assert (found, found.keys, found.values) == (TABLE, TABLE.keys, TABLE.values)
            other = replace(TABLE.unheld(), sha256="0")
            with pytest.raises(TransfuseError) as raised:
                stored_lookup(context, other)
            assert raised.value.problems[0].code is ErrorCode.SYS_005
        with pytest.raises(TransfuseError, match="stored no longer"):
            stored_lookup(context, TABLE.unheld())
