"""A runner whose workers are other processes, as a cluster's are, without a cluster.

It is Beam's in-process runner in the mode that the command refuses, because of its ports; here they
are on 127.0.0.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.pipeline import Pipeline
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, worker_handlers
from apache_beam.runners.runner import PipelineResult

FLAGS = ("--runner=tests.support.runs.other_processes.OtherProcesses", "--direct_num_workers=2")


class OtherProcesses(FnApiRunner):
    """Two workers, each a process of its own."""

    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> PipelineResult:
        options.view_as(DirectOptions).direct_running_mode = "multi_processing"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker_handlers.grpc, "server", _on_this_machine(grpc.server))
            return super().run_pipeline(pipeline, options)


def _on_this_machine(make_server: Callable[..., Any]) -> Callable[..., Any]:
    def make(*arguments: Any, **named: Any) -> Any:
        server = make_server(*arguments, **named)
        add = server.add_insecure_port
        server.add_insecure_port = lambda address: add(address.replace("[::]", "127.0.0.1"))
        return server

    return make
