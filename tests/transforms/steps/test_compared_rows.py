"""A load starts only when all of its keys were compared, whatever an engine loses of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from apache_beam.pvalue import TaggedOutput

from schemas.errors import ExitStatus
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL
from transforms.steps.compare_rows import _SpreadKeys

SPECIFICATION = "tables: {moved: {from: legacy, key: [id], write: upsert, copy: [id, note]}}"


@pytest.mark.slow
def test_keys_that_are_lost_on_their_way_are_missed(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where an engine computes outputs of a step apart, and a partition fails in one of them."""
    databases.legacy.run(
        "CREATE TABLE legacy (id int, note text);"
        "INSERT INTO legacy SELECT i % 19990, 'a' || i FROM generate_series(1, 20000) i"
    )
    databases.target.run("CREATE TABLE moved (id int PRIMARY KEY, note text)")
    spread = _SpreadKeys.step

    def without_some(step: _SpreadKeys, element: Any) -> Iterator[Any]:
        for output in spread(step, element):
            if isinstance(output, TaggedOutput) or not element.partition.id.endswith("1"):
                yield output

    with monkeypatch.context() as patch:
        patch.setattr(_SpreadKeys, "step", without_some)
        databases.migrate(SPECIFICATION, header=SMALL, expected=ExitStatus.INCOMPLETE)
    assert databases.target.row("SELECT count(*) FROM moved") == (0,)
    outcome = databases.migrate(SPECIFICATION, header=SMALL)
    assert outcome.summary.tables["moved"].rejected == 10
    assert databases.target.row("SELECT count(*) FROM moved") == (19_990,)
