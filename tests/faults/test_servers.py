"""Servers that crash, connections that are cut, networks that fail: the job comes to its end.

Whatever happens, a run ends as complete (0) or as incomplete (3) with a code and without a
traceback, and starting it again brings the job to the end of an undisturbed one.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.errors import ExitStatus
from tests.support.databases.two_databases import Row, TwoDatabases
from tests.support.jobs.people_and_visits import SMALL, SPECIFICATION, content, prepare
from tests.support.runs.child_runs import LONGEST, assert_nothing_left, kill_all, start
from tests.support.seeds import seeds
from tests.support.servers.crashing_server import CrashingServer, crashing_server
from tests.support.servers.failing_proxy import Proxy

PATIENT = SMALL.replace("attempts: 1, delay: 10ms", "attempts: 4, delay: 200ms")

MOST_RUNS = 8

_numbers = itertools.count(1)

Servers = dict[str, CrashingServer]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with crashing_server() as source, crashing_server() as target:
        yield {"source": source, "target": target}


@pytest.fixture
def urls(servers: Servers) -> tuple[str, str]:
    """Those of two empty databases, one on each server."""
    name = f"f{os.getpid()}_{next(_numbers)}"
    return servers["source"].new_database(name), servers["target"].new_database(name)


def migrated(
    given: TwoDatabases,
    header: str,
    chance: random.Random,
    seconds: float,
    fault: Callable[[], None],
    mend: Callable[[], None] = lambda: None,
) -> None:
    """Runs the job until it is complete; the fault happens in the first run, and is mended then."""
    path = given.write(SPECIFICATION, header)
    log = given.folder / "run.log"
    for run in range(MOST_RUNS):
        process = start(given, path, log=log)
        try:
            if run == 0:
                moment = chance.uniform(0.3, 1.0) * seconds
                try:
                    process.wait(timeout=moment)
                except subprocess.TimeoutExpired:
                    print(f"after {moment:.2f} s")
                    fault()
            status = process.wait(timeout=LONGEST)
        finally:
            kill_all(process)
        told = log.read_text()
        print(f"run {run + 1} ended with {status}")
        assert status in (ExitStatus.COMPLETE, ExitStatus.INCOMPLETE), told
        assert "Traceback" not in told, told
        mend()
        if status == ExitStatus.COMPLETE:
            return
        assert re.search("(CONN|SYS)-00[0-9]", told), told
    raise AssertionError(f"not complete after {MOST_RUNS} runs: {log.read_text()}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(3, 10))
@pytest.mark.parametrize("crashing", [("source",), ("target",), ("source", "target")], ids="+".join)
def test_a_server_that_crashes(
    servers: Servers,
    urls: tuple[str, str],
    undisturbed: dict[str, list[Row]],
    usual_seconds: float,
    tmp_path: Path,
    crashing: tuple[str, ...],
    seed: int,
) -> None:
    chance = random.Random(seed)
    databases = TwoDatabases.at(*urls, tmp_path)
    prepare(databases)

    def crash() -> None:
        for name in crashing:
            servers[name].crash()
        for name in crashing:
            servers[name].start()

    header = chance.choice([SMALL, PATIENT])
    migrated(databases, header, chance, usual_seconds, crash)
    afterwards = TwoDatabases.at(*urls, tmp_path)
    assert content(afterwards) == undisturbed
    assert_nothing_left(afterwards)


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(4, 10))
def test_sessions_that_an_administrator_ends(
    servers: Servers,
    urls: tuple[str, str],
    undisturbed: dict[str, list[Row]],
    usual_seconds: float,
    tmp_path: Path,
    seed: int,
) -> None:
    chance = random.Random(seed)
    databases = TwoDatabases.at(*urls, tmp_path)
    prepare(databases)

    def end() -> None:
        for name in chance.choice([("source",), ("target",), ("source", "target")]):
            servers[name].end_sessions(databases.legacy.name)

    migrated(databases, chance.choice([SMALL, PATIENT]), chance, usual_seconds, end)
    afterwards = TwoDatabases.at(*urls, tmp_path)
    assert content(afterwards) == undisturbed
    assert_nothing_left(afterwards)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["delay", "truncate", "drop", "refuse"])
@pytest.mark.parametrize("seed", seeds(2, 3))
def test_a_network_that_fails(
    urls: tuple[str, str],
    undisturbed: dict[str, list[Row]],
    usual_seconds: float,
    tmp_path: Path,
    seed: int,
    fault: str,
) -> None:
    chance = random.Random(seed)
    databases = TwoDatabases.at(*urls, tmp_path)
    prepare(databases)
    proxies = [Proxy(url, chance) for url in urls]
    source, target = proxies
    behind = TwoDatabases.at(source.url, target.url, tmp_path)

    def fail() -> None:
        for proxy in chance.choice([proxies, proxies[:1], proxies[1:]]):
            if fault == "delay":
                proxy.delay = 0.05
            elif fault == "truncate":
                proxy.truncate = True
            else:
                proxy.refuse = fault == "refuse"
                proxy.drop()

    def mend() -> None:
        for proxy in proxies:
            proxy.truncate = proxy.refuse = False

    try:
        migrated(behind, chance.choice([SMALL, PATIENT]), chance, usual_seconds, fail, mend)
    finally:
        for proxy in proxies:
            proxy.close()
    assert content(databases) == undisturbed
    assert_nothing_left(databases)
