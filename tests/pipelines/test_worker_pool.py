from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from clusters.processes import free_ports, listens
from tests.faults.runs import PROJECT
from tests.waiting import wait_until


def pool(*arguments: str) -> subprocess.Popen[str]:
    command: Sequence[str] = [sys.executable, "-m", "pipelines.worker_pool", *arguments]
    return subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True)


def refused(*arguments: str) -> str:
    """What a pool says that doesn't start."""
    with pool(*arguments) as process:
        try:
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 2
    assert "Traceback" not in told
    return told


def test_a_second_pool_on_a_port_is_refused():
    (port,) = free_ports(1)
    with pool(str(port)) as first:
        try:
            wait_until(lambda: listens(port))
            assert "another pool" in refused(str(port))
        finally:
            first.kill()


@pytest.mark.parametrize("arguments", [[], ["abc"], ["70000"]])
def test_a_port_that_is_none_is_refused(arguments: list[str]):
    assert "usage" in refused(*arguments)
