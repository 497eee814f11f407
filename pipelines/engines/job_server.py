"""Beam's job server: the Java process that takes a pipeline and gives it to Flink or Spark.

Beam would start it itself, but in the process group of this command, so that Ctrl-C in a terminal
ends it at once, and with an answer of its own to SIGINT in place of ours (``interruption.py``). So
it is started here, in a session of its own, and Beam gets its address.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import grpc
from apache_beam.options.pipeline_options import (
    JobServerOptions,
    PortableOptions,
)
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.runners.portability.flink_runner import FlinkJarJobServer, FlinkRunner
from apache_beam.runners.portability.job_server import JavaJarJobServer
from apache_beam.runners.portability.spark_runner import SparkJarJobServer, SparkRunner

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

logger = logging.getLogger("transfuse")

STARTS_WITHIN = 60.0
"""Seconds that a job server of ours has until it answers."""

ANSWERS_WITHIN = 10.0
"""Seconds that a job server has which is running already."""

_ENDS_WITHIN = 10.0
"""Seconds between SIGTERM and SIGKILL."""

_BETWEEN_LOOKS = 0.1
"""Seconds."""

_COMPILED_LITTLE = "-XX:TieredStopAtLevel=1"
"""A job server lives as long as one job, and what Java compiles in it doesn't pay: without, its
start takes half the processor time (2.2 s for 4.4 s). A later property of the same name wins."""

_GUARD = (
    'folder=$1; shift; exec 3<&0 </dev/null; "$@" 3<&- & server=$!;'
    ' { cat <&3; kill "$server"; } >/dev/null 2>&1 & watch=$!; wait "$server";'
    ' status=$?; kill "$watch" 2>/dev/null; rm -rf -- "$folder"; exit "$status"'
)
"""A shell that ends the server when its own input ends: with this process, however that does. Then
it removes the server's folder, which nobody else does where this process was killed."""


_OPEN_PORTS = (
    "Beam's job server and the engine serve ports on all interfaces without authentication: keep"
    " other machines and other users away from them (docs/clusters.md, 'Closed networks')"
)
"""Beam's Java library binds its servers by their port alone, so nobody can choose the interface."""


def named_job_server(options: Any) -> str | None:
    """Where the flags say that a job server is running already."""
    endpoint: str | None = options.view_as(PortableOptions).job_endpoint
    # By this word Beam means a job server in its own process.
    return None if endpoint == "embed" else endpoint


@contextmanager
def job_server(pipeline: Any) -> Iterator[list[Any] | None]:
    """Within the context a pipeline can be submitted: its job server answers.

    Gives what the server says of the options that it takes, as Beam's PipelineOptionDescriptor,
    or None where Beam itself sees to one. Raises TransfuseError: SYS-004 where Java or the jar of
    the job server is missing, CONN-004 where the jar or a job server that is named can't be
    reached, SYS-005 where it doesn't start.
    """
    options = pipeline.options
    named = named_job_server(options)
    server = None if named else _server_of(pipeline.runner, options)
    if named:
        yield _request_description(named)
    elif server is not None:
        with _start_server(server, options) as (endpoint, described):
            options.view_as(PortableOptions).job_endpoint = endpoint
            yield described
    else:
        yield None


def _server_of(runner: Any, options: Any) -> JavaJarJobServer | None:
    """Beam's description of the job server that is to be started, if it is known."""
    if isinstance(runner, FlinkRunner):
        return FlinkJarJobServer(options)
    if isinstance(runner, SparkRunner):
        return SparkJarJobServer(options)
    return None


