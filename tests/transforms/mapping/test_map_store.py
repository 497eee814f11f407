"""What maps hold in the target, where workers in other processes find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy

from schemas.code_maps.gem_file import packaged_gem
from schemas.code_maps.lookup_table import LookupTable
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.target_check import Outdated, target_check
from schemas.code_maps.translation import Notation
from schemas.control_tables import control_metadata
from schemas.errors import ErrorCode, TransfuseError
from tests.support.direct_calls.empty_context import EMPTY_CONTEXT
from transforms.mapping.map_store import maps_stored, stored_gem, stored_lookup
from transforms.model.run_context import GemUse, RunContext

TABLE = LookupTable.build(
    "m", [pa.array(["a", "b", "b"]), pa.array(["1", "", "1"])], pa.array(["x", None, "Müller"])
)


@pytest.fixture
def context(new_database: Callable[[], str]) -> RunContext:
    url = new_database()
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    with engine.begin() as connection:
        control_metadata(None).create_all(connection)
    engine.dispose()
    return replace(EMPTY_CONTEXT, target=url, in_process=False)


def test_a_table_comes_back_as_it_was_and_only_during_the_run(context: RunContext) -> None:
    context = replace(context, lookups={"m": TABLE})
    with psycopg.connect(context.target, autocommit=True) as target:
        with maps_stored(target, context):
            found = stored_lookup(context, TABLE.without_content())
            assert (found, found.keys, found.values) == (TABLE, TABLE.keys, TABLE.values)
            other = replace(TABLE.without_content(), sha256="0")
            with pytest.raises(TransfuseError) as raised:
                stored_lookup(context, other)
            assert raised.value.problems[0].code is ErrorCode.SYS_005
        with pytest.raises(TransfuseError, match="no longer stored"):
            stored_lookup(context, TABLE.without_content())


def test_a_gem_map_comes_back_with_what_its_targets_are_held_against(context: RunContext) -> None:
    gem = packaged_gem("icd")
    check = target_check(gem, Outdated.REJECT, None)
    assert check.outdated
    use = GemUse(gem, GemPolicy(), Notation.AS_SOURCE, site=(("4019", "I10", 1, "7"),), check=check)
    unchecked = replace(use, gem=packaged_gem("plain"), check=None)
    context = replace(context, maps={"icd": use, "plain": unchecked})
    with psycopg.connect(context.target, autocommit=True) as target:
        with maps_stored(target, context):
            found = stored_gem(context, "icd", use.without_content())
            assert found == use
            assert (found.gem.entries, found.gem.codes) == (gem.entries, gem.codes)
            assert found.check is not None
            assert (found.check.outdated, found.check.valid) == (check.outdated, check.valid)
            assert stored_gem(context, "plain", unchecked.without_content()).gem.codes == gem.codes
        with pytest.raises(TransfuseError, match="no longer stored"):
            stored_gem(context, "icd", use.without_content())
