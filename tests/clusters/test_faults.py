"""Parts of a Flink cluster that are killed in the middle of a run: what the launcher says of it,
and that every partition arrives once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from clusters.cluster_engine import WORKERS
from pipelines.cli.main import main
from pipelines.ledger.job_ledger import JobLedger
from schemas.errors import ExitStatus
from schemas.specification.reading import read_specification
from tests.support.clusters.broken_clusters import (
    ENDED,
    WANTED,
    Content,
    Run,
    asked,
    assert_as_undisturbed,
    broken,
    held_back,
    in_the_middle,
    jobs_of,
    kill,
    log_of,
    repair,
    restarting,
    waiting,
    was_restarted,
    workers_of,
)
from tests.support.clusters.running_clusters import Running
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, prepare
from tests.support.runs.child_runs import assert_nothing_left, kill_all, start
from tests.support.runs.replays import assert_ledger_and_sink_agree
from tests.support.runs.undisturbed_replay import (
    REPLAY,
    migrate_and_fix_source,
    rows_and_status,
    undisturbed_replay,
)
from tests.support.waiting import LONGEST, wait_until

__all__ = ["broken", "undisturbed_replay"]

pytestmark = pytest.mark.slow

GIVEN_UP = "SYS-003 Flink {}: the engine has given the job up"


def kill_task_manager(cluster: Running) -> None:
    kill(cluster, "TaskManager 1")
    cluster.processes.start_again("TaskManager 1")


def kill_workers(cluster: Running) -> None:
    for worker in workers_of(cluster):
        worker.kill()


Disturb = Callable[[Running], None]

FAULTS = pytest.mark.parametrize(
    "disturb", [kill_task_manager, kill_workers], ids=["task manager", "workers"]
)


@FAULTS
def test_what_runs_steps_is_killed(
    databases: TwoDatabases,
    undisturbed: Content,
    broken: Running,
    disturb: Disturb,
) -> None:
    prepare(databases)
    with held_back(databases, "visits"):
        run = in_the_middle(databases, broken)
        disturb(broken)
        told = run.ends(ExitStatus.INCOMPLETE)
    assert GIVEN_UP.format(broken.cluster.web) in told
    assert jobs_of(broken)[run.job] == "FAILED"
    databases.migrate(SPECIFICATION, header=SMALL)
    assert_as_undisturbed(databases, undisturbed)


def test_the_job_manager_is_killed_and_forgets_the_job(
    databases: TwoDatabases, undisturbed: Content, broken: Running
) -> None:
    prepare(databases)
    with held_back(databases, "visits"):
        run = in_the_middle(databases, broken)
        kill(broken, "JobManager")
        broken.processes.start_again("JobManager")
        told = run.ends(ExitStatus.INCOMPLETE)
    assert GIVEN_UP.format(broken.cluster.web) in told
    databases.migrate(SPECIFICATION, header=SMALL)
    assert_as_undisturbed(databases, undisturbed)


def test_a_launcher_is_killed_and_the_next_one_begins_while_its_job_works(
    databases: TwoDatabases, undisturbed: Content, broken: Running
) -> None:
    prepare(databases)
    # A slot for each of the two jobs.
    alone = ["--parallelism=1"]
    with held_back(databases, "visits"):
        first = in_the_middle(databases, broken, alone)
        kill_all(first.launcher)
        second = Run(databases, broken, alone)
        # Each works on a partition, or the second one waits for a partition of the first.
        wait_until(lambda: len(waiting(databases.target)) > 1 or second.launcher.poll() is not None)
    second.ends(ExitStatus.COMPLETE)
    wait_until(lambda: jobs_of(broken)[first.job] in ENDED)
    assert_as_undisturbed(databases, undisturbed)


def test_what_an_engine_goes_on_with_without_its_launcher_is_stopped(
    databases: TwoDatabases,
    undisturbed: Content,
    broken: Running,
    capfd: pytest.CaptureFixture[str],
) -> None:
    prepare(databases)
    path = databases.folder / "specification.yaml"
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    with held_back(databases, "visits"):
        run = in_the_middle(databases, broken)
        kill_all(run.launcher)
        specification = read_specification(path, databases.variables)
        with databases.target.another() as target:
            wait_until(lambda: not JobLedger(target, specification).lock.is_held())
        assert main(["stop", str(path), *variables]) == ExitStatus.COMPLETE
    assert "has no launcher any more" in capfd.readouterr().out
    wait_until(lambda: jobs_of(broken)[run.job] in ENDED)
    done = databases.target.values(
        "SELECT count(*) FROM migration.migration_partitions WHERE load = 'visits'"
        " GROUP BY state = 'done' ORDER BY state = 'done'"
    )
    # Those that were in work, and others that weren't begun.
    assert len(done) == 2
    assert done[1] <= WORKERS
    assert databases.target.values("SELECT state FROM migration.migration_jobs") == ["stopped"]
    databases.migrate(SPECIFICATION, header=SMALL)
    assert_as_undisturbed(databases, undisturbed)


def test_ctrl_c_on_spark_ends_a_run_in_order(
    databases: TwoDatabases, undisturbed: Content, spark: Running
) -> None:
    prepare(databases)
    path = databases.write(SPECIFICATION, SMALL)
    with held_back(databases, "people"):
        launcher = start(databases, path, spark.cluster.flags)
        try:
            wait_until(lambda: bool(waiting(databases.target)) or launcher.poll() is not None)
            launcher.send_signal(signal.SIGINT)
            wait_until(lambda: databases.target.row(WANTED) == ("stop",))
        except BaseException:
            kill_all(launcher)
            raise
    try:
        assert launcher.wait(timeout=LONGEST) == ExitStatus.STOPPED, log_of(databases)
    finally:
        kill_all(launcher)
    wait_until(lambda: asked(spark, "/json/")["activeapps"] == [])
    databases.migrate(SPECIFICATION, header=SMALL)
    assert_as_undisturbed(databases, undisturbed)


def test_a_replay_settles_first_what_another_left_and_is_two_jobs(
    databases: TwoDatabases,
    undisturbed_replay: tuple[float, Content],
    broken: Running,
) -> None:
    path = migrate_and_fix_source(databases)
    databases.target.run("UPDATE migration.migration_loads SET settled = false")
    before = jobs_of(broken)
    launcher = start(databases, path, broken.cluster.flags, verb=REPLAY)
    try:
        assert launcher.wait(timeout=LONGEST) == ExitStatus.COMPLETE, log_of(databases)
    finally:
        kill_all(launcher)
    states = [state for job, state in jobs_of(broken).items() if job not in before]
    assert states == ["FINISHED", "FINISHED"]
    assert rows_and_status(databases) == undisturbed_replay[1]
    assert_ledger_and_sink_agree(databases)
    assert_nothing_left(databases)


@pytest.fixture(scope="module")
def restarting_flink(flink: Running) -> Iterator[Running]:
    with restarting(flink):
        yield flink


@pytest.fixture
def trying_again(restarting_flink: Running) -> Iterator[Running]:
    """A cluster that itself starts a job again which has failed; a job of Beam's can't ask for it,
    since --number_of_execution_retries is for streams alone. The last tests of the module have it.
    """
    yield restarting_flink
    repair(restarting_flink)


@FAULTS
def test_an_engine_that_may_try_again_ends_the_run_itself(
    databases: TwoDatabases,
    undisturbed: Content,
    trying_again: Running,
    disturb: Disturb,
) -> None:
    prepare(databases)
    with held_back(databases, "visits"):
        run = in_the_middle(databases, trying_again)
        disturb(trying_again)
        wait_until(lambda: was_restarted(trying_again, run.job) or run.launcher.poll() is not None)
    run.ends(ExitStatus.COMPLETE)
    assert jobs_of(trying_again)[run.job] == "FINISHED"
    assert_as_undisturbed(databases, undisturbed)
