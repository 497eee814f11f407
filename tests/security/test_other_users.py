"""While a run goes on, a process of another user finds no way in, and no way to disturb it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.cli.grammar import flags_of, new_parser
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, prepare
from tests.support.processes.attacker import findings, paths_below
from tests.support.processes.open_doors import family_of, listening
from tests.support.project import PROJECT
from tests.support.runs.child_runs import LONGEST, kill_all
from tests.support.runs.held_runs import gate, someone_waits, wait_until

PASSWORDS = ("pl%2Fan%40ted-1", "pl%25an%20ted-2")
"""As URLs have them: with a slash and an at sign, with a percent sign and a blank."""

NAMES = ("Ruth Roe", "Zoe Doe")

SECRETS = (*PASSWORDS, "pl/an@ted-1", "pl%an ted-2", *NAMES)


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

    @property
    def path(self) -> str:
        return str(self.folder / "specification.yaml")

    @property
    def incident(self) -> str:
        """The only incident of the job."""
        (number,) = self.databases.target.values("SELECT id FROM migration.migration_incidents")
        return str(number)

    @property
    def rows(self) -> Path:
        """The output of verbs that print rows."""
        return self.folder / "rows.log"

    def start(
        self, *arguments: str, has_variables: bool = True, prints_rows: bool = False
    ) -> subprocess.Popen[bytes]:
        """Starts a verb. One URL is an argument, the other a variable of the environment."""
        pairs = zip(self.databases.variables.items(), PASSWORDS, strict=True)
        urls = {
            name: url.replace("postgres@", f"postgres:{password}@")
            for (name, url), password in pairs
        }
        variables = {"LEGACY_URL": urls["LEGACY_URL"], "TMPDIR": str(self.folder / "tmp")}
        with (self.rows if prints_rows else self.log).open("ab") as output:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "pipelines", *arguments),
                    *(("--var", f"TARGET_URL={urls['TARGET_URL']}") if has_variables else ()),
                ],
                cwd=PROJECT,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                umask=0,
                start_new_session=True,
            )

    def assert_closed(self, *processes: subprocess.Popen[bytes]) -> None:
        pids = [each.pid for process in processes for each in family_of(process.pid)]
        secrets = SECRETS if all(_is_at_work(pid) for pid in pids) else ()
        for process in processes:
            assert listening(process.pid) == set(), process.args
        assert findings(pids, self.roots, self.known, secrets) == []

    def assert_closed_to_the_end(
        self, *processes: subprocess.Popen[bytes], beside: Sequence[subprocess.Popen[bytes]] = ()
    ) -> None:
        """Looks again and again until all processes have ended."""
        while at_work := [each for each in processes if each.poll() is None]:
            self.assert_closed(*at_work, *beside)
            time.sleep(0.3)

    def end(self, process: subprocess.Popen[bytes], expected: int = 0) -> None:
        try:
            assert process.wait(timeout=LONGEST) == expected, self.log.read_text()
        finally:
            kill_all(process)
        # What it leaves behind, in its output as well.
        assert findings([], self.roots, self.known, []) == []
        made = [Path(each) for each in paths_below(self.roots) if each not in self.known]
        for path in [self.log, self.rows, *filter(Path.is_file, made)]:
            content = path.read_bytes()
            secrets = set(SECRETS).difference(NAMES if path == self.rows else ())
            assert [secret for secret in secrets if secret.encode() in content] == [], path


def _is_at_work(pid: int) -> bool:
    """Whether the command has begun; while Python starts, its arguments show. It sets its umask
    right after it has hidden them."""
    try:
        return "Umask:\t0077" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


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
        made.rows.touch()
        made.known = paths_below(made.roots)
        yield made
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_run_and_a_replay_that_are_at_work(exposed: Exposed) -> None:
    databases, path = exposed.databases, exposed.path
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


ONE_WORKER = ("--direct_num_workers=1",)
SEVERAL_WORKERS = ("--direct_num_workers=3", "--direct_running_mode=in_memory")

CALLS: dict[str, tuple[str, ...]] = {
    "plan": ("--full",),
    "try": ("people", '{"id": 1, "name": "Zoe Doe", "sex": "F"}'),
    "rejects show": ("1", "--source"),
    "rejects export": ("--code", "TRANS-002", "--output", "FOLDER/codes.csv"),
    "codes import": ("FOLDER/codes.csv",),
    "rejects replay": ("--table", "people", *ONE_WORKER),
    "rejects discard": ("--all", "--reason", "a test", "--yes"),
    "rejects reopen": ("--all",),
    "explain": (),
    "incidents show": ("INCIDENT",),
    "incidents acknowledge": ("INCIDENT",),
    "incidents escalate": ("INCIDENT", "--reason", "a test"),
    "incidents close": ("INCIDENT", "--resolution", "a test"),
}
"""What verbs are called with beside the specification. One that isn't here is called with that
alone, and with '--yes' where it asks."""

TOGETHER = (
    ("plan", "try", "rejects list", "rejects show", "rejects export", "status", "rules", "version"),
    ("codes import",),
    ("rejects replay",),
    ("rejects discard",),
    ("rejects reopen",),
    ("incidents list", "incidents show", "incidents check", "explain", "doctor"),
    ("incidents acknowledge",),
    ("incidents escalate",),
    ("incidents close",),
)
"""Verbs that run at the same time, in the order in which each finds what it needs; those that
aren't here run one by one at the end."""

