"""Notices of real runs, to real receivers that answer, fail, refuse and hang."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from pipelines import migrate, read_specification
from pipelines.notify.notice import Notice
from pipelines.notify.notifier import Notifier
from schemas.errors import ErrorCode, ExitStatus, Severity, TransfuseError
from schemas.notice_events import NoticeEvent
from schemas.specification.root import Specification
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.notices.receivers import receiver

TABLES = "tables: {wards: {from: wards, copy: [id, name], fields: {n: {from: n, type: int}}}}\n"

ALERT = Notice(NoticeEvent.ALERT, Severity.HIGH, "it is slow", ("60 rows/s",))


@pytest.fixture
def channels(tmp_path: Path) -> Any:
    """Reads a specification with channels; nothing listens at its databases."""

    def read(notify: str, **variables: str) -> Specification:
        path = tmp_path / "specification.yaml"
        path.write_text(f"{HEADER}notify: {notify}\n{TABLES}", encoding="utf-8")
        here = "postgresql://mover@127.0.0.1:1/none"
        return read_specification(path, {"LEGACY_URL": here, "TARGET_URL": here, **variables})

    return read


class _Mails(Message):
    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.mails.append(message_from_bytes(message.as_bytes()))


@contextmanager
def mail_server() -> Iterator[tuple[str, list[Any]]]:
    handler = _Mails()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        sender = "from=transfuse@example.org&to=ops@example.org"
        yield f"mailto://127.0.0.1:{controller.port}?{sender}", handler.mails
    finally:
        controller.stop()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def test_a_webhook_gets_the_notices_of_a_run(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE wards (id int, name text, n text);"
        "INSERT INTO wards VALUES (1, 'Meier geheim', '1'), (2, 'Meier geheim', 'Meier geheim')"
    )
    databases.target.run("CREATE TABLE wards (id int PRIMARY KEY, name text, n int)")
    with receiver() as webhook:
        path = databases.write(TABLES, HEADER + 'notify: [{to: "${HOOK}", severity: low}]\n')
        variables = {**databases.variables, "HOOK": webhook.url}
        outcome = migrate(read_specification(path, variables))
    assert outcome.status is ExitStatus.COMPLETE
    started, ended = map(json.loads, webhook.bodies)
    assert started["title"] == "[Low] moved: migrate: run 1 started"
    assert ended["title"] == "[Low] moved: migrate ended: complete"
    assert "2 read, 1 accepted, 1 rejected" in ended["message"]
    assert "geheim" not in "".join(webhook.bodies)
    stored = databases.target.values("SELECT specification FROM migration.migration_jobs")
    assert "SeCretToken" not in str(stored)


def test_a_run_that_cannot_start_is_notified(channels: Any) -> None:
    with receiver() as webhook, pytest.raises(TransfuseError):
        migrate(channels('[{to: "${HOOK}"}]', HOOK=webhook.url))
    (ended,) = map(json.loads, webhook.bodies)
    assert "CONN-" in ended["message"]


def test_a_channel_gets_its_events_from_its_severity_on(channels: Any) -> None:
    with receiver() as urgent, receiver() as starts:
        notify = '[{to: "${URGENT}"}, {to: "${STARTS}", severity: low, events: [run_started]}]'
        with Notifier(channels(notify, URGENT=urgent.url, STARTS=starts.url)) as notifier:
            notifier.send(ALERT)
            notifier.send(Notice(NoticeEvent.ALERT, Severity.MEDIUM, "it is slower"))
            notifier.send(Notice(NoticeEvent.RUN_STARTED, Severity.LOW, "run 1"))
    assert [json.loads(body)["title"] for body in urgent.bodies] == ["[High] moved: it is slow"]
    assert [json.loads(body)["title"] for body in starts.bodies] == ["[Low] moved: run 1"]


def test_a_mail_is_sent(channels: Any) -> None:
    with (
        mail_server() as (url, mails),
        Notifier(channels('[{to: "${MAIL}"}]', MAIL=url)) as notifier,
    ):
        notifier.send(ALERT)
    (mail,) = mails
    assert mail["To"] == "ops@example.org"
    assert "60 rows/s" in str(mail)


def test_a_program_gets_the_notice_as_json(channels: Any, tmp_path: Path) -> None:
    file = tmp_path / "notice"
    script = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    command = json.dumps([sys.executable, "-c", script, str(file)])
    with Notifier(channels(f"[{{command: {command}}}]")) as notifier:
        notifier.send(ALERT)
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "job": "moved",
        "event": "alert",
        "severity": "high",
        "title": "it is slow",
        "lines": ["60 rows/s"],
    }


def test_a_hanging_channel_delays_neither_the_caller_nor_others(
    channels: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver(hangs=True) as hanging, receiver() as sound:
        notify = '[{to: "${HANGING}"}, {to: "${SOUND}"}]'
        notifier = Notifier(channels(notify, HANGING=hanging.url, SOUND=sound.url))
        begun = time.monotonic()
        for _ in range(150):
            notifier.send(ALERT)
        sent = time.monotonic()
        notifier.close(timeout=2)
        closed = time.monotonic()
    assert sent - begun < 1
    assert closed - sent < 3
    assert len(sound.bodies) > 50
    assert "notices weren't sent before the end" in caplog.text
    assert "a notice was dropped" in caplog.text
    assert "SeCretToken" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fails", "refuses"])
def test_a_failing_channel_is_tried_three_times_and_logged(
    channels: Any, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    with receiver(status=500) as failing:
        url = failing.url if kind == "fails" else f"json://127.0.0.1:{free_port()}/SeCretToken"
        with Notifier(channels('[{to: "${HOOK}"}]', HOOK=url)) as notifier:
            notifier.send(ALERT)
    assert len(failing.bodies) == (3 if kind == "fails" else 0)
    assert "the notice 'it is slow' couldn't be sent" in caplog.text
    assert "notify.0.to" in caplog.text
    assert "SeCretToken" not in caplog.text


@pytest.mark.parametrize("url", ["nonsense://geheim", "geheim"])
def test_a_url_that_apprise_does_not_know_is_refused(
    channels: Any, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    with pytest.raises(TransfuseError) as refusal:
        Notifier(channels('[{to: "${HOOK}"}]', HOOK=url))
    (problem,) = refusal.value.problems
    assert problem.code is ErrorCode.SYS_004
    assert problem.where.endswith("notify.0.to")
    assert "geheim" not in f"{problem}{caplog.text}"


@pytest.mark.parametrize(
    "notify",
    [
        '[{to: "geheim://x", command: [page]}]',
        "[{severity: high}]",
        '[{to: "geheim://x", severity: urgent}]',
        '[{to: "geheim://x", events: [all]}]',
        "[{command: []}]",
        '[{to: ["geheim://x"]}]',
    ],
)
def test_a_wrong_channel_is_refused_without_its_address(channels: Any, notify: str) -> None:
    with pytest.raises(TransfuseError) as refusal:
        channels(notify)
    assert "geheim" not in str(refusal.value)
    assert "notify" in str(refusal.value)


def test_channels_are_no_part_of_what_decides_about_rows(channels: Any) -> None:
    assert channels("[]").digest == channels('[{to: "json://h"}]').digest
