"""Where an engine gets its Python workers: from a pool, or as threads of this process."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, beam_runner_api_pb2
from apache_beam.transforms.environments import ExternalEnvironment
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance

from pipelines.engines.pool_token import PARAMETER, VARIABLE, is_permitted, read_token, token_file
from pipelines.engines.quiet_worker import new_worker

logger = logging.getLogger("transfuse")


@contextmanager
def offer_workers(pipeline: Any) -> Iterator[None]:
    """Within the context the engine of a pipeline can get its workers.

    ``LOOPBACK`` has them be threads of this process. Beam would take requests for them on all
    interfaces, from anybody. Here they are taken on 127.0.0.1 from who has a token that is made
    for this run; and a pool (``EXTERNAL``) gets the token that it asks for.

    Raises:
        TransfuseError: SYS-004 for a token that can't be used.
    """
    environment = pipeline.runner.default_environment(pipeline.options)
    made = environment.to_runner_api(None)
    if made.urn == python_urns.EMBEDDED_PYTHON_LOOPBACK:
        with _threads() as (url, own_token):
            _use(pipeline, environment, url, {PARAMETER: own_token})
            yield
        return
    if made.urn == common_urns.environments.EXTERNAL.urn:
        payload = beam_runner_api_pb2.ExternalPayload.FromString(made.payload)
        token = read_token()
        if token is not None:
            given = {PARAMETER: token, **payload.params}
            _use(pipeline, environment, payload.endpoint.url, given)
        elif PARAMETER not in payload.params:
            logger.warning(
                "there is no token of a pool, neither in %s nor in %s: pools of"
                " pipelines.engines.worker_pool start no worker without theirs",
                VARIABLE,
                token_file(),
            )
    yield


def _use(pipeline: Any, environment: Any, url: str, parameters: Mapping[str, str]) -> None:
    """Not by flags: an engine shows those on its page."""
    used = ExternalEnvironment(
        url,
        parameters,
        environment.capabilities(),
        environment.artifacts(),
        environment.resource_hints(),
    )
    pipeline.runner.default_environment = lambda _: used


@contextmanager
def _threads() -> Iterator[tuple[str, str]]:
    """Serves requests for workers that are threads of this process; gives address and token."""
    token = secrets.token_hex(16)
    server = grpc.server(shared_unbounded_instance(), options=[("grpc.so_reuseport", 0)])
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(_Threads(token), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", token
    finally:
        server.stop(grace=None)


class _Threads(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """The service by which an engine starts workers; they end when it hangs up."""

    def __init__(self, token: str) -> None:
        self._token = token

    def StartWorker(self, request: Any, context: Any) -> Any:
        if not is_permitted(request.params, self._token):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "the token of this run is missing")
        worker = new_worker(request.control_endpoint.url, request.worker_id)
        threading.Thread(target=worker.run, name=request.worker_id, daemon=True).start()
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, _: Any) -> Any:  # noqa: ARG002
        return beam_fn_api_pb2.StopWorkerResponse()
