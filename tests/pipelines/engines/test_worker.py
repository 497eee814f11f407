from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc

from pipelines.engines.worker import address_and_name

CONTROL = "127.0.0.1:4711"


class _Provisions(beam_provision_api_pb2_grpc.ProvisionServiceServicer):
    """As an engine does, it answers only those of whom it knows who asks."""

    def GetProvisionInfo(self, _: Any, call: Any) -> Any:
        assert dict(call.invocation_metadata())["worker_id"] == "worker-1"
        answer = beam_provision_api_pb2.GetProvisionInfoResponse()
        answer.info.control_endpoint.url = CONTROL
        return answer


@pytest.fixture
def engine() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(_Provisions(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


def test_a_pool_tells_a_worker_where_its_engine_is() -> None:
    assert address_and_name([CONTROL, "worker-1"]) == (CONTROL, "worker-1", None)


def test_an_engine_that_starts_a_worker_itself_is_asked(engine: str) -> None:
    flags = ["--id=worker-1", f"--provision_endpoint={engine}", "--semi_persist_dir=/tmp"]
    assert address_and_name(flags) == (CONTROL, "worker-1", None)


def test_a_worker_without_an_engine_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        address_and_name([CONTROL])
    assert "--provision_endpoint" in capsys.readouterr().err
