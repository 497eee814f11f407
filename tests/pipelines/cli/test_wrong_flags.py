"""Mistyped verbs and flags: refused with a suggestion before anything else happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.cli.main import main
from schemas.errors import TransfuseError
from tests.support.databases.two_databases import TwoDatabases, two_databases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json

Capture = pytest.CaptureFixture[str]

EVERYTHING = "SELECT to_jsonb(j)::text FROM migration.migration_jobs j"


@pytest.fixture(scope="module")
def complete(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDatabases]:
    """A job that is complete."""
    with two_databases(server, tmp_path_factory.mktemp("complete")) as databases:
        fill(databases)
        databases.migrate(TABLES)
        yield databases


@pytest.mark.parametrize("verb", [["migrate", "SPEC"], ["rejects", "replay", "SPEC"]])
def test_a_dry_run_runs_nothing(databases: TwoDatabases, capsys: Capture, verb: list[str]) -> None:
    fill(databases)
    databases.write(TABLES)
    for flags in (["--dry_run=true"], ["--dry-run"], ["--dry_run", "true"], ["--dry_run=false"]):
        (problem,) = run_json(databases, capsys, [*verb, *flags], 2)["problems"]
        assert problem["code"] == "USER-001"
        assert "no dry run" in problem["message"]
        assert f"transfuse plan {databases.folder / 'specification.yaml'}" in problem["remedy"]
    assert databases.target.rows("SELECT FROM patients") == []
    assert databases.target.rows("SELECT FROM pg_namespace WHERE nspname = 'migration'") == []


@pytest.mark.parametrize(
    "flag",
    ["--dryrun", "--DRY-RUN=1", "--dry-rn", "--no_dry_run", "-dry-run", "--drurun=yes", "-n"]
    + ["--simulate", "--what-if", "--preview=true"],
)
def test_spellings_of_a_dry_run(flag: str) -> None:
    from pipelines.terminal.flag_check import refuse_dry_run

    with pytest.raises(TransfuseError):
        refuse_dry_run([flag], "plan")


def test_flags_of_beam_are_no_dry_run() -> None:
    from pipelines.engines.beam_flags import flags_of_beam
    from pipelines.terminal.flag_check import refuse_dry_run

    names = [n for a in flags_of_beam()._actions for n in a.option_strings if n != "--dry_run"]
    assert len(names) > 100
    refuse_dry_run(names, "plan")


def test_flags_are_judged_on_a_complete_job(complete: TwoDatabases, capsys: Capture) -> None:
    before = complete.target.rows(EVERYTHING)
    engine = "--runner=FlinkRunner"
    for verb, flags, message, remedy in (
        ("migrate", ["--tabel=patients"], "--tabel is", "--table?"),
        ("migrate", ["--accept-change"], "--accept-change is", "--accept-changes?"),
        ("migrate", ["--runer=DirectRunner"], "--runer is", "--runner?"),
        ("migrate", ["--unheard_of"], "--unheard_of is", "--help"),
        ("migrate", ["patients"], "unexpected argument 'patients'", "--help"),
        ("migrate", ["--dry_run=true"], "no dry run", "transfuse plan"),
        ("migrate", ["--direct_num_workers=many"], "invalid int value", "Beam"),
        ("migrate", ["--direct_num_workers=99"], "connection limits", "limits.connections"),
        ("migrate", [engine, "--paralelism=2"], "--paralelism is", "--parallelism?"),
        ("migrate", [engine, "--checkpoint_intervall=2"], "--checkpoint_intervall is", "--"),
        ("migrate", ["--runner=FlinkRuner"], "can't make the runner", "Beam"),
        ("plan", ["--full", "--sample", "10"], "reads every row", "leave one of them out"),
        ("plan", ["--table", "patient"], "no load 'patient'", "did you mean 'patients'?"),
        ("rejects replay", ["--rul=x"], "--rul is", "--rule?"),
    ):
        command = [*verb.split(), "SPEC", *flags]
        (problem,) = run_json(complete, capsys, command, 2)["problems"]
        assert problem["code"] == "USER-001"
        assert message in problem["message"]
        assert remedy in problem["remedy"]
    # Those that can be used change nothing either.
    assert run(complete, "migrate", "SPEC", "--direct_num_workers=1") == 0
    assert run(complete, "migrate", "SPEC", engine, "--checkpointing_interval=2") == 0
    assert complete.target.rows(EVERYTHING) == before


def test_a_complete_job_says_so_first(complete: TwoDatabases, capsys: Capture) -> None:
    capsys.readouterr()
    assert run(complete, "migrate", "SPEC", "--table", "patients") == 0
    line = "The loads patients of the job 'moved' are complete already; nothing was changed."
    assert capsys.readouterr().err.splitlines()[0] == line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["migrat", "SPEC"], "no verb 'migrat': did you mean 'migrate'?"),
        (["run", "SPEC"], "no verb 'run': did you mean 'migrate'?"),
        (["dry-run", "SPEC"], "no verb 'dry-run': did you mean 'plan'?"),
        (["xyzzy", "SPEC"], "no verb 'xyzzy': choose from migrate, plan,"),
        (["rejects", "lst", "SPEC"], "no action 'lst': did you mean 'list'?"),
        (["status", "SPEC", "--wtach"], "--wtach is no flag of this verb (did you mean --watch?)"),
        (["--watch", "status", "SPEC"], "--watch stands before the verb"),
        (["rejects", "discard", "SPEC", "--reson=x"], "(did you mean --reason?)"),
        (["plan", "SPEC", "--sample", "0"], "it takes a number of rows, such as --sample 20000"),
        (["plan", "SPEC", "--sample=5%"], "it takes a number of rows, such as --sample 20000"),
        (["plan", "SPEC", "extra"], "unexpected argument 'extra'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_suggestions(arguments: list[str], message: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_version(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("transfuse ")
    assert main(["version"]) == 0
    assert "apache-beam 2." in capsys.readouterr().out
