from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from demo import fill_databases
from demo.fill_databases import Identity, fill_legacy, fill_target
from demo.score import Expected, Found, Spot, compare, read_expected, read_found
from demo.truth import make_hospital
from pipelines import PlanScope, migrate, read_specification
from pipelines import plan as make_plan
from pipelines.cli.reports.plan_report import plan_document
from schemas.errors import ExitStatus
from tests.support.runs.predictions import assert_predicted

ORPHAN = Spot("DATA-002", "legacy_visits", "7")
BAD_DATE = Spot("DATA-003", "legacy_visits", "7")


def test_the_same_violations_in_any_order_are_perfect() -> None:
    expected = [
        Expected(ORPHAN, "patient_id.ref", "x"),
        Expected(BAD_DATE, "admitted_at.type", "y"),
    ]
    found = [Found(BAD_DATE, "admitted_at.type"), Found(ORPHAN, "patient_id.ref")]
    score = compare(expected, found)
    assert score.is_perfect
    assert (score.precision, score.recall) == (1.0, 1.0)


def test_what_was_not_found_lowers_recall() -> None:
    expected = [
        Expected(ORPHAN, "patient_id.ref", "x"),
        Expected(BAD_DATE, "admitted_at.type", "y"),
    ]
    score = compare(expected, [Found(ORPHAN, "patient_id.ref")])
    assert not score.is_perfect
    assert (score.precision, score.recall) == (1.0, 0.5)
    assert [m.spot for m in score.missed] == [BAD_DATE]
    assert any(line.startswith("missed 1 x DATA-003") and "(y)" in line for line in score.lines())


def test_what_was_not_put_in_lowers_precision() -> None:
    found = [Found(ORPHAN, "patient_id.ref"), Found(BAD_DATE, "admitted_at.type")]
    score = compare([Expected(ORPHAN, "patient_id.ref", "x")], found)
    assert not score.is_perfect
    assert (score.precision, score.recall) == (0.5, 1.0)
    assert [u.spot for u in score.unexpected] == [BAD_DATE]
    assert any(line.startswith("unexpected 1 x DATA-003") for line in score.lines())


def test_the_right_code_under_another_rule_is_not_perfect() -> None:
    score = compare([Expected(ORPHAN, "patient_id.ref", "x")], [Found(ORPHAN, "facility_code.ref")])
    assert not score.is_perfect
    assert (score.precision, score.recall) == (1.0, 1.0)
    assert len(score.missed) == len(score.unexpected) == 1


def test_a_violation_without_a_named_rule_matches_any_rule_but_no_other_row() -> None:
    expected = [Expected(ORPHAN, None, "x")]
    assert compare(expected, [Found(ORPHAN, "some.rule")]).is_perfect
    other = compare(expected, [Found(ORPHAN._replace(source_key="8"), "some.rule")])
    assert (other.precision, other.recall) == (0.0, 0.0)


def test_two_rules_of_one_code_on_one_row_are_both_wanted() -> None:
    expected = [Expected(ORPHAN, "patient_id.ref", "x"), Expected(ORPHAN, "encounter_id.ref", "x")]
    score = compare(expected, [Found(ORPHAN, "patient_id.ref")])
    assert not score.is_perfect
    assert [m.rule for m in score.missed] == ["encounter_id.ref"]


def test_finding_nothing_has_recall_0() -> None:
    score = compare([Expected(ORPHAN, None, "x")], [])
    assert (score.precision, score.recall) == (1.0, 0.0)


def test_a_migration_of_the_demo_finds_what_was_put_in_and_nothing_else(
    new_database: Callable[[], str],
) -> None:
    hospital, truth = make_hospital(1000, 2015)
    legacy, target = new_database(), new_database()
    fill_legacy(legacy, hospital, truth, Identity.of(1000, 2015))
    fill_target(target, hospital)
    path = Path(fill_databases.__file__).parent / "hospital.yaml"
    specification = read_specification(path, {"LEGACY_URL": legacy, "TARGET_URL": target})

    plan = plan_document(make_plan(specification, PlanScope(rows=None)))
    outcome = migrate(specification)
    assert outcome.status is ExitStatus.COMPLETE, outcome.problems
    assert_predicted(plan, outcome.summary)

    score = compare(read_expected(legacy), read_found(target))
    assert score.is_perfect, "\n".join(score.lines())
    assert (score.precision, score.recall) == (1.0, 1.0)

    counts = truth.counts.to_pylist()
    assert [row["load"] for row in counts] == list(outcome.summary.tables)
    for row in counts:
        counted = outcome.summary.tables[row["load"]]
        assert {name: getattr(counted, name) for name in row if name != "load"} == {
            name: count for name, count in row.items() if name != "load"
        }
    recorded = {False: outcome.summary.violations, True: outcome.summary.warnings}
    for warning, by_code in recorded.items():
        listed = [v for v in truth.violations.to_pylist() if v["warning"] is warning]
        assert Counter(v["error_code"] for v in listed) == by_code
