from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
import psutil
import pytest
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    endpoints_pb2,
)

from clusters.processes import free_ports, listens
from pipelines.engines.pool_token import PARAMETER, VARIABLE
from tests.support.project import PROJECT
from tests.support.runs.child_runs import hand_to_another_thread
from tests.support.waiting import is_alive, wait_until

TOKEN = "a-secret-of-pool-and-launcher"


def pool(*arguments: str) -> subprocess.Popen[str]:
    command: Sequence[str] = [sys.executable, "-m", "pipelines.engines.worker_pool", *arguments]
    environment = os.environ | {VARIABLE: TOKEN}
    return subprocess.Popen(
        command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True
    )


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


@pytest.mark.slow
def test_a_second_pool_on_a_port_is_refused() -> None:
    (port,) = free_ports(1)
    with pool(str(port)) as first:
        try:
            wait_until(lambda: listens(port))
            assert "another pool" in refused(str(port))
        finally:
            first.kill()


@pytest.mark.parametrize("arguments", [[], ["70000"]])
def test_a_port_that_is_none_is_refused(arguments: list[str]) -> None:
    assert "usage" in refused(*arguments)


def start_worker(port: int, engine: str, token: str = TOKEN) -> str:
    """Asks a pool for a worker that is to work for the engine; gives what is told as its error."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel).StartWorker(
            beam_fn_api_pb2.StartWorkerRequest(
                worker_id="1-1",
                control_endpoint=endpoints_pb2.ApiServiceDescriptor(url=engine),
                params={PARAMETER: token},
            ),
            wait_for_ready=True,
        )
    return str(answer.error)


@pytest.mark.parametrize(
    "token", [pytest.param("", marks=pytest.mark.slow), "a-guess-of-somebody-else"]
)
def test_a_pool_starts_no_worker_for_who_lacks_its_token(token: str) -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as engine, pool(str(port)) as started:
        try:
            with pytest.raises(grpc.RpcError) as raised:
                start_worker(port, f"127.0.0.1:{engine.getsockname()[1]}", token)
            assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
            assert not psutil.Process(started.pid).children()
            started.send_signal(signal.SIGTERM)
            _, told = started.communicate(timeout=60)
        finally:
            started.kill()
    assert f"without the token of this pool: see {VARIABLE}" in told


@pytest.mark.slow
def test_workers_end_with_a_pool_that_is_killed() -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as engine, pool(str(port)) as started:
        try:
            assert not start_worker(port, f"127.0.0.1:{engine.getsockname()[1]}")
            (worker,) = psutil.Process(started.pid).children()
            assert VARIABLE not in worker.environ()
        finally:
            started.kill()
        wait_until(lambda: not is_alive(worker))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_pool_that_is_to_end_takes_its_workers_along(number: signal.Signals) -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as engine, pool(str(port)) as started:
        try:
            assert not start_worker(port, f"127.0.0.1:{engine.getsockname()[1]}")
            (worker,) = psutil.Process(started.pid).children()
            started.send_signal(number)
            _, told = started.communicate(timeout=60)
        finally:
            started.kill()
    assert started.returncode == 0
    assert "Traceback" not in told
    assert not is_alive(worker)


@pytest.mark.slow
def test_a_pool_ends_whichever_thread_is_handed_the_signal() -> None:
    (port,) = free_ports(1)
    with pool(str(port)) as started:
        try:
            wait_until(lambda: listens(port))
            hand_to_another_thread(started.pid, signal.SIGTERM)
            started.wait(timeout=60)
        finally:
            started.kill()
    assert started.returncode == 0


@pytest.mark.slow
def test_an_engine_is_told_of_a_worker_that_ends_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it waits for it as long as it is let."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'pipelines.engines.worker' in sys.orig_argv: os._exit(7)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (port,) = free_ports(1)
    with pool(str(port)) as started:
        try:
            assert "with status 7 before it began" in start_worker(port, "127.0.0.1:1")
            started.send_signal(signal.SIGTERM)
            _, told = started.communicate(timeout=60)
        finally:
            started.kill()
    assert "with status 7 before it began" in told
