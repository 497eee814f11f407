"""Whole migrations between two servers agree with the oracle: rows, violations, counts, keys.

A run takes several generated hospitals at once, because most of its time goes into the graph.
ORACLE_MIGRATIONS asks for more runs than 10, ORACLE_SEED for others than the fixed ones. Where the
first runs lack a kind of outcome, runs of further seeds follow.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.oracle.hospital import migrations
from tests.oracle.migrations_on_servers import carry_out, described, disagreements
from tests.support.databases.two_databases import TwoDatabases, two_databases
from transforms.sources.postgres.partition_plan import PartitionBounds

RUNS = int(os.environ.get("ORACLE_MIGRATIONS", "10"))
HOSPITALS = 5
SEEDS = [int(s) for s in os.environ.get("ORACLE_SEED", "1 2 3 4").split()]

KINDS = {
    ("DATA-001", "missing"),
    ("DATA-002", "missing_parent"),
    ("DATA-002", "parent_rejected"),
    ("DATA-002", "parent_skipped"),
    ("DATA-002", "placeholder"),
    ("DATA-002", "set_null"),
    ("DATA-003", "conversion"),
    ("DATA-004", "duplicate"),
    ("DATA-004", "existing_key"),
    ("DATA-005", None),
    ("TRANS-002", "choice"),
    ("TRANS-002", "unknown_value"),
    ("TRANS-003", None),
    ("TRANS-004", "check_violation"),
}
"""What must have been among the examples."""


@pytest.fixture(scope="module")
def databases(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDatabases]:
    with two_databases(server, tmp_path_factory.mktemp("oracle")) as made:
        yield made


@pytest.mark.slow
def test_every_migration_ends_as_the_oracle_says(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: Counter[Any] = Counter()

    @settings(
        max_examples=RUNS,
        deadline=None,
        database=None,
        # A run takes seconds: what disagrees is shown as it is found, not made smaller first.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(migrations(HOSPITALS), st.sampled_from([2, 100_000]))
    def agree(migration: Any, partition_rows: int) -> None:
        monkeypatch.setattr(
            "pipelines.maps.run_contexts.PartitionBounds",
            lambda bytes: PartitionBounds(rows=partition_rows, bytes=bytes),
        )
        migration.run()
        job, outcome = carry_out(databases, migration)
        found = disagreements(databases, migration, job, outcome)
        assert not found, "\n".join([*found, described(migration, found)])
        for candidates in migration.candidates.values():
            for candidate in candidates:
                seen.update((v.code, v.reason) for v in candidate.violations)
        for counts in migration.counts.values():
            seen.update(f"skipped: {name.partition('.')[2] or name}" for name in counts.skipped_by)
            seen["empty"] += not counts.read
            seen["expanded"] += counts.expanded > 0
        seen["partitions"] += sum(t.partitions > 1 for t in outcome.summary.tables.values())

    skips = {f"skipped: {name}" for name in ("GONE", "ref", "duplicates", "existing")}
    wanted = {*KINDS, *skips, "empty", "expanded", "partitions"}
    for number in SEEDS:
        seed(number)(agree)()
        missing = wanted - {kind for kind, count in seen.items() if count}
        print(f"{RUNS} runs of {HOSPITALS} hospitals, seed {number}: {dict(seen)}")
        if not missing:
            break
    assert not missing
