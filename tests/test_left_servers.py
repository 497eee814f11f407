"""Servers of the tests end with the process that started them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.project import PROJECT
from tests.support.waiting import is_alive, wait_until

STARTS_A_SERVER = """
import sys
from tests.support.servers.crashing_server import crashing_server
with crashing_server() as server:
    print(server.process_id, server.folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_server_does_not_outlive_a_process_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_A_SERVER],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pid, folder = process.stdout.readline().split()
        server = psutil.Process(int(pid))
        assert is_alive(server)
        process.kill()
    wait_until(lambda: not is_alive(server))
    wait_until(lambda: not Path(folder).exists())
