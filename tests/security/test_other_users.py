"""While a run goes on, a process of another user finds no way in, and no way to disturb it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.faults.runs import LONGEST, PROJECT, kill_all
from tests.pipelines.held_runs import gate, someone_waits, wait_until
from tests.pipelines.people_and_visits import SMALL, SPECIFICATION, prepare
from tests.pipelines.two_databases import TwoDatabases
from tests.security.attacker import findings, paths_below
from tests.security.open_doors import family_of, listening

PASSWORDS = ("pl%2Fan%40ted-1", "pl%25an%20ted-2")
"""As URLs have them: with a slash and an at sign, with a percent sign and a blank."""

SECRETS = (*PASSWORDS, "pl/an@ted-1", "pl%an ted-2", "Ruth Roe")


@dataclass
class Exposed:
    """Databases whose URLs have passwords, and folders that every user of the machine can look
    into, with files that are everybody's unless their maker sees to it."""

    databases: TwoDatabases
    folder: Path
    known: list[str] = field(default_factory=list)

    @property
    def roots(self) -> list[Path]:
        return [self.folder]

    @property
    def log(self) -> Path:
        return self.folder / "run.log"

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a verb. One URL is an argument, the other a variable."""
        pairs = zip(self.databases.variables.items(), PASSWORDS, strict=True)
        urls = {
            name: url.replace("postgres@", f"postgres:{password}@")
            for (name, url), password in pairs
        }
        variables = {"LEGACY_URL": urls["LEGACY_URL"], "TMPDIR": str(self.folder / "tmp")}
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "pipelines", *arguments),
                    *("--var", f"TARGET_URL={urls['TARGET_URL']}"),
                ],
                cwd=PROJECT,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                umask=0,
                start_new_session=True,
            )

    def assert_closed(self, process: subprocess.Popen[bytes]) -> None:
        pids = [each.pid for each in family_of(process.pid)]
        assert listening(process.pid) == set()
        assert findings(pids, self.roots, self.known, SECRETS) == []

    def end(self, process: subprocess.Popen[bytes], expected: int = 0) -> None:
        try:
            assert process.wait(timeout=LONGEST) == expected, self.log.read_text()
        finally:
            kill_all(process)
        # What it leaves behind, in its output as well.
        assert findings([], self.roots, self.known, []) == []
        made = [Path(each) for each in paths_below(self.roots) if each not in self.known]
        for path in [self.log, *filter(Path.is_file, made)]:
            content = path.read_bytes()
            assert [secret for secret in SECRETS if secret.encode() in content] == [], path


@pytest.fixture
def exposed(databases: TwoDatabases) -> Iterator[Exposed]:
    folder = Path(tempfile.mkdtemp(prefix="tfx-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        (folder / "tmp").mkdir()
        (folder / "tmp").chmod(0o1777)
        prepare(databases)
        databases.legacy.run("UPDATE people SET name = 'Ruth Roe' WHERE id % 97 = 0")
        text = f'{SMALL}errors: {{path: "{folder}/errors"}}\n{SPECIFICATION}'
        (folder / "specification.yaml").write_text(text)
        made = Exposed(databases, folder)
        made.log.touch()
        made.known = paths_below(made.roots)
        yield made
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_run_and_a_replay_that_are_at_work(exposed: Exposed) -> None:
    databases, path = exposed.databases, str(exposed.folder / "specification.yaml")
    keeper = gate(databases, "people", "INSERT", "new.id % 1000 = 0")
    process = exposed.start("migrate", path)
    try:
        wait_until(process, lambda: someone_waits(databases))
        exposed.assert_closed(process)
    finally:
        keeper.close()
    exposed.end(process)
    assert any("errors/moved/people" in each for each in paths_below([exposed.folder]))

    databases.legacy.run("UPDATE people SET sex = 'F'")
    databases.target.run("DROP TRIGGER gate ON people")
    keeper = gate(databases, "people", "INSERT", "true")
    process = exposed.start("rejects", "replay", path)
    try:
        wait_until(process, lambda: someone_waits(databases))
        exposed.assert_closed(process)
    finally:
        keeper.close()
    exposed.end(process)


@pytest.mark.slow
def test_every_other_verb(exposed: Exposed) -> None:
    path = str(exposed.folder / "specification.yaml")
    one_worker = ("--direct_num_workers=1", "--direct_running_mode=in_memory")
    row = '{"id": 1, "name": "Zoe Doe", "sex": "F"}'
    verbs = (
        ("plan", path, "--full"),
        ("migrate", path, *one_worker),
        ("status", path),
        ("rejects", "list", path),
        ("rejects", "export", path, "--output", f"{exposed.folder}/codes.csv"),
        ("rejects", "discard", path, "--reason", "none", "--code", "DATA-004"),
        # There is nothing to stop.
        ("stop", path),
        ("try", path, "people", row),
    )
    for verb in verbs:
        process = exposed.start(*verb)
        while process.poll() is None:
            assert listening(process.pid) == set(), verb
            pids = [each.pid for each in family_of(process.pid) if _has_begun(each)]
            secrets = [*SECRETS, "Zoe Doe"]
            assert findings(pids, exposed.roots, exposed.known, secrets) == [], verb
        exposed.end(process, expected=2 if verb[0] == "stop" else 0)


def _has_begun(process: psutil.Process) -> bool:
    """Whether the command is at work; until then its arguments show."""
    try:
        return time.time() - process.create_time() > 1
    except psutil.NoSuchProcess:
        return False
