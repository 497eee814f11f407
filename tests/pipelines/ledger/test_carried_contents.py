"""What becomes of the contents of control tables of version 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from pipelines.ledger.control_schema import create_control_tables
from schemas.specification.reading import read_specification
from tests.support.databases.two_databases import Row, TwoDatabases

VERSION_1 = Path(__file__).with_name("control_version_1.sql").read_text(encoding="utf-8")

STORED = {"rows": 4, "file": 16384, "horizon": "730"}
UNSTORED = {"rows": 4, "file": None, "horizon": None, "readable": ["id"]}
FILES = {"rows": 4, "files": {"wards.csv": [10, 20.0]}}

MIGRATE = [("wards", "migrate")]


def definition(**load: Any) -> dict[str, Any]:
    """The definition of a load as version 1 stored it, without what an upgrade doesn't read."""
    duplicates = {"keep": "first", "order": [], "losers": "reject"}
    defaults = {
        "from": [{"table": "wards", "query": None, "file": None, "unpivot": None, "split": None}],
        "into": "wards",
        "key": ["id"],
        "copy": ["id", "name"],
        "source_key": None,
        "fields": {},
        "duplicates": duplicates,
    }
    return {
        "load": defaults | load | {"duplicates": duplicates | load.get("duplicates", {})},
        "source": {"format": None},
        "maps": {},
        "stored": {"the new keys of its rows": False, "which rows are skipped": True},
    }


class Earlier:
    """Control tables of version 1 with a job of one load."""

    def __init__(self, databases: TwoDatabases) -> None:
        self.databases = databases
        databases.target.run(VERSION_1)
        databases.target.run("CREATE TABLE wards (id int PRIMARY KEY, name text)")
        self.add(
            "migration_jobs (job_id, state, specification_sha256, specification, started_at)",
            *("moved", "incomplete", "", "source: {url: 'postgresql://me:secret@h/d'}", "now"),
        )

    def add(self, table: str, *values: Any) -> None:
        self.databases.target.connection.execute(
            f"INSERT INTO migration.{table} VALUES ({', '.join(['%s'] * len(values))})".encode(),
            values,
        )

    def add_load(
        self, states: str, definition: dict[str, Any], source: dict[str, Any] = STORED
    ) -> None:
        """The load with a partition for each letter: done or planned."""
        self.add(
            "migration_loads (job_id, load, level, target_table, definition, source_rows,"
            " target_rows_before, source_state, compared)",
            *("moved", "wards", 0, "public.wards", json.dumps(definition), 4, 0, Jsonb([source])),
            True,
        )
        for number, state in enumerate(states, 1):
            self.add(
                "migration_partitions (job_id, load, partition_id, predicate, planned_rows, state)",
                *("moved", "wards", f"{number:06d}", "TRUE", 2, _STATES[state]),
            )

    def add_losers(self, *losers: tuple[str, int, str, str | None]) -> None:
        """Losers as (partition, ordinal, claim, winner)."""
        for partition, ordinal, claim, winner in losers:
            self.add(
                "migration_duplicates",
                *("moved", "wards", partition, ordinal, f"{partition}:{ordinal}", claim, winner),
            )

    def upgrade(self) -> None:
        header = 'job: moved\nsource: {url: "${LEGACY_URL}"}\n'
        header += 'target: {url: "${TARGET_URL}", control_schema: migration}\n'
        path = self.databases.write("tables: {wards: {from: wards, copy: [id]}}\n", header)
        create_control_tables(read_specification(path, self.databases.variables))

    def rows(self, table: str, columns: str) -> list[Row]:
        return self.databases.target.rows(
            f"SELECT {columns} FROM migration.migration_{table} ORDER BY {columns}"
        )

    def definition(self) -> dict[str, Any]:
        ((text,),) = self.rows("loads", "definition")
        stored: dict[str, Any] = json.loads(text)
        return stored


_STATES = {"d": "done", "p": "planned", "f": "failed"}


@pytest.fixture
def earlier(databases: TwoDatabases) -> Earlier:
    return Earlier(databases)


@pytest.mark.parametrize("states", ["pp", "f", ""])
def test_a_plan_of_which_nothing_is_committed_is_forgotten(earlier: Earlier, states: str) -> None:
    earlier.add_load(states, definition())
    earlier.add_losers(("000001", 1, "a", "9"))
    earlier.upgrade()
    for table in ("loads", "partitions", "duplicates", "earlier_findings"):
        assert earlier.rows(table, "job_id") == []


def test_an_empty_load_that_is_settled_stays(earlier: Earlier) -> None:
    earlier.add_load("", definition())
    earlier.databases.target.run("UPDATE migration.migration_loads SET settled = true")
    earlier.upgrade()
    assert earlier.rows("loads", "load, compared") == [("wards", True)]


def test_a_load_that_is_written_in_part_is_compared_again(earlier: Earlier) -> None:
    earlier.add_load("dp", definition())
    earlier.add_losers(("000001", 1, "a", "9"), ("000002", 0, "b", None))
    earlier.add("migration_group_findings", "moved", "wards", "000002", 1, "no_gaps", "k", "c")
    earlier.upgrade()
    assert earlier.rows("loads", "load, compared") == [("wards", False)]
    assert earlier.rows("duplicates", "ordinal") == []
    assert earlier.rows("group_findings", "ordinal") == []
    columns = "rule, partition_id, ordinal, winner_key"
    assert earlier.rows("earlier_findings", columns) == [
        ("", "000001", 1, "9"),
        ("", "000002", 0, None),
        ("no_gaps", "000002", 1, None),
    ]


