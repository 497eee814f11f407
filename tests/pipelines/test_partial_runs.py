"""Runs that stop at a budget, do some loads only, or find a specification that has changed."""

from __future__ import annotations

import pytest

from pipelines.cli import main
from schemas.errors import ErrorCode, ExitStatus
from tests.pipelines.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.pipelines.two_databases import HEADER, Row, TwoDatabases

BUDGET = SMALL + "errors: {budget: {%s}}\n"


@pytest.mark.parametrize(
    ("budget", "raised"),
    [
        ("rejected: 1%, min_rows: 100", "rejected: 3000"),
        ("rejected: 50%, TRANS-002: 5", "rejected: 50%, TRANS-002: 5%"),
    ],
)
def test_a_broken_budget_stops_the_run_until_it_is_raised(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]], budget: str, raised: str
):
    prepare(databases)
    done = []
    for _ in range(2):
        outcome = databases.migrate(
            SPECIFICATION, header=BUDGET % budget, expected=ExitStatus.STOPPED
        )
        people = outcome.summary.tables["people"]
        done.append(people.partitions_done)
        assert outcome.summary.state == "stopped"
        assert outcome.problems[-1].where == "table people"
        assert "budget" in outcome.problems[-1].message
        assert outcome.summary.tables["visits"].partitions_done == 0
    assert done == [done[0]] * 2
    assert 0 < done[0] < people.partitions
    outcome = databases.migrate(SPECIFICATION, header=BUDGET % raised)
    assert outcome.summary.state == "complete"
    assert content(databases) == undisturbed


def test_a_budget_that_breaks_with_the_last_partition(databases: TwoDatabases):
    prepare(databases)
    outcome = databases.migrate(
        SPECIFICATION,
        header=HEADER + "errors: {budget: {rejected: 3}}\n",
        expected=ExitStatus.STOPPED,
    )
    assert outcome.summary.tables["people"].rejected > 3
    outcome = databases.migrate(SPECIFICATION)
    assert outcome.summary.state == "complete"


def test_a_budget_counts_from_its_smallest_number_of_rows_on(databases: TwoDatabases):
    prepare(databases)
    databases.migrate(
        SPECIFICATION, header=HEADER + "errors: {budget: {rejected: 0%, min_rows: 100000}}\n"
    )


def test_single_loads_one_after_the_other(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]]
):
    prepare(databases)

    def only(*loads: str) -> dict[str, int]:
        outcome = databases.migrate(
            SPECIFICATION, only=loads, header=SMALL, expected=ExitStatus.INCOMPLETE
        )
        return {n: load.partitions_done for n, load in outcome.summary.tables.items()}

    assert only("visits") == {"people": 0, "visits": 0, "totals": 0}
    done = only("people")
    assert (done["people"] > 1, done["visits"], done["totals"]) == (True, 0, 0)
    assert only("people") == done
    assert only("visits", "people")["visits"] > 1
    databases.migrate(SPECIFICATION, only=["totals"], header=SMALL)
    assert content(databases) == undisturbed


def test_an_unknown_load_is_named(databases: TwoDatabases, capsys: pytest.CaptureFixture[str]):
    prepare(databases)
    path = databases.write(SPECIFICATION)
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    assert main(["migrate", str(path), "--table", "visit", *variables]) == ExitStatus.REFUSED
    assert "no load 'visit'" in capsys.readouterr().err


def test_a_load_that_is_added_later(databases: TwoDatabases, undisturbed: dict[str, list[Row]]):
    prepare(databases)
    first, totals = SPECIFICATION.rsplit("  totals:", 1)
    databases.migrate(first, header=SMALL)
    before = databases.target.rows("SELECT ctid, xmin::text, id FROM people")
    outcome = databases.migrate(f"{first}  totals:{totals}", header=SMALL)
    assert not outcome.already
    assert databases.target.rows("SELECT ctid, xmin::text, id FROM people") == before
    assert content(databases) == undisturbed


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
    databases.migrate(SPECIFICATION)


def test_what_decides_nothing_may_change(databases: TwoDatabases):
    prepare(databases)
    databases.migrate(SPECIFICATION, only=["people"], expected=ExitStatus.INCOMPLETE)
    databases.migrate(
        SPECIFICATION.replace("maps:", "x-note: mended\nmaps:"),
        header=SMALL + "errors: {budget: {rejected: 90%}}\n",
    )
