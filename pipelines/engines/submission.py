"""What is seen to before a run is submitted to Flink or Spark: what can't work is refused."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    SparkRunnerOptions,
)
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES, FlinkRunner
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.spark_runner import SparkRunner

from pipelines.engines.flink_rest import slots_of
from pipelines.engines.job_server import named_job_server
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

_CONNECTS_WITHIN = 10.0
"""Seconds that a cluster's master has to take a connection."""

_SPARK_CORES = "-Dspark.cores.max="
"""The property, as Java takes it, of how many cores an application may have in a cluster."""

_CLOSED_SPARK = (
    "-Dspark.ui.enabled=false",
    "-Dspark.driver.host=127.0.0.1",
    "-Dspark.driver.bindAddress=127.0.0.1",
)
"""A later property of the same name wins."""

_LOCAL_SPARK = re.compile(r"local(?:\[(\d+|\*)(?:,.*)?\])?")

_OTHER_SPARK = re.compile(r"local\b|yarn\b|k8s://|mesos://")

_ADDRESS = re.compile(r"\S+:(\d{1,5})")


def make_ready(pipeline: Any, most: int) -> None:
    """Refuses what can't work, and has the engine use at most ``most`` workers.

    Raises TransfuseError: USER-001 for flags that can't work, together or at all, CONN-004 where
    the engine's master can't be reached.
    """
    _refuse_uploads(pipeline.options)
    _refuse_unnamed_engine(pipeline)
    _refuse_unreachable(_masters(pipeline))
    _bound_workers(pipeline, most)
    _refuse_environment(pipeline)


def _refusal(message: str, where: str, remedy: str) -> TransfuseError:
    return TransfuseError(Problem(ErrorCode.USER_001, message, where, remedy))


def _refuse_uploads(options: Any) -> None:
    """Beam itself would talk to the engine then: nothing would bound Spark's workers, and what the
    engine refuses would come to light when the run has begun."""
    chosen = {
        "--flink_submit_uber_jar": options.view_as(FlinkRunnerOptions).flink_submit_uber_jar,
        "--spark_submit_uber_jar": options.view_as(SparkRunnerOptions).spark_submit_uber_jar,
    }
    for flag, value in chosen.items():
        if value:
            raise _refusal(
                "a run goes to the engine by way of Beam's job server, not as a jar",
                flag,
                "leave it out: a job server starts with the run, and ends with it",
            )


def _refuse_unnamed_engine(pipeline: Any) -> None:
    options = pipeline.options
    named = named_job_server(options)
    # A subclass of it knows how to start a job server. The one that Beam has in its own process
    # works with ports that anybody can use.
    if type(pipeline.runner) is PortableRunner and not named:
        raise _refusal(
            "nothing says to which job server the run goes",
            "--runner=PortableRunner",
            "name one that is running with --job_endpoint=HOST:PORT, or name the engine:"
            " --runner=FlinkRunner or SparkRunner",
        )
    master = options.view_as(FlinkRunnerOptions).flink_master
    if named and isinstance(pipeline.runner, FlinkRunner) and master == "[auto]":
        # Beam's job server stops to wait for a job when it is to cancel it, and no more.
        raise _refusal(
            "nothing says which Flink the job server uses, so the job couldn't be cancelled there",
            "--job_endpoint",
            "give --flink_master=HOST:PORT too, or --flink_master=[local] where Flink is to run"
            " within the job server",
        )


def _masters(pipeline: Any) -> list[tuple[str, int]]:
    """Host and port of the engine's masters, any of which may lead, where they can be known."""
    options = pipeline.options
    if isinstance(pipeline.runner, FlinkRunner):
        flink = options.view_as(FlinkRunnerOptions)
        flink.flink_master = FlinkRunner.add_http_scheme(flink.flink_master)
        return [] if flink.flink_master in MAGIC_HOST_NAMES else [_address(flink.flink_master)]
    if not isinstance(pipeline.runner, SparkRunner) or named_job_server(options):
        # Not this process talks to it, but a job server that is running already.
        return []
    url = options.view_as(SparkRunnerOptions).spark_master_url
    scheme, standalone, addresses = url.partition("spark://")
    if scheme or not standalone:
        if scheme == url and not _OTHER_SPARK.match(url):
            remedy = "give spark://HOST:PORT, or local[N] for a Spark within the job server"
            raise _refusal(f"{url} is no master of Spark", "--spark_master_url", remedy)
        return []
    return [_address(f"spark://{address}") for address in addresses.split(",")]


def _address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise _no_address(url)
    return host, port or {"https": 443, "spark": 7077}.get(parts.scheme, 80)


def _no_address(text: str) -> TransfuseError:
    return _refusal(f"{text} is not an address", "", "give HOST:PORT")


