"""Runs that stop at a budget, do some loads only, or find a specification that has changed."""

from __future__ import annotations

import pytest

from pipelines.cli.main import main
from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.two_databases import HEADER, Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare

pytestmark = pytest.mark.slow


BUDGET = SMALL + "errors: {budget: {%s}}\n"


def test_a_broken_budget_stops_the_run_until_it_is_raised(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]]
) -> None:
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


def test_a_budget_that_breaks_with_the_last_partition(databases: TwoDatabases) -> None:
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
) -> None:
    prepare(databases)

    def only(*loads: str, waiting: tuple[str, ...] = (), already: bool = False) -> dict[str, int]:
        expected = ExitStatus.INCOMPLETE if waiting else ExitStatus.COMPLETE
        outcome = databases.migrate(SPECIFICATION, only=loads, header=SMALL, expected=expected)
        assert tuple(map(str, outcome.problems)) == waiting
        assert outcome.summary.state == "incomplete"
        assert outcome.already is already
        return {n: load.partitions_done for n, load in outcome.summary.tables.items()}

    why = (
        "USER-003 table visits: the load wasn't started, because it needs people"
        " -> run these as well: --table people --table visits"
    )
    assert only("visits", waiting=(why,)) == {"people": 0, "visits": 0, "totals": 0}
    done = only("people")
    assert (done["people"] > 1, done["visits"], done["totals"]) == (True, 0, 0)
    # Nothing is left to do for it, though for the job.
    assert only("people", already=True) == done
    databases.migrate(SPECIFICATION, header=SMALL)
    assert content(databases) == undisturbed


def test_an_unknown_load_is_named(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(databases)
    path = databases.write(SPECIFICATION)
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    assert main(["migrate", str(path), "--table", "visit", *variables]) == ExitStatus.REFUSED
    assert "no load 'visit'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_load_that_is_added_later(
    databases: TwoDatabases, undisturbed: dict[str, list[Row]]
) -> None:
    prepare(databases)
    first, _, _ = SPECIFICATION.partition("  visits:")
    databases.migrate(first, header=SMALL)
    before = databases.target.rows("SELECT ctid, xmin::text, id FROM people")
    outcome = databases.migrate(SPECIFICATION, header=SMALL)
    assert not outcome.already
    assert databases.target.rows("SELECT ctid, xmin::text, id FROM people") == before
    assert content(databases) == undisturbed


def test_children_that_are_added_later_know_why_their_parent_is_missing(
    databases: TwoDatabases,
) -> None:
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
    "a field": (
        "copy: [id, name]",
        "copy: [id]",
        "tables.people.copy",
        """'copy' has changed from ["id", "name"] to ["id"]""",
    ),
    "a policy": (
        "on_missing: set_null",
        "on_missing: reject",
        "tables.people.fields.mother.on_missing",
        'from "set_null" to "reject"',
    ),
    "a map": ("{F: F, M: M}", '{F: F, M: M, "?": U}', "maps.sex.values.?", 'from nothing to "U"'),
    "a field without its map": (
        "maps: {sex: {values: {F: F, M: M}}}\n",
        "",
        "tables.people.fields.sex",
        """'fields.sex.map' has changed from "sex" to nothing""",
    ),
    "a default": (
        "maps:",
        "defaults: {blank: keep}\nmaps:",
        "tables.people",
        "'defaults.blank' has changed from true to false",
    ),
    "the source": (
        "from: people\n    key",
        "from: others\n    key",
        "tables.people.from",
        "others",
    ),
    "the key": (
        "key: [id]\n    copy: [id, name]",
        "key: [name]\n    copy: [id, name]",
        "tables.people.key",
        'from ["id"] to ["name"]',
    ),
}
"""What is changed, where that is told, and with which words."""

NEVER = ("a field", "a policy", "a default", "the source", "the key")


def test_changes_of_loads_that_are_begun_are_refused(databases: TwoDatabases) -> None:
    prepare(databases)
    databases.legacy.run("CREATE VIEW others AS TABLE people")
    databases.migrate(SPECIFICATION, only=["people"])
    # A command that is refused has shut former runs out all the same.
    row = "SELECT to_jsonb(j) - 'runs' FROM migration.migration_jobs j"
    before = databases.target.rows(row)
    for what, (old, new, where, told) in CHANGES.items():
        assert SPECIFICATION.count(old) == 1, old
        changed = SPECIFICATION.replace(old, new)
        if "maps:" not in changed:
            changed = changed.replace("{from: sex, map: sex}", "{from: sex}")
        error = databases.refused(changed)
        (problem,) = error.problems
        assert problem.code is ErrorCode.USER_003
        assert problem.where.rpartition(" ")[2] == where
        assert told in problem.message
        assert ("--accept-changes" in problem.remedy) == (what not in NEVER)
    assert databases.target.rows(row) == before


