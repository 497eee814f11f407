"""Runs that stop at a budget, do some loads only, or find a specification that has changed."""

from __future__ import annotations

import pytest

from pipelines.cli import main
from schemas.errors import ErrorCode, ExitStatus
from tests.pipelines.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.pipelines.two_databases import HEADER, Row, TwoDatabases

BUDGET = SMALL + "errors: {budget: {%s}}\n"


def test_a_broken_budget_stops_the_run_until_it_is_raised(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]]
):
    prepare(databases)
    done = []
    for budget, only in (
        ("rejected: 50%, TRANS-002: 5", []),
        ("rejected: 0%, min_rows: 100", ["people"]),
        ("rejected: 3", ["people"]),
    ):
        outcome = databases.migrate(
            SPECIFICATION, only=only, header=BUDGET % budget, expected=ExitStatus.STOPPED
        )
        people = outcome.summary.tables["people"]
        done.append(people.partitions_done)
        assert outcome.summary.state == "stopped"
        assert outcome.problems[-1].where == "table people"
        assert "budget" in outcome.problems[-1].message
        assert outcome.summary.tables["visits"].partitions_done == 0
    assert done == [done[0]] * 3
    assert 0 < done[0] < people.partitions
    outcome = databases.migrate(SPECIFICATION, header=BUDGET % "rejected: 3000, TRANS-002: 5%")
    assert outcome.summary.state == "complete"
    assert content(databases) == undisturbed


def test_a_budget_that_breaks_with_the_last_partition(databases: TwoDatabases):
    databases.legacy.run("CREATE TABLE a (id int); INSERT INTO a VALUES (1), (NULL)")
    databases.target.run("CREATE TABLE a (id int NOT NULL)")
    load = "tables: {a: {from: a, copy: [id]}}\n"
    header = HEADER + "errors: {budget: {rejected: 0}}\n"
    databases.migrate(load, header=header, expected=ExitStatus.STOPPED)
    outcome = databases.migrate(load)
    assert outcome.summary.state == "complete"
    assert outcome.summary.violations == {"DATA-001": 1}


@pytest.mark.slow
def test_single_loads_one_after_the_other(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]]
):
    prepare(databases)

    def only(*loads: str, waiting: tuple[str, ...] = ()) -> dict[str, int]:
        outcome = databases.migrate(
            SPECIFICATION, only=loads, header=SMALL, expected=ExitStatus.INCOMPLETE
        )
        assert tuple(f"{p.code.value} {p.where}: {p.message}" for p in outcome.problems) == waiting
        return {n: load.partitions_done for n, load in outcome.summary.tables.items()}

    told = "USER-003 table visits: the load wasn't started, because it needs people"
    assert only("visits", waiting=(told,)) == {"people": 0, "visits": 0, "totals": 0}
    done = only("people")
    assert (done["people"] > 1, done["visits"], done["totals"]) == (True, 0, 0)
    databases.migrate(SPECIFICATION, header=SMALL)
    assert content(databases) == undisturbed


def test_an_unknown_load_is_named(databases: TwoDatabases, capsys: pytest.CaptureFixture[str]):
    prepare(databases)
    path = databases.write(SPECIFICATION)
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    assert main(["migrate", str(path), "--table", "visit", *variables]) == ExitStatus.REFUSED
    assert "no load 'visit'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_load_that_is_added_later(databases: TwoDatabases, undisturbed: dict[str, list[Row]]):
    prepare(databases)
    first, _, _ = SPECIFICATION.partition("  visits:")
    databases.migrate(first, header=SMALL)
    before = databases.target.rows("SELECT ctid, xmin::text, id FROM people")
    outcome = databases.migrate(SPECIFICATION, header=SMALL)
    assert not outcome.already
    assert databases.target.rows("SELECT ctid, xmin::text, id FROM people") == before
    assert content(databases) == undisturbed


def test_children_that_are_added_later_know_why_their_parent_is_missing(databases: TwoDatabases):
    databases.legacy.run(
        "CREATE TABLE people (id int PRIMARY KEY, name text); INSERT INTO people VALUES (1, NULL);"
        "CREATE TABLE visits (id int PRIMARY KEY, person int); INSERT INTO visits VALUES (7, 1)"
    )
    databases.target.run(
        "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL);"
        "CREATE TABLE visits (id int PRIMARY KEY, person int REFERENCES people)"
    )
    people = "tables:\n  people: {from: people, key: [id], copy: [id, name]}\n"
    databases.migrate(people)
    fields = "fields: {id: {from: id}, person: {from: person, ref: people}}"
    databases.migrate(f"{people}  visits: {{from: visits, key: [id], {fields}}}\n")
    assert databases.target.row(
        "SELECT e.source_key, e.reason, cause.rule_id FROM migration.migration_errors e"
        " JOIN migration.migration_errors cause ON cause.id = e.root_cause_id"
    ) == ("7", "parent_rejected", "name.required")


CHANGES = {
    "a field": ("copy: [id, note]", "copy: [id]", ["visits"]),
    "a policy": ("on_missing: set_null", "on_missing: reject", ["people"]),
    "a map": ("{F: F, M: M}", '{F: F, M: M, "?": U}', ["people"]),
    "a default": ("maps:", "defaults: {blank: keep}\nmaps:", ["people", "totals", "visits"]),
}


def test_loads_that_have_changed_are_refused(databases: TwoDatabases):
    prepare(databases)
    databases.migrate(SPECIFICATION, only=["people"], expected=ExitStatus.INCOMPLETE)
    before = databases.target.rows("TABLE migration.migration_jobs")
    for old, new, named in CHANGES.values():
        changed = SPECIFICATION.replace(old, new)
        assert changed != SPECIFICATION
        error = databases.refused(changed)
        places = sorted(p.where.rpartition(" ")[2] for p in error.problems)
        assert places == [f"tables.{name}" for name in named]
        assert {p.code for p in error.problems} == {ErrorCode.USER_003}
    assert databases.target.rows("TABLE migration.migration_jobs") == before


def test_what_decides_nothing_may_change(databases: TwoDatabases):
    """Such as a budget; this one begins to count after the last row."""
    prepare(databases)
    databases.migrate(SPECIFICATION, only=["people"], expected=ExitStatus.INCOMPLETE)
    databases.migrate(
        SPECIFICATION.replace("maps:", "x-note: mended\nmaps:"),
        header=BUDGET % "rejected: 0%, min_rows: 100000",
        only=["people"],
        expected=ExitStatus.INCOMPLETE,
    )