def _refuse_unreachable(masters: Sequence[tuple[str, int]]) -> None:
    """Raises TransfuseError where there are masters, and none of them takes a connection."""
    reason: str | None = None
    for host, port in masters:
        reason = _why_unreachable(host, port)
        if reason is None:
            return
    if masters:
        raise TransfuseError(
            Problem(
                ErrorCode.CONN_004,
                f"the engine's master can't be reached: {reason}",
                ", ".join(f"{host}:{port}" for host, port in masters),
                "check --flink_master or --spark_master_url, and that the cluster runs",
            ),
            ExitStatus.INCOMPLETE,
        )


def _why_unreachable(host: str, port: int) -> str | None:
    try:
        socket.create_connection((host, port), timeout=_CONNECTS_WITHIN).close()
    except OSError as error:
        return error.strerror or "no answer in time"
    except UnicodeError:
        # A part of a host's name has 1 to 63 characters.
        raise _no_address(f"{host}:{port}") from None
    return None


def _bound_workers(pipeline: Any, most: int) -> None:
    """Has the engine use as many workers as it has and the connection limits allow."""
    options = pipeline.options
    flink = options.view_as(FlinkRunnerOptions)
    if isinstance(pipeline.runner, SparkRunner):
        if flink.parallelism != -1:
            raise _refusal(
                "Spark works on as many partitions at once as it has cores",
                f"--parallelism={flink.parallelism}",
                f"give --job_server_jvm_properties={_SPARK_CORES}N instead",
            )
        if not named_job_server(options):
            _bound_spark(options, most)
        return
    if flink.parallelism == -1:
        flink.parallelism = min(most, _slots(pipeline) or most)
    _refuse_more(flink.parallelism, most, f"--parallelism={flink.parallelism}")


def _bound_spark(options: Any, most: int) -> None:
    """Spark takes every core that a cluster has, unless their number is set: by a property of the
    process that asks for them, which is Beam's job server. One that is running already has been
    set, or not, by the person who started it."""
    spark = options.view_as(SparkRunnerOptions)
    local = _LOCAL_SPARK.fullmatch(spark.spark_master_url)
    if local is not None:
        asked = {None: 1, "*": os.cpu_count() or 1}.get(local[1]) or int(local[1])
        _refuse_more(asked, most, f"--spark_master_url={spark.spark_master_url}")
        _close_local_spark(options)
        return
    server = options.view_as(JobServerOptions)
    properties = server.job_server_jvm_properties
    given = [value for value in properties if value.startswith(_SPARK_CORES)]
    if not given:
        server.job_server_jvm_properties = [*properties, f"{_SPARK_CORES}{most}"]
    for value in given:
        number = value.removeprefix(_SPARK_CORES)
        _refuse_more(int(number) if number.isdecimal() else 0, most, value)


def _close_local_spark(options: Any) -> None:
    """Nobody else has to reach a Spark within the job server. Its page shows what it works on."""
    server = options.view_as(JobServerOptions)
    server.job_server_jvm_properties = [*_CLOSED_SPARK, *server.job_server_jvm_properties]


def _slots(pipeline: Any) -> int | None:
    """How many partitions the engine can work on at once, if it is known."""
    master = pipeline.options.view_as(FlinkRunnerOptions).flink_master
    if not isinstance(pipeline.runner, FlinkRunner):
        return None
    if master not in MAGIC_HOST_NAMES:
        return slots_of(master)
    # A job server that is running already may have the processors of another machine.
    return None if named_job_server(pipeline.options) else os.cpu_count()


def _refuse_more(asked: int, most: int, flag: str) -> None:
    if not 1 <= asked <= most:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"{flag}: the connection limits allow 1 to {most} workers",
                remedy="raise limits.connections, or ask for fewer workers",
            )
        )


def _refuse_environment(pipeline: Any) -> None:
    """Beam makes what the workers are to run in when the run has begun, and looks at little."""
    where = "--environment_type, --environment_config"
    try:
        made = pipeline.runner.default_environment(pipeline.options).to_runner_api(None)
    except Exception as error:
        message = f"Beam can't make what the workers are to run in ({type(error).__name__})"
        raise _refusal(message, where, "see Beam's portable options") from None
    kinds = common_urns.environments
    if made.urn == kinds.PROCESS.urn:
        command = beam_runner_api_pb2.ProcessPayload.FromString(made.payload).command
        if not command.strip():
            remedy = """give --environment_config='{"command": "PATH"}'"""
            raise _refusal("nothing says by which command a worker starts", where, remedy)
    if made.urn == kinds.EXTERNAL.urn:
        address = beam_runner_api_pb2.ExternalPayload.FromString(made.payload).endpoint.url
        match = _ADDRESS.fullmatch(address)
        if match is None or not 1 <= int(match[1]) <= 65535:
            remedy = "give --environment_config=HOST:PORT"
            raise _refusal("nothing says where the pool of workers listens", where, remedy)
