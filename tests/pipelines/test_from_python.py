"""The package as Python code uses it: each verb is a function, and none prints its result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pipelines
from pipelines import (
    ControlEffect,
    ExitStatus,
    PlanScope,
    Specification,
    TransfuseError,
    ViolationFilter,
    discard,
    export_codes,
    filter_rejects,
    import_codes,
    list_rejects,
    migrate,
    pause,
    plan,
    read_specification,
    reopen,
    replay,
    reset,
    resume,
    rules,
    show_reject,
    status,
    stop,
    survey_discard,
    survey_reset,
    try_row,
    watch_status,
)
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import prepare
from tests.support.jobs.readme_hospital import ReadmeHospital, hospital, readme_block
from tests.support.jobs.small_hospital import TABLES, fill
from tests.support.runs.held_runs import gate, running, someone_waits, wait_until

__all__ = ["hospital"]

Capsys = pytest.CaptureFixture[str]


def specified(databases: TwoDatabases) -> Specification:
    fill(databases)
    return read_specification(databases.write(TABLES), databases.variables)


def test_importing_the_package_imports_nothing_else() -> None:
    others = "{m.partition('.')[0] for m in sys.modules} & {'schemas', 'transforms', 'apache_beam'}"
    code = f"import sys, pipelines; dir(pipelines); assert not {others}, {others}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there_and_documented() -> None:
    for name in pipelines.__all__:
        assert getattr(pipelines, name).__doc__, name
    with pytest.raises(AttributeError):
        pipelines.nothing  # noqa: B018


def test_the_example_of_the_readme_runs(
    hospital: ReadmeHospital, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    path, _ = hospital
    monkeypatch.chdir(path.parent)
    exec(readme_block("python"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[:3] == ["patients 6 2", "encounters 5 2", "conditions 6 2"]
    assert "DATA-002 patient_id.ref 1" in printed


def test_a_plan_and_a_trial_write_nothing(databases: TwoDatabases, capsys: Capsys) -> None:
    specification = specified(databases)
    predicted = plan(specification, PlanScope(rows=None))
    assert predicted.status is ExitStatus.COMPLETE
    assert predicted.loads["patients"].prediction.skipped_by == {"DELETED": 1}
    assert try_row(specification, "patients", key="1").verdict == "accepted"
    trial = try_row(specification, "patients", row={"id": 7, "pat_no": "P7", "name": None})
    assert [violation.rule for violation in trial.violations] == ["NAME_REQUIRED"]
    assert [rule.name for rule in rules("not_in_future")] == ["not_in_future"]
    assert len(rules()) > 1
    with pytest.raises(TransfuseError):
        status(specification)
    assert databases.target.row("SELECT to_regclass('migration.migration_jobs')") == (None,)
    assert capsys.readouterr().out == ""


def test_a_job_is_run_looked_at_and_reset(databases: TwoDatabases, capsys: Capsys) -> None:
    specification = specified(databases)
    outcome = migrate(specification)
    assert outcome.status is ExitStatus.COMPLETE
    assert status(specification).summary == outcome.summary
    (last,) = watch_status(specification)
    assert last.has_ended
    survey = survey_reset(specification)
    assert survey.loads == ("patients", "visits", "diagnoses")
    assert survey.rows == outcome.summary.tables["patients"].written + sum(
        outcome.summary.tables[load].written for load in ("visits", "diagnoses")
    )
    removed = reset(specification).loads
    assert sum(load.removed for load in removed.values()) == survey.rows
    with pytest.raises(TransfuseError):
        status(specification)
    assert capsys.readouterr().out == ""


def test_rejected_rows_are_listed_discarded_and_replayed(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    specification = specified(databases)
    migrate(specification)
    rejects = list_rejects(specification)
    assert rejects.codes is None
    (nameless,) = (group for group in rejects.rejects if group.rule == "NAME_REQUIRED")
    reject = show_reject(specification, nameless.example, with_source=True)
    assert reject.violation.source_key == "2"
    assert reject.source is not None
    assert reject.source.columns is not None
    assert reject.source.columns["born"] == "1980-13-01"
    wanted = filter_rejects(specification, rule="NAME_REQUIRED")
    assert wanted == ViolationFilter(rule="NAME_REQUIRED")
    survey = survey_discard(specification, wanted, "no name")
    assert (survey.rows, survey.violations) == (1, 1)
    discarded = discard(specification, wanted, "no name")
    assert (discarded.rows, discarded.violations) == (1, 2)
    assert reopen(specification, wanted) == discarded
    databases.legacy.run("UPDATE legacy_patients SET name = 'Eve', born = NULL WHERE id = 2")
    assert replay(specification, wanted).tables["patients"].accepted == 1
    assert replay(specification).tables["visits"].accepted == 1
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_codes_are_exported_decided_and_imported(
    databases: TwoDatabases, tmp_path: Path, capsys: Capsys
) -> None:
    specification = specified(databases)
    databases.legacy.run("INSERT INTO legacy_diagnoses VALUES (104, 10, '401.9')")
    migrate(specification)
    untranslated = list_rejects(specification, filter_rejects(specification, code="TRANS-002"))
    assert untranslated.codes is not None
    assert [code.code for code in untranslated.codes if code.is_written_like_one] == ["401.9"]
    file = tmp_path / "codes.csv"
    export = export_codes(specification, output=file)
    (code,) = export.codes[:1]
    assert (code.key, code.rows) == ("icd:401.9", 1)
    file.write_text("key,target_code\nicd:401.9,I10\n", encoding="utf-8")
    assert import_codes(specification, file).stored == 1
    assert import_codes(specification, file).unchanged == 1
    assert replay(specification).tables["diagnoses"].accepted == 1
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_run_elsewhere_is_paused_resumed_and_stopped(databases: TwoDatabases) -> None:
    prepare(databases)
    keeper = gate(databases, "people", "INSERT", "new.id = 2500")
    with running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        path = databases.folder / "specification.yaml"
        specification = read_specification(path, databases.variables)
        assert pause(specification).effect is ControlEffect.PAUSES
        statuses = watch_status(specification)
        keeper.close()
        assert any(
            databases.target.row("SELECT state FROM migration.migration_jobs") == ("paused",)
            for _ in statuses
        )
        statuses.close()
        keeper = gate(databases, "visits", "INSERT", "new.id = 3000")
        assert resume(specification).effect is ControlEffect.GOES_ON
        wait_until(process, lambda: someone_waits(databases))
        assert stop(specification).effect is ControlEffect.STOPS
        keeper.close()
        assert process.wait(timeout=60) == ExitStatus.STOPPED
    assert status(specification).summary.state == "stopped"
