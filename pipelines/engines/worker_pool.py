"""``python -m pipelines.engines.worker_pool PORT``: starts Beam's workers when an engine asks.

Beam has such a pool too. It listens on all addresses of the machine, and anybody who reaches it can
have it run what they like; it takes the first ``python`` of PATH; and two engines that give their
workers the same names, as two TaskManagers do, end each other's.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from pipelines.engines.pool_token import VARIABLE, is_permitted, read_or_create_token, token_file
from pipelines.logs.stderr_log import log_to_stderr
from pipelines.terminal.private_files import keep_files_private
from pipelines.terminal.signals import answer_signals_at_once
from schemas.errors import TransfuseError

# Before Beam is imported, which logs meanwhile.
log_to_stderr()

import grpc  # noqa: E402
from apache_beam.portability.api import (  # noqa: E402
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
)
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance  # noqa: E402

logger = logging.getLogger("transfuse")

_ENDS_WITHIN = 5.0
"""Seconds between SIGTERM and SIGKILL for all workers: a container has some ten itself."""


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """The service by which an engine starts its workers; each is a process of its own."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._workers: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._ends = False

    def StartWorker(self, request: Any, context: Any) -> Any:
        """Answers when the worker begins, or has ended before that: an engine waits for one that
        never comes as long as it is let."""
        if not is_permitted(request.params, self._token):
            logger.error("a worker was asked for without the token of this pool: see %s", VARIABLE)
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "the token of the pool is missing")
        reading, ready = os.pipe()
        command = [
            *(sys.executable, "-m", "pipelines.engines.worker"),
            *(request.control_endpoint.url, request.worker_id, f"--ready={ready}"),
        ]
        with os.fdopen(reading, "rb") as reader:
            try:
                with self._lock:
                    self._forget_ended()
                    if self._ends:
                        context.abort(grpc.StatusCode.UNAVAILABLE, "the pool of workers ends")
                    worker = subprocess.Popen(
                        # The pipe ends with this process, however that does.
                        command,
                        stdin=subprocess.PIPE,
                        pass_fds=[ready],
                        env=_worker_variables(),
                    )
                    self._workers.append(worker)
            finally:
                os.close(ready)
            if reader.read(1):
                return beam_fn_api_pb2.StartWorkerResponse()
        error = f"a worker has ended with status {worker.wait()} before it began"
        logger.error("%s", error)
        return beam_fn_api_pb2.StartWorkerResponse(error=error)

    def StopWorker(self, request: Any, _: Any) -> Any:  # noqa: ARG002
        """A worker ends when its engine hangs up, so there is nothing to be done."""
        with self._lock:
            self._forget_ended()
        return beam_fn_api_pb2.StopWorkerResponse()

    def end(self) -> None:
        """Ends the workers that are left, and starts no more. What they have in work the target
        rolls back."""
        with self._lock:
            self._ends = True
            for worker in self._workers:
                worker.terminate()
            deadline = time.monotonic() + _ENDS_WITHIN
            for worker in self._workers:
                with suppress(subprocess.TimeoutExpired):
                    worker.wait(max(0.0, deadline - time.monotonic()))
                worker.kill()
                worker.wait()

    def _forget_ended(self) -> None:
        self._workers = [worker for worker in self._workers if worker.poll() is None]


def _worker_variables() -> dict[str, str]:
    """The environment of a worker, which needs no token."""
    return {name: value for name, value in os.environ.items() if name != VARIABLE}


def main(arguments: Sequence[str]) -> None:
    """Serves on 127.0.0.1 until SIGTERM or SIGINT; ends with 2 where the port is taken or there is
    no token."""
    command = "python -m pipelines.engines.worker_pool"
    parser = argparse.ArgumentParser(prog=command, allow_abbrev=False)
    parser.add_argument("port", type=int)
    port = parser.parse_args(arguments).port
    if not 1 <= port <= 65535:
        parser.error(f"{port} is no port")
    keep_files_private()
    signals: SimpleQueue[int] = SimpleQueue()
    # The first process of a container isn't ended by a signal for which it has no handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.put(number))
    answer_signals_at_once()
    # Otherwise a second pool would share the port with the first, and take some of its workers.
    server = grpc.server(shared_unbounded_instance(), options=[("grpc.so_reuseport", 0)])
    try:
        pool = WorkerPool(read_or_create_token())
    except TransfuseError as error:
        parser.error(str(error))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    try:
        server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError:
        parser.error(f"port {port} of 127.0.0.1 can't be had: is there another pool?")
    server.start()
    where = VARIABLE if VARIABLE in os.environ else token_file()
    notice = f"Python workers start at 127.0.0.1:{port}, with the token of {where}."
    print(notice, file=sys.stderr, flush=True)
    signals.get()
    server.stop(grace=None)
    pool.end()


if __name__ == "__main__":
    main(sys.argv[1:])
