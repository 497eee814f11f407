"""``python -m pipelines.engines.worker ADDRESS ID``: one of Beam's Python workers.

As the command of a PROCESS environment it gets ``--id=ID --provision_endpoint=ADDRESS`` instead,
and asks there for the address.

What ends a step goes to the engine and to the log without its text, which may hold values of rows.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Sequence

from pipelines.logs.worker_log import log_worker_to_stderr, worker_log_files
from pipelines.terminal.private_files import keep_files_private
from schemas.errors import TransfuseError

# Before Beam is imported, which logs meanwhile.
log_worker_to_stderr()

import grpc  # noqa: E402
from apache_beam.portability.api import (  # noqa: E402
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
)
from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor  # noqa: E402

from pipelines.engines.quiet_worker import new_worker  # noqa: E402

_ANSWERS_WITHIN = 60
"""Seconds that an engine which has just started a worker has to say where it is."""


def address_and_name(arguments: Sequence[str]) -> tuple[str, str, int | None]:
    """The address of an engine's control service, this worker's name there, and the descriptor of
    the pipe by which a pool learns that it begins.

    Raises grpc.RpcError where an engine that has to be asked doesn't answer.
    """
    parser = argparse.ArgumentParser(prog="python -m pipelines.engines.worker", allow_abbrev=False)
    parser.add_argument("address", nargs="?")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--ready", type=int)
    parser.add_argument("--id")
    parser.add_argument("--provision_endpoint")
    # Others that an engine may add are for the program in Beam's containers.
    given, _ = parser.parse_known_args(arguments)
    if given.id is None or given.provision_endpoint is None:
        if given.name is None:
            parser.error("give ADDRESS and ID, or --id and --provision_endpoint")
        return given.address, given.name, given.ready
    with grpc.insecure_channel(given.provision_endpoint) as channel:
        # Which worker asks, the engine takes from the call's metadata.
        named = grpc.intercept_channel(channel, WorkerIdInterceptor(given.id))
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(named)
        answer = stub.GetProvisionInfo(request, timeout=_ANSWERS_WITHIN, wait_for_ready=True)
    return str(answer.info.control_endpoint.url), given.id, None


def main(arguments: Sequence[str]) -> None:
    """Works for the engine that the arguments name until that ends."""
    keep_files_private()
    address, name, ready = address_and_name(arguments)
    try:
        with worker_log_files():
            _work(address, name, ready)
    except TransfuseError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


def _work(address: str, name: str, ready: int | None) -> None:
    if ready is not None:
        threading.Thread(target=_end_with_pool, daemon=True).start()
        os.write(ready, b".")
        os.close(ready)
    worker = new_worker(address, name)
    try:
        worker.run()
    except Exception as error:
        # An engine hangs up in the middle of a word, which Beam raises.
        logging.getLogger("transfuse").debug("%s has ended: %s", name, type(error).__name__)


def _end_with_pool() -> None:
    """Ends this process when its pool does: that is what stdin ends with. What is in work the
    target rolls back."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