PRINTING_ROWS = {"try", "rejects show"}
"""Verbs that are asked for the values of a row."""


def verbs_of_the_parser() -> dict[str, argparse.ArgumentParser]:
    """Every verb that the command line has, with the words that call it."""
    verbs = {}
    waiting: list[tuple[str, argparse.ArgumentParser]] = [("", new_parser())]
    while waiting:
        words, parser = waiting.pop()
        below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
        for action in below:
            waiting += [(f"{words} {name}".strip(), one) for name, one in action.choices.items()]
        if not below:
            verbs[words] = parser
    return verbs


@pytest.mark.slow
def test_every_verb(exposed: Exposed) -> None:
    """Nobody else finds anything of a verb, whichever it is, from its beginning to its end."""
    verbs = verbs_of_the_parser()
    called = _control_a_running_job(exposed)
    _open_an_incident(exposed)
    later = verbs.keys() - {*called, *(name for group in TOGETHER for name in group)}
    for group in (*TOGETHER, *((name,) for name in sorted(later))):
        started = [
            exposed.start(
                *_call(exposed, name, verbs[name]),
                has_variables="--var" in flags_of(verbs[name]),
                prints_rows=name in PRINTING_ROWS,
            )
            for name in group
        ]
        exposed.assert_closed_to_the_end(*started)
        for process in started:
            exposed.end(process)
        called += group
    assert set(called) == set(verbs)


def _call(exposed: Exposed, name: str, parser: argparse.ArgumentParser) -> tuple[str, ...]:
    places = [each.dest for each in parser._actions if not each.option_strings]
    assert name in CALLS or set(places) <= {"specification", "name"}, f"say how to call {name}"
    arguments = [exposed.path] if "specification" in places else []
    arguments += [
        each.replace("FOLDER", str(exposed.folder)).replace("INCIDENT", exposed.incident)
        for each in CALLS.get(name, ())
    ]
    if name not in CALLS and "--yes" in flags_of(parser):
        arguments.append("--yes")
    return (*name.split(), *arguments)


def _open_an_incident(exposed: Exposed) -> None:
    """Stops the job in an emergency, and lifts that."""
    for words in (("stop", "--emergency", "--reason", "a test"), ("resume",)):
        process = exposed.start(words[0], exposed.path, *words[1:])
        exposed.assert_closed_to_the_end(process)
        exposed.end(process)


def _control_a_running_job(exposed: Exposed) -> list[str]:
    """Stops a run, and pauses and resumes the next one; gives the verbs that it has called."""
    databases = exposed.databases
    for flags, commands in ((ONE_WORKER, ["stop"]), (SEVERAL_WORKERS, ["pause", "resume"])):
        databases.target.run("DROP TRIGGER IF EXISTS gate ON people")
        keeper = gate(databases, "people", "INSERT", "true")
        run = exposed.start("migrate", exposed.path, *flags)
        try:
            wait_until(run, lambda: someone_waits(databases))
            for verb in commands:
                process = exposed.start(verb, exposed.path)
                if verb == "resume":
                    # It waits until the run has paused.
                    keeper.close()
                exposed.assert_closed_to_the_end(process, beside=[run])
                exposed.end(process)
        finally:
            keeper.close()
        exposed.end(run, expected=4 if commands == ["stop"] else 0)
    databases.target.run("DROP TRIGGER gate ON people")
    return ["migrate", "stop", "pause", "resume"]
