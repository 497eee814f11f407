"""Jobs with rejected rows, their replay, and what must hold after each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.jobs.small_hospital import TABLES, fill, run_json

Capsys = pytest.CaptureFixture[str]


CONTENT = (
    "SELECT t::text FROM patients t ORDER BY 1",
    "SELECT patient_id, day FROM visits ORDER BY 1, 2",
    "SELECT d.diagnosis_id, d.seq, d.code, v.patient_id, v.day FROM diagnoses d"
    " JOIN visits v USING (visit_id) ORDER BY 1, 2",
)
"""What is in the target, apart from the numbers of a sequence."""


LEDGER = (
    "SELECT load, sum(candidates), sum(accepted), sum(rejected), sum(skipped), sum(written),"
    " sum(expanded), sum(inserted) FROM migration.migration_partitions GROUP BY load ORDER BY load"
)


OPEN = (
    "SELECT load, source_key, error_code, rule_id, reason FROM migration.migration_errors"
    " WHERE status = 'open' ORDER BY 1, 2, 3, 4"
)


def content(databases: TwoDatabases) -> list[list[Row]]:
    return [databases.target.rows(query) for query in CONTENT]


def moved(databases: TwoDatabases) -> TwoDatabases:
    fill(databases)
    databases.migrate(TABLES)
    return databases


def replay(databases: TwoDatabases, capsys: Capsys, *flags: str, status: int = 0) -> Any:
    return run_json(databases, capsys, ["rejects", "replay", "SPEC", *flags], status)


def assert_ledger_and_sink_agree(databases: TwoDatabases) -> None:
    """Identities of every partition, and its counts by code, against the rows themselves."""
    target = databases.target
    assert not target.rows(
        "SELECT load, partition_id FROM migration.migration_partitions"
        " WHERE candidates <> accepted + rejected + skipped OR written <> accepted + expanded"
    )
    for column, warning in (("violations", "false"), ("warnings", "true")):
        assert target.rows(
            f"SELECT load, key, sum(value::int8)::int8 FROM migration.migration_partitions,"
            f" jsonb_each_text({column}) GROUP BY 1, 2 ORDER BY 1, 2"
        ) == target.rows(
            "SELECT load, error_code, count(*) FROM migration.migration_errors"
            f" WHERE status <> 'replayed' AND warning = {warning} GROUP BY 1, 2 ORDER BY 1, 2"
        )
    assert target.rows(
        "SELECT load, sum(rejected)::int8 FROM migration.migration_partitions GROUP BY load"
        " HAVING sum(rejected) > 0 ORDER BY 1"
    ) == target.rows(
        "SELECT load, count(DISTINCT (partition_id, source_key)) FROM migration.migration_errors"
        " WHERE status <> 'replayed' AND NOT warning GROUP BY 1 ORDER BY 1"
    )
    assert target.rows(
        "SELECT load, key, sum(value::int8)::int8 FROM migration.migration_partitions,"
        " jsonb_each_text(rejected_by) GROUP BY 1, 2 ORDER BY 1, 2"
    ) == target.rows(
        "SELECT load, error_code, count(DISTINCT source_key) FROM migration.migration_errors"
        " WHERE status <> 'replayed' AND NOT warning GROUP BY 1, 2 ORDER BY 1, 2"
    )


MENDED = """
UPDATE legacy_patients SET name = 'Eve', born = '1980-12-01' WHERE id = 2;
UPDATE legacy_patients SET sex = 'F' WHERE id = 3;
UPDATE legacy_patients SET pat_no = 'P6' WHERE id = 6;
UPDATE legacy_visits SET pat_no = 'P1' WHERE visit_no = 12;
UPDATE legacy_visits SET day = '2020-01-01' WHERE visit_no = 14;
UPDATE legacy_diagnoses SET code = '5990' WHERE diag_no = 103;
"""


STAFF = """
tables:
  staff:
    from: legacy_staff
    source_key: [id]
    key: [name]
    write: {write}
    duplicates: {{keep: last, order: [age]}}
    fields:
      name: {{from: name}}
      age: {{from: age}}
"""


BOSS = "      boss: {from: boss, ref: staff, deferred: true}\n"


def staff(databases: TwoDatabases, rows: str, write: str = "insert", boss: str = "") -> None:
    databases.legacy.run(
        "CREATE TABLE legacy_staff (id int, name text, age text, boss text);"
        f"INSERT INTO legacy_staff VALUES {rows}"
    )
    databases.target.run(
        "CREATE TABLE staff (name text PRIMARY KEY, age int, boss text REFERENCES staff)"
    )
    databases.migrate(STAFF.format(write=write) + boss)
