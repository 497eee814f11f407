"""Emergency stops of runs that are at work, frozen, or still planning."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from pipelines import migrate, read_specification, reset
from pipelines.audit.actor import current_actor
from pipelines.watch.control import ControlEffect, resume
from pipelines.watch.emergency import emergency_stop
from schemas.errors import ErrorCode, ExitStatus, TransfuseError
from schemas.specification.root import Specification
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.runs.held_runs import gate, running, someone_waits, wait_until

pytestmark = pytest.mark.slow


def specified(databases: TwoDatabases) -> Specification:
    return read_specification(databases.write(SPECIFICATION, SMALL), databases.variables)


def written(databases: TwoDatabases) -> list[Any]:
    """What changes whenever the target is written to, beside the samples of the run."""
    return databases.target.rows(
        "SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM visits),"
        " (SELECT count(*) FROM totals), (SELECT array_agg(state::text ORDER BY load, partition_id)"
        " FROM migration.migration_partitions), (SELECT runs FROM migration.migration_jobs)"
    )


def undisturbed(databases: TwoDatabases) -> dict[str, list[Any]]:
    """The content after a run that nothing disturbs; the target is empty again afterwards."""
    prepare(databases)
    assert databases.migrate(SPECIFICATION, header=SMALL).status is ExitStatus.COMPLETE
    result = content(databases)
    databases.target.run(
        "DROP SCHEMA migration CASCADE; TRUNCATE people, visits, totals RESTART IDENTITY CASCADE"
    )
    return result


def test_a_channel_that_is_wrong_keeps_nobody_from_stopping(databases: TwoDatabases) -> None:
    prepare(databases)
    header = SMALL + "notify: [{to: 'nonsense://s3cret'}]\n"
    path = databases.write(SPECIFICATION, header)
    emergency_stop(read_specification(path, databases.variables), "wrong data")
    with pytest.raises(TransfuseError, match="emergency stop"):
        migrate(specified(databases))


@pytest.mark.parametrize("frozen", [False, True], ids=["at work", "frozen"])
def test_nothing_is_written_after_the_stop(databases: TwoDatabases, frozen: bool) -> None:
    expected = undisturbed(databases)
    keeper = gate(databases, "visits", "INSERT", "new.id = 3000")
    with running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        if frozen:
            os.kill(process.pid, signal.SIGSTOP)
        result = emergency_stop(specified(databases), "wrong data")
        keeper.close()
        before = written(databases)
        assert result.terminated > 0
        assert not result.remaining
        if frozen:
            os.kill(process.pid, signal.SIGCONT)
        process.wait(timeout=60)
    assert written(databases) == before
    with pytest.raises(TransfuseError) as refusal:
        migrate(specified(databases))
    (problem,) = refusal.value.problems
    assert problem.code is ErrorCode.USER_003
    assert f"emergency stop of {current_actor().person}" in problem.message
    assert "wrong data" in problem.message
    assert "transfuse resume" in problem.remedy
    with pytest.raises(TransfuseError):
        reset(specified(databases))
    assert written(databases) == before
    databases.target.run("DROP TRIGGER gate ON visits")
    assert resume(specified(databases)).effect is ControlEffect.IS_RELEASED
    assert migrate(specified(databases)).status is ExitStatus.COMPLETE
    assert content(databases) == expected


def test_a_job_that_is_being_planned_is_stopped(databases: TwoDatabases) -> None:
    prepare(databases)
    with databases.legacy.another() as keeper:
        keeper.execute("BEGIN; LOCK TABLE people IN ACCESS EXCLUSIVE MODE")
        with running(databases) as process:
            wait_until(
                process,
                lambda: bool(
                    databases.legacy.values(
                        "SELECT count(*) FROM pg_locks WHERE NOT granted"
                        " AND relation = 'people'::regclass"
                    )[0]
                ),
            )
            emergency_stop(specified(databases), "not today")
            keeper.execute("ROLLBACK")
            process.wait(timeout=60)
            assert process.returncode not in (0, None)
    assert databases.target.values("SELECT count(*) FROM migration.migration_jobs") == [0]
    with pytest.raises(TransfuseError, match="not today"):
        migrate(specified(databases))


def test_an_isolated_load_is_left_out_and_others_go_on(databases: TwoDatabases) -> None:
    expected = undisturbed(databases)
    keeper = gate(databases, "people", "INSERT", "new.id = 2500")
    with running(databases) as process:
        wait_until(process, lambda: someone_waits(databases))
        emergency_stop(specified(databases), "wrong wards", ["visits"])
        keeper.close()
        process.wait(timeout=60)
    outcome = migrate(specified(databases))
    assert databases.target.values("SELECT count(*) FROM visits") == [0]
    assert outcome.status is ExitStatus.INCOMPLETE
    assert [problem.where for problem in outcome.problems] == ["table visits"]
    assert outcome.summary.tables["people"].partitions_done
    resume(specified(databases), ["visits"])
    databases.target.run("DROP TRIGGER gate ON people")
    assert migrate(specified(databases)).status is ExitStatus.COMPLETE
    assert content(databases) == expected


def test_loads_that_need_an_isolated_load_wait_too(databases: TwoDatabases) -> None:
    prepare(databases)
    emergency_stop(specified(databases), "wrong people", ["people"])
    outcome = migrate(specified(databases))
    assert outcome.status is ExitStatus.INCOMPLETE
    assert {"table people", "table visits"} <= {problem.where for problem in outcome.problems}
    assert databases.target.values("SELECT count(*) FROM people") == [0]
    assert databases.target.values("SELECT count(*) > 0 FROM totals") == [True]
