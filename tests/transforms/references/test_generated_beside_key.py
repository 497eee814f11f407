"""A generated column beside a natural key of several columns: references take the generated one."""

from __future__ import annotations

import pytest

from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import run_json
from tests.support.runs.replays import assert_ledger_and_sink_agree

LEGACY = """
CREATE TABLE persons (id int UNIQUE, site text, mrn text, name text, mother text,
    PRIMARY KEY (site, mrn));
INSERT INTO persons VALUES (1, 'A', '1', 'x', NULL), (2, 'B', '1', 'y', NULL),
    (3, 'B', '2', 'z', '1'), (4, 'C', '1', NULL, NULL);
CREATE TABLE visits (id int PRIMARY KEY, site text, mrn text, person int);
INSERT INTO visits VALUES (10, 'A', '1', 1), (11, 'B', '1', 2), (12, 'B', '2', 3),
    (13, 'C', '1', 4), (14, 'D', '1', 5);
"""

TARGET = """
CREATE TABLE patients (patient_id int GENERATED ALWAYS AS IDENTITY (START 500) PRIMARY KEY,
    site text, mrn text, name text NOT NULL, mother int REFERENCES patients, UNIQUE (site, mrn));
CREATE TABLE people (LIKE patients INCLUDING ALL);
CREATE TABLE visits (id int PRIMARY KEY, patient_id int REFERENCES patients);
CREATE TABLE stays (id int PRIMARY KEY, person_id int REFERENCES people);
"""

SPECIFICATION = """
tables:
  patients:
    from: persons
    key: [site, mrn]
    copy: [site, mrn, name]
    fields:
      patient_id: {generate: sequence}
      mother: {from: [site, mother], ref: patients, deferred: true}
  people:
    from: persons
    source_key: id
    key: [site, mrn]
    copy: [site, mrn, name]
    fields: {patient_id: {generate: sequence}}
  visits:
    from: visits
    key: [id]
    copy: [id]
    fields: {patient_id: {from: [site, mrn], ref: patients}}
  stays:
    from: visits
    key: [id]
    copy: [id]
    fields: {person_id: {from: person, ref: people}}
"""

RIGHT = [(10, "A", "1"), (11, "B", "1"), (12, "B", "2")]


@pytest.mark.slow
def test_references_take_the_generated_column(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the parent's key, where that identifies its rows in the source, and by its source key."""
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    databases.write(SPECIFICATION)
    plan = run_json(databases, capsys, ["plan", "SPEC", "--full"])
    summary = run_json(databases, capsys, ["migrate", "SPEC"])
    for child, column, parents in (
        ("visits", "patient_id", "patients"),
        ("stays", "person_id", "people"),
    ):
        assert (
            databases.target.rows(
                f"SELECT c.id, p.site, p.mrn FROM {child} c"
                f" JOIN {parents} p ON p.patient_id = c.{column} ORDER BY 1"
            )
            == RIGHT
        )
        for load in (child, parents):
            assert plan["tables"][load]["rejected"] == summary["tables"][load]["rejected"]
        assert [e[1:] for e in databases.errors("load, source_key, reason") if e[0] == child] == [
            ("13", "parent_rejected"),
            ("14", "missing_parent"),
        ]
    assert databases.target.rows(
        "SELECT c.mrn, p.mrn FROM patients c JOIN patients p ON p.patient_id = c.mother"
    ) == [("2", "1")]
    databases.legacy.run("UPDATE persons SET name = 'w' WHERE id = 4")
    run_json(databases, capsys, ["rejects", "replay", "SPEC"])
    assert databases.target.row("SELECT count(*) FROM visits JOIN patients USING (patient_id)") == (
        4,
    )
    assert_ledger_and_sink_agree(databases)


def test_a_reference_by_a_key_that_identifies_nothing_in_the_source(
    databases: TwoDatabases,
) -> None:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    by_key = SPECIFICATION.replace(
        "{from: person, ref: people}", "{from: [site, mrn], ref: people}"
    )
    problem = databases.refused(by_key).problems[0]
    assert "add 'source_key: [site, mrn]' to 'people'" in str(problem)
