"""Incidents: opened on the guide's triggers, numbered, escalated, acknowledged and closed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from pipelines import migrate, read_specification
from pipelines.cli.main import main
from pipelines.incidents import response
from pipelines.incidents.triggers import handle_end_of_run, open_incident
from pipelines.ledger.control_schema import create_control_tables
from pipelines.ledger.job_ledger import JobLedger
from pipelines.notify.notifier import Notifier
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.guide.incident import IncidentTrigger
from schemas.specification.root import Specification
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.notices.receivers import receiver
from transforms.postgres.connections import connect

TABLES = "tables: {wards: {from: wards, copy: [id, name]}}\n"

CONTACTS = "escalation: {contacts: {level_3: 'Dr. Roe, 4711', primary: ops}}\n"

CRASH = Problem(ErrorCode.SYS_003, "Meier geheim", "table wards")


@pytest.fixture
def specification(databases: TwoDatabases) -> Specification:
    databases.legacy.run(
        "CREATE TABLE wards (id int, name text); INSERT INTO wards VALUES (1, 'N')"
    )
    databases.target.run("CREATE TABLE wards (id int PRIMARY KEY, name text)")
    path = databases.write(TABLES, HEADER + CONTACTS)
    specification = read_specification(path, databases.variables)
    create_control_tables(specification)
    return specification


def end_run(specification: Specification, status: ExitStatus, *problems: Problem) -> None:
    with Notifier(specification) as notifier:
        handle_end_of_run(specification, notifier, status, problems)


def test_a_critical_error_opens_one_incident_until_it_is_closed(
    specification: Specification,
) -> None:
    end_run(specification, ExitStatus.CRASH, CRASH)
    end_run(specification, ExitStatus.CRASH, CRASH)
    (incident,) = response.list_incidents(specification)
    assert incident.id == f"INC-{datetime.now(timezone.utc):%Y%m%d}-0001"
    assert (incident.level, incident.severity.label, incident.status) == (3, "Critical", "open")
    assert (incident.respond_by - incident.opened_at).total_seconds() == pytest.approx(900, abs=1)
    assert [event["event"].partition(":")[0] for event in incident.timeline] == [
        "opened",
        "happened again",
    ]
    assert "geheim" not in str(incident)
    closed = response.close_incident(specification, incident.id, "restarted")
    assert (closed.status, closed.resolution) == ("closed", "restarted")
    end_run(specification, ExitStatus.CRASH, CRASH)
    assert len(response.list_incidents(specification)) == 2
    with pytest.raises(TransfuseError, match="USER-003"):
        response.acknowledge_incident(specification, incident.id)


@pytest.mark.usefixtures("specification")
def test_an_imbalance_is_notified_with_the_guides_notice(databases: TwoDatabases) -> None:
    with receiver() as webhook:
        header = HEADER + CONTACTS + 'notify: [{to: "${HOOK}"}]\n'
        variables = {**databases.variables, "HOOK": webhook.url}
        end_run(
            read_specification(databases.write(TABLES, header), variables),
            ExitStatus.OUT_OF_BALANCE,
        )
    (notice,) = map(json.loads, webhook.bodies)
    for line in (
        "ESCALATION NOTICE",
        "Escalation Level: 3",
        "Severity: Critical",
        "Required Expertise: Development Team (Data Quality)",
        "Expected Response: 15 minutes",
        "- Level 3: Dr. Roe, 4711",
        "- Backup Contact: not set",
    ):
        assert line in notice["message"]


def test_overdue_incidents_escalate_unless_acknowledged(
    databases: TwoDatabases, specification: Specification
) -> None:
    end_run(specification, ExitStatus.OUT_OF_BALANCE, CRASH)
    crash, imbalance = sorted(response.list_incidents(specification), key=lambda one: one.id)
    response.acknowledge_incident(specification, imbalance.id)
    assert response.check_incidents(specification) == []
    databases.target.run(
        "UPDATE migration.migration_incidents SET respond_by = now() - interval '1 minute'"
    )
    (action,) = response.check_incidents(specification)
    assert action == f"{crash.id} escalated to level 4: nobody acknowledged it in time"
    assert response.check_incidents(specification) == []
    assert response.show_incident(specification, crash.id).level == 4
    with pytest.raises(TransfuseError, match="is on the last level"):
        response.escalate_incident(specification, crash.id, "again")
    assert response.escalate_incident(specification, imbalance.id, "a vendor").level == 4


def test_two_checks_at_once_escalate_an_incident_once(
    databases: TwoDatabases, specification: Specification
) -> None:
    end_run(specification, ExitStatus.OUT_OF_BALANCE)
    (before,) = response.list_incidents(specification)
    with connect(databases.target.url) as connection:
        incidents = JobLedger(connection, specification).incidents
        for is_first in (True, False):
            assert incidents.escalate(before, "late", timedelta(minutes=15)) is is_first
    assert response.show_incident(specification, before.id).level == before.level + 1


@pytest.mark.slow
def test_a_job_that_is_down_is_noticed(
    databases: TwoDatabases, specification: Specification
) -> None:
    assert migrate(specification).status is ExitStatus.COMPLETE
    assert response.check_incidents(specification) == []
    down = "UPDATE migration.migration_jobs SET state = '{}', updated_at = now() - interval '1 day'"
    databases.target.run(down.format("stopped"))
    databases.target.run(
        "UPDATE migration.migration_partitions SET finished_at = now() - interval '29 minutes'"
    )
    assert response.check_incidents(specification) == []
    databases.target.run(down.format("running"))
    assert response.check_incidents(specification) == []
    databases.target.run(
        "UPDATE migration.migration_partitions SET finished_at = now() - interval '31 minutes'"
    )
    (action,) = response.check_incidents(specification)
    assert "opened: the job has been incomplete and not running for 31 minutes" in action


def test_numbers_are_unique_under_concurrency(specification: Specification) -> None:
    codes = list(ErrorCode)[:16]

    def open_one(code: ErrorCode) -> str:
        with connect(specification.target.url) as target:
            ledger = JobLedger(target, specification)
            cause = IncidentTrigger.CRITICAL_ERROR
            return open_incident(ledger, Notifier(specification), cause, "test", code)[0]

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(open_one, codes))
    day = f"INC-{datetime.now(timezone.utc):%Y%m%d}"
    assert sorted(numbers) == [f"{day}-{number:04}" for number in range(1, 17)]


def test_an_unknown_number_is_refused(specification: Specification) -> None:
    with pytest.raises(TransfuseError, match="no incident 'INC-1'"):
        response.show_incident(specification, "INC-1")


def test_the_verbs_print_what_was_done(
    databases: TwoDatabases,
    specification: Specification,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in databases.variables.items():
        monkeypatch.setenv(name, value)
    end_run(specification, ExitStatus.CRASH, CRASH)
    (incident,) = response.list_incidents(specification)
    file = str(specification.file)

    def run(*words: str) -> str:
        assert main(["incidents", words[0], file, *words[1:]]) == ExitStatus.COMPLETE
        return capsys.readouterr().out

    assert incident.id in run("list")
    assert f"Incident ID: {incident.id}" in run("show", incident.id)
    document = json.loads(run("acknowledge", incident.id, "--by", "Dr. Roe", "--json"))
    assert document["status"] == "acknowledged"
    assert document["timeline"][-1]["person"] == "Dr. Roe"
    assert "level 4" in run("escalate", incident.id, "--reason", "a vendor is needed")
    assert "is closed" in run("close", incident.id, "--resolution", "restarted")
    assert "Nothing is due." in run("check")
