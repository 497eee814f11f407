"""Two migrations of many kinds of rows, and all that each leaves behind in its target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from demo import fill_databases
from demo.fill_databases import Identity, fill_legacy, fill_target
from demo.truth import make_hospital
from schemas.operation_tables import RECORDS
from specs import load_mimic3
from tests.support.databases.two_databases import Database, Row

PATIENTS = 300


@dataclass(frozen=True)
class DataSet:
    """A legacy database that is filled, and what makes the tables of its target.

    ``specification`` is a whole one, with partitions of so few rows that there are several.
    """

    legacy: Database
    specification: str
    variables: dict[str, str]
    fill_target: Callable[[str], None]


def demo_hospital(legacy: Database) -> DataSet:
    """The demo with all of its faults."""
    hospital, truth = make_hospital(PATIENTS, 1)
    fill_legacy(legacy.url, hospital, truth, Identity.of(PATIENTS, 1))
    text = (Path(fill_databases.__file__).parent / "hospital.yaml").read_text()
    return DataSet(legacy, small(text), {}, lambda url: fill_target(url, hospital))


def mimic3(legacy: Database, shared_data: Path) -> DataSet:
    """The MIMIC-III demo, with the map of another year."""
    load_mimic3.load_folder(shared_data / "mimic3demo", legacy.url)
    specs = Path(load_mimic3.__file__).parent

    def make_tables(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute((specs / "mimic3_target.sql").read_bytes())

    gem = str(shared_data / "gems" / "2018_I9gem.txt")
    text = (specs / "mimic3.yaml").read_text()
    return DataSet(legacy, small(text), {"GEM_FILE": gem}, make_tables)


def small(specification: str) -> str:
    return f"limits: {{memory: 2MB}}\n{specification}"


OF_THE_RUN = (
    *("id", "root_cause_id", "specification", "specification_sha256", "seconds", "snapshot"),
    *(
        "started_at",
        "updated_at",
        "upgraded_at",
        "finished_at",
        "created_at",
        "source_state",
        "migrated_at",
    ),
    *("relation", "transaction", "xids"),
)
"""Columns that say when and where a run was: no two have the same."""

GENERATED = """
jsonb_build_object('encounter_id', (
    SELECT legacy_visit FROM encounters e WHERE e.encounter_id::text = to_jsonb(t)->>'encounter_id'
))"""
"""The demo's numbers of encounters are a sequence, whose numbers come in the order of commits."""


def left_behind(target: Database) -> dict[str, list[Row]]:
    """All rows of all tables, control tables too, without what is a run's own.

    The records of who ran what, and how fast, are its own as a whole.
    """
    tables = target.rows(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')"
        f" AND relname NOT IN {RECORDS}"
    )
    generates = ("encounters",) in tables
    return {table: target.rows(_content(table, generates)) for (table,) in sorted(tables)}


def _content(table: str, generates: bool) -> str:
    row = f"to_jsonb(t) - ARRAY{list(OF_THE_RUN)}"
    if table in ("encounters", "conditions"):
        row += f" || {GENERATED}"
    if table.endswith("migration_keys") and generates:
        row = (
            f"CASE load WHEN 'encounters' THEN {row} - 'target_key' || jsonb_build_object('names',"
            " (SELECT legacy_visit FROM encounters e WHERE e.encounter_id::text = t.target_key))"
            f" ELSE {row} END"
        )
    if table.endswith("migration_errors"):
        row += (
            " || jsonb_build_object('cause', (SELECT concat_ws(' ', c.load, c.source_key,"
            f" c.rule_id) FROM {table} c WHERE c.id = t.root_cause_id))"
        )
    return f"SELECT ({row})::text FROM {table} t ORDER BY 1"