@contextmanager
def _start_server(server: JavaJarJobServer, options: Any) -> Iterator[tuple[str, list[Any]]]:
    """Where the server listens, and the options that it takes."""
    java = options.view_as(JobServerOptions).job_server_java_launcher
    if shutil.which(java) is None:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                "there is no Java here, on which Beam's job server runs",
                java,
                "install it, or name it with --job_server_java_launcher=PATH; or name a job server"
                " that is running with --job_endpoint=HOST:PORT",
            )
        )
    with tempfile.TemporaryDirectory(prefix="transfuse-", ignore_cleanup_errors=True) as folder:
        chosen = options.view_as(JobServerOptions)
        # Beam would make a folder of its own, and leave it.
        server._artifacts_dir = chosen.artifacts_dir or folder
        server._jvm_properties = [_COMPILED_LITTLE, *server._jvm_properties]
        command, endpoint = _command_of(server)
        _refuse_no_jar(command)
        # What the engine says may hold values of rows.
        debugging = bool(os.environ.get("TRANSFUSE_DEBUG"))
        output = None if debugging else subprocess.DEVNULL
        logger.warning(_OPEN_PORTS)
        process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", folder, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield endpoint, _await_description(endpoint, command, process)
        finally:
            _end(process)


def _command_of(server: JavaJarJobServer) -> tuple[list[str], str]:
    """The command, and where the job server will listen; its jar is downloaded if need be."""
    try:
        command, endpoint = server.subprocess_cmd_and_endpoint()
    except ValueError:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                "there is no jar of Beam's job server",
                str(server._jar),
                "name the file, or a URL, with --flink_job_server_jar or --spark_job_server_jar",
            )
        ) from None
    except (RuntimeError, OSError):
        raise TransfuseError(
            Problem(
                ErrorCode.CONN_004,
                "the jar of Beam's job server can't be downloaded",
                server.path_to_jar(),
                "check the network, or name a file with --flink_job_server_jar or"
                " --spark_job_server_jar",
            ),
            ExitStatus.INCOMPLETE,
        ) from None
    return [str(part) for part in command], endpoint


def _jar_of(command: Sequence[str]) -> str:
    return command[command.index("-jar") + 1]


def _refuse_no_jar(command: Sequence[str]) -> None:
    jar = _jar_of(command)
    with suppress(OSError):
        if zipfile.is_zipfile(jar):
            return
    raise TransfuseError(
        Problem(
            ErrorCode.SYS_004,
            "this is no jar",
            jar,
            "name that of Beam's job server for the engine and its version",
        )
    )


def _await_description(
    endpoint: str, command: Sequence[str], process: subprocess.Popen[bytes]
) -> list[Any]:
    with grpc.insecure_channel(endpoint) as channel, suppress(grpc.RpcError):
        asked = _request_options(channel, STARTS_WITHIN)
        while process.poll() is None:
            with suppress(grpc.FutureTimeoutError):
                return list(asked.result(timeout=_BETWEEN_LOOKS).options)
    status = process.poll()
    outcome = "doesn't answer" if status is None else f"ended with status {status}"
    raise TransfuseError(
        Problem(
            ErrorCode.SYS_005,
            f"Beam's job server {outcome}",
            _jar_of(command),
            "check that the jar is Beam's job server for this engine; with TRANSFUSE_DEBUG=1 its"
            " output is shown, which may hold values of rows",
        ),
        ExitStatus.INCOMPLETE,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_ENDS_WITHIN)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _request_description(endpoint: str) -> list[Any]:
    with grpc.insecure_channel(endpoint) as channel, suppress(grpc.RpcError):
        return list(_request_options(channel, ANSWERS_WITHIN).result().options)
    raise TransfuseError(
        Problem(
            ErrorCode.CONN_004,
            "no job server of Beam's answers",
            endpoint,
            "check --job_endpoint, and that the job server runs",
        ),
        ExitStatus.INCOMPLETE,
    )


def _request_options(channel: grpc.Channel, within: float) -> Any:
    """The call that asks a job server which options it takes, as soon as it listens."""
    stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
    request = beam_job_api_pb2.DescribePipelineOptionsRequest()
    return stub.DescribePipelineOptions.future(request, timeout=within, wait_for_ready=True)
