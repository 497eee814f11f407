"""``python -m pipelines.worker_pool PORT``: starts Beam's Python workers when an engine asks.

Beam has such a pool too. It listens on all addresses of the machine, and whoever reaches it can
have it run what they like; it takes the first ``python`` of PATH; and two engines that give their
workers the same names, as two TaskManagers do, end each other's.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """The service by which an engine starts its workers; each is a process of its own."""

    def __init__(self) -> None:
        self._workers: list[subprocess.Popen[bytes]] = []

    def StartWorker(self, request: Any, _: Any) -> Any:
        self._forget_ended()
        command = [
            *(sys.executable, "-m", "pipelines.worker"),
            *(request.control_endpoint.url, request.worker_id),
        ]
        self._workers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, _: Any) -> Any:  # noqa: ARG002
        """A worker ends when its engine hangs up, so there is nothing to be done."""
        self._forget_ended()
        return beam_fn_api_pb2.StopWorkerResponse()

    def _forget_ended(self) -> None:
        self._workers = [worker for worker in self._workers if worker.poll() is None]


def main(arguments: Sequence[str]) -> None:
    """Serves on 127.0.0.1 until the process is ended; ends with 2 where the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.worker_pool", allow_abbrev=False)
    parser.add_argument("port", type=int)
    port = parser.parse_args(arguments).port
    if not 1 <= port <= 65535:
        parser.error(f"{port} is no port")
    # Otherwise a second pool would share the port with the first, and take some of its workers.
    server = grpc.server(shared_unbounded_instance(), options=[("grpc.so_reuseport", 0)])
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(WorkerPool(), server)
    try:
        server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError:
        parser.error(f"port {port} of 127.0.0.1 can't be had: is there another pool?")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1:])