def test_changes_that_are_accepted_hold_for_what_is_not_written(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.legacy.run(
        "CREATE TABLE a AS SELECT i AS id, repeat('n', 99) AS note FROM generate_series(1, 9999) i"
    )
    databases.target.run("CREATE TABLE a (id int PRIMARY KEY, note text, origin text)")
    load = "tables: {a: {from: a, key: [id], copy: [id, note], fields: {origin: {const: ONE}}%s}}\n"
    # A budget that the first partition breaks leaves the others to be done.
    rule = ", rules: {R: 'id > 1'}"
    header = SMALL + "errors: {budget: {rejected: 0}}\n"
    databases.migrate(load % rule, header=header, expected=ExitStatus.STOPPED)
    path = str(databases.write((load % rule).replace("ONE", "TWO"), SMALL))
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    assert main(["migrate", path, *variables]) == ExitStatus.REFUSED
    assert 'from "ONE" to "TWO"' in capsys.readouterr().err
    assert main(["migrate", path, "--accept-changes", *variables]) == ExitStatus.COMPLETE
    found: dict[str, int] = dict(
        databases.target.rows("SELECT origin, count(*) FROM a GROUP BY origin")
    )
    assert found.keys() == {"ONE", "TWO"}
    assert sum(found.values()) == 9998
    assert main(["migrate", path, *variables]) == ExitStatus.COMPLETE
    databases.write((load % rule).replace("from: a, ", "from: {query: select 1 as id}, "), SMALL)
    assert main(["migrate", path, "--accept-changes", *variables]) == ExitStatus.REFUSED


def test_a_field_that_a_key_is_made_of_may_not_change(databases: TwoDatabases) -> None:
    databases.legacy.run("CREATE TABLE a AS SELECT 1 AS id, 'x' AS kind")
    databases.target.run("CREATE TABLE a (id text PRIMARY KEY, kind text, note text)")
    load = (
        "tables: {a: {from: a, key: [id], fields: {kind: {from: kind, transform: %s},"
        ' id: {sql: "out.kind || id"}, note: {const: %s}}}}\n'
    )
    databases.migrate(load % ("trim", "one"))
    for changed, accepted in ((("upper", "one"), False), (("trim", "two"), True)):
        (problem,) = databases.refused(load % changed).problems
        assert ("--accept-changes" in problem.remedy) == accepted


def test_codes_of_another_file_are_not_mixed_in(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE d AS SELECT i AS id, '4019' AS code, repeat('n', 99) AS note"
        " FROM generate_series(1, 9999) i"
    )
    databases.target.run("CREATE TABLE d (id int PRIMARY KEY, note text, code text)")
    gem = databases.folder / "gem.txt"
    gem.write_text("4019  I10     10000\n")
    load = """
maps: {icd: {gem: gem.txt}}
tables: {d: {from: d, key: [id], copy: [id, note], fields: {code: {from: code, map: icd}},
  rules: {R: id > 1}}}
"""
    header = SMALL + "errors: {budget: {rejected: 0}}\n"
    databases.migrate(load, header=header, expected=ExitStatus.STOPPED)
    gem.write_text("4019  I119    10000\n")
    (problem,) = databases.refused(load, SMALL).problems
    assert problem.code is ErrorCode.USER_003
    assert problem.where.endswith("maps.icd")
    assert "icd/gem/sha256:" in problem.message
    gem.write_text("4019  I10     10000\n")
    databases.migrate(load, header=SMALL)
    assert databases.target.rows("SELECT code, count(*) FROM d GROUP BY code") == [("I10", 9998)]
    gem.write_text("4019  I119    10000\n")
    assert databases.migrate(load, header=SMALL).already


def test_a_child_may_not_ask_for_what_was_not_kept(databases: TwoDatabases) -> None:
    """The keys of the source are kept only where a child refers by several columns."""
    databases.legacy.run(
        "CREATE TABLE wards AS SELECT 1 AS site, i AS no, i AS id FROM generate_series(1, 9) i;"
        "ALTER TABLE wards ADD PRIMARY KEY (site, no);"
        "CREATE TABLE beds AS SELECT i AS id, 1 AS site, i AS ward FROM generate_series(1, 9) i"
    )
    databases.target.run(
        "CREATE TABLE wards (id int PRIMARY KEY);"
        "CREATE TABLE beds (id int PRIMARY KEY, ward int REFERENCES wards)"
    )
    load = "tables:\n  wards: {from: wards, key: [id], copy: [id]}\n"
    load += "  beds: {from: beds, key: [id], copy: [id], fields: {ward: {from: %s, ref: wards}}}\n"
    databases.migrate(load % "ward", only=["wards"])
    (problem,) = databases.refused(load % "[site, ward]").problems
    assert problem.code is ErrorCode.USER_003
    assert problem.where.endswith("tables.wards")
    assert "without the new keys of its rows" in problem.message
    databases.migrate(load % "ward")


def test_loads_of_which_nothing_is_written_may_change(databases: TwoDatabases) -> None:
    prepare(databases)
    databases.migrate(SPECIFICATION, only=["people"])
    changed = SPECIFICATION.replace("key: [id]\n    copy: [id, note]", "key: [id]\n    copy: [id]")
    assert changed != SPECIFICATION
    databases.migrate(changed)
    assert databases.target.row("SELECT count(*) > 5000, count(note) FROM visits") == (True, 0)


def test_what_decides_nothing_may_change(databases: TwoDatabases) -> None:
    """Such as a budget; this one begins to count after the last row."""
    prepare(databases)
    databases.migrate(SPECIFICATION, only=["people"])
    databases.migrate(
        SPECIFICATION.replace("maps:", "x-note: mended\nmaps:"),
        header=BUDGET % "rejected: 0%, min_rows: 100000",
        only=["people"],
    )
