from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

import grpc
import psutil
import pytest
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    endpoints_pb2,
)

from clusters.processes import free_ports, listens
from tests.faults.runs import PROJECT
from tests.waiting import is_alive, wait_until


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


def start_worker(port: int, engine: str) -> None:
    """Asks a pool for a worker that is to work for the engine."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel).StartWorker(
            beam_fn_api_pb2.StartWorkerRequest(
                worker_id="1-1", control_endpoint=endpoints_pb2.ApiServiceDescriptor(url=engine)
            ),
            wait_for_ready=True,
        )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_pool_that_is_to_end_takes_its_workers_along(number: signal.Signals):
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as engine, pool(str(port)) as started:
        try:
            start_worker(port, f"127.0.0.1:{engine.getsockname()[1]}")
            (worker,) = psutil.Process(started.pid).children()
            started.send_signal(number)
            _, told = started.communicate(timeout=60)
        finally:
            started.kill()
    assert started.returncode == 0
    assert "Traceback" not in told
    assert not is_alive(worker)
