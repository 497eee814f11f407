"""A ward with beds, a sound setup of two databases, and how tests of ``doctor`` look at it."""

from __future__ import annotations

from pipelines import Diagnosis, read_specification, run_doctor
from pipelines.doctor.health_finding import FindingLevel, HealthFinding
from tests.support.databases.two_databases import Database, TwoDatabases

LEGACY = """
CREATE TABLE old_wards (id int PRIMARY KEY, code text, name text);
INSERT INTO old_wards SELECT i, 'W' || i, 'ward' || i FROM generate_series(1, 20) i;
CREATE TABLE old_beds (id int PRIMARY KEY, ward text, kind text);
INSERT INTO old_beds SELECT i, 'W' || i % 20 + 1, 'A' FROM generate_series(1, 200) i;
"""

TARGET = """
CREATE TABLE wards (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE beds (id int PRIMARY KEY, ward text REFERENCES wards (code), kind text);
CREATE INDEX ON beds (ward);
"""

LOADS = """
maps:
  kinds: {values: {A: adult, C: child}}
tables:
  wards:
    from: old_wards
    key: [code]
    fields:
      code: {from: code}
      name: {from: name, required: true, rule: NAME_REQUIRED}
  beds:
    from: old_beds
    key: [id]
    fields:
      id: {from: id}
      ward: {from: ward, ref: wards}
      kind: {from: kind, map: kinds}
"""


def fill(databases: TwoDatabases) -> None:
    """Make the tables and write the specification."""
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    databases.write(LOADS)


def diagnose(databases: TwoDatabases, long_after: float = 300.0, deep: bool = False) -> Diagnosis:
    specification = read_specification(
        databases.folder / "specification.yaml", databases.variables, defer_fields=True
    )
    return run_doctor(specification, deep, long_after)


def severe(diagnosis: Diagnosis) -> list[HealthFinding]:
    """The findings above advice, without those on the machine that runs the tests."""
    return [
        one
        for one in diagnosis.findings
        if one.level is not FindingLevel.ADVICE and one.subject != "machine"
    ]


def only(diagnosis: Diagnosis) -> HealthFinding:
    """The single finding above advice."""
    (finding,) = severe(diagnosis)
    return finding


def apply(database: Database, fix: str) -> None:
    """Send a fix statement by statement, as psql does."""
    for statement in fix.splitlines():
        database.run(statement)