LOSERS = (
    ("000002", 5, "a", "9"),
    ("000001", 7, "a", "9"),
    ("000001", 3, "b", "8"),
    ("000002", 0, "a", "9"),
)

PLACES = {
    "without an order, by their places": (
        {},
        LOSERS,
        [("000001:3", 2), ("000001:7", 2), ("000002:0", 3), ("000002:5", 4)],
    ),
    "without an order, from the end": (
        {"keep": "last"},
        LOSERS,
        [("000001:3", 2), ("000001:7", 4), ("000002:0", 3), ("000002:5", 2)],
    ),
    "with an order, a loser alone": (
        {"order": ["name"]},
        (("000001", 1, "a", "9"), ("000001", 2, "b", "8"), ("000001", 3, "c", "8")),
        [("000001:1", 2), ("000001:2", None), ("000001:3", None)],
    ),
    "with an order, the winner unknown": (
        {"order": ["name"]},
        (("000001", 1, "a", None),),
        [("000001:1", None)],
    ),
}


@pytest.mark.parametrize("case", PLACES)
def test_losers_of_a_complete_load_get_the_places_that_can_be_known(
    earlier: Earlier, case: str
) -> None:
    duplicates, losers, places = PLACES[case]
    earlier.add_load("dd", definition(duplicates=duplicates))
    earlier.add_losers(*losers)
    earlier.upgrade()
    assert earlier.rows("duplicates", "source_key, place") == places
    # Those that lost one key are together.
    digests: dict[str, str] = dict(earlier.rows("duplicates", "source_key, key_digest"))
    by_winner = {f"{partition}:{ordinal}": winner for partition, ordinal, _, winner in losers}
    assert len(set(digests.values())) == len(set(by_winner.values()))
    assert earlier.rows("refused_loads", "load, verb") == []


REFUSED: dict[str, tuple[Any, ...]] = {
    "a table": ("dp", definition(), STORED, []),
    "a view, complete": ("dd", definition(), UNSTORED, []),
    "a view": ("dp", definition(), UNSTORED, MIGRATE),
    "files": ("dp", definition(), FILES, []),
    "files of one column": ("dp", definition(copy=["name"]), FILES, MIGRATE),
    "files of one column, complete": ("dd", definition(copy=["name"]), FILES, []),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_load_whose_source_may_have_changed_unseen_is_refused(
    earlier: Earlier, case: str
) -> None:
    states, stored, source, refused = REFUSED[case]
    earlier.add_load(states, stored, source)
    earlier.upgrade()
    assert earlier.rows("refused_loads", "load, verb") == refused


DECIDED = {
    "as they stand, undotted": ("undotted", "E119", []),
    "as they stand, dotted": ("dotted", "E11.9", []),
    "as they stand, without room for a dot": (None, "I10", []),
    "with a dot less": ("undotted", "E11.9", MIGRATE),
    "with a dot more": ("dotted", "E119", MIGRATE),
    "as the source is": (None, "E11.9", MIGRATE),
    "in capitals": ("undotted", "e119", MIGRATE),
}


@pytest.mark.parametrize("case", DECIDED)
def test_a_load_whose_decisions_would_be_written_otherwise_is_refused(
    earlier: Earlier, case: str
) -> None:
    notation, target, refused = DECIDED[case]
    stored = definition()
    stored["maps"] = {"icd": {"gem": "gem.txt", "notation": notation}}
    earlier.add_load("dp", stored)
    decisions = {"icd": {"2500": [target], "4019": [None]}, "other": {"1": ["x.y"]}}
    earlier.databases.target.connection.execute(
        "UPDATE migration.migration_jobs SET decisions = %s", [Jsonb(decisions)]
    )
    earlier.upgrade()
    assert earlier.rows("refused_loads", "load, verb") == refused
    ((converted,),) = earlier.rows("jobs", "decisions")
    bare = target.replace(".", "")
    assert converted == {"icd": {"2500": [bare], "4019": [None]}, "other": {"1": ["x.y"]}}


def test_losers_of_keys_that_only_the_target_compares_are_not_replayed(earlier: Earlier) -> None:
    earlier.databases.target.run("ALTER TABLE wards ADD COLUMN stay interval")
    earlier.add_load("dd", definition(key=["stay"]))
    earlier.add_losers(("000001", 1, "a", "9"))
    earlier.upgrade()
    assert earlier.rows("refused_loads", "load, verb") == [("wards", "replay")]


def test_definitions_get_the_keys_that_a_specification_has_since(earlier: Earlier) -> None:
    stored = definition()
    stored["maps"] = {"icd": {"gem": "gem.txt", "policy": {"no_map": "keep_source"}}}
    earlier.add_load("dp", stored)
    earlier.upgrade()
    converted = earlier.definition()
    assert converted["source"] == {"format": None, "escape": None, "follow_links": False}
    assert converted["maps"]["icd"]["policy"] == {"no_map": "no_target"}
    assert converted["stored"] == stored["stored"]


def test_skipped_rows_beside_a_generated_key_count_as_not_stored(earlier: Earlier) -> None:
    earlier.add_load("dp", definition(fields={"number": {"generate": "sequence", "from": None}}))
    earlier.upgrade()
    assert earlier.definition()["stored"]["which rows are skipped"] is False


def test_a_stored_specification_loses_its_passwords(earlier: Earlier) -> None:
    earlier.upgrade()
    ((text,),) = earlier.rows("jobs", "specification")
    assert "secret" not in text
