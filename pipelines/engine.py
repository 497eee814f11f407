"""A run on Flink or Spark: what is seen to before it is submitted, and what its end means."""

from __future__ import annotations

import os
import re
import socket
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]
from apache_beam.options.pipeline_options import (
    DebugOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    JobServerOptions,
    PortableOptions,
    SparkRunnerOptions,
)
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES, FlinkRunner
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.spark_runner import SparkRunner
from apache_beam.runners.runner import PipelineState

from pipelines.flink_rest import cancel_job, slots_of
from pipelines.job_server import job_server
from pipelines.runner import refuse_unknown
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

_CONNECTS_WITHIN = 10.0
"""Seconds that a cluster's master has to take a connection."""

_CANCELS_WITHIN = 10.0
"""Seconds that a job server has to cancel a job."""

_KEPT_FOR = 2_000
"""Milliseconds that a Python worker waits for the next stage of its job. By Beam's default each
stage has new ones, which import Beam and read the steps anew. For as long workers stay after their
job, and for as long an engine that starts a job again goes on with a worker that was killed."""

_SPARK_CORES = "-Dspark.cores.max="
"""The property, as Java takes it, of how many cores an application may have in a cluster."""

_LOCAL_SPARK = re.compile(r"local(?:\[(\d+|\*)(?:,.*)?\])?")


@contextmanager
def engine_for(pipeline: Any, flags: Sequence[str], job: str, most: int) -> Iterator[None]:
    """Within the context the pipeline can be run; for runners of this process it always can.

    ``job`` is what the engine shows its job as, ``most`` how many workers the connection limits
    allow: the engine is told to use no more. Raises TransfuseError: USER-001 for flags that neither
    Beam nor the engine knows, for more workers and for an environment that can't be made, CONN-004
    where the engine's master can't be reached, else as ``job_server`` does.
    """
    if not isinstance(pipeline.runner, PortableRunner):
        yield
        return
    options = pipeline.options
    _name(options, job)
    # Beam would have pip list all packages, which takes a second, and leave the list in a file.
    options.view_as(DebugOptions).add_experiment("disable_logging_submission_environment")
    for host, port in _masters(pipeline):
        _refuse_unreachable(host, port)
    _bound_workers(pipeline, most)
    portable = options.view_as(PortableOptions)
    # What is given is a text, "0" too.
    if portable.environment_cache_millis == 0:
        portable.environment_cache_millis = _KEPT_FOR
    _refuse_environment(pipeline)
    with job_server(pipeline) as described:
        if described is not None:
            refuse_unknown(flags, described)
        yield


def run_to_the_end(pipeline: Any) -> list[Problem]:
    """Runs a pipeline, and gives what is to be told where the engine didn't get it to its end.

    What the engine itself says of it isn't told: it may hold values of rows. What was committed
    until then stands, so the ledger says how far the run came. A KeyboardInterrupt cancels the
    engine's job.
    """
    if not isinstance(pipeline.runner, PortableRunner):
        pipeline.run().wait_until_finish()
        return []
    result = None
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except KeyboardInterrupt:
        _cancel(pipeline, result)
        raise
    except grpc.RpcError:
        return [
            Problem(
                ErrorCode.CONN_004,
                "the connection to Beam's job server was lost",
                _where(pipeline),
                "see whether the job is still running there, and start again to continue",
            )
        ]
    except RuntimeError:
        return [_given_up(pipeline, result)]
    return []


def _given_up(pipeline: Any, result: Any) -> Problem:
    state = None
    with suppress(grpc.RpcError):
        state = None if result is None else result.state
    if state == PipelineState.CANCELLED:
        told = "somebody has cancelled the job in the engine"
        return Problem(ErrorCode.USER_003, told, _where(pipeline), "start again to continue")
    return Problem(
        ErrorCode.SYS_003,
        "the engine has given the job up",
        _where(pipeline),
        "see its logs, which may hold values of rows, for the cause; start again to continue",
    )


def _cancel(pipeline: Any, result: Any) -> None:
    """Cancels the job as far as that is possible at all: the launcher ends in any case."""

    def ask() -> None:
        with suppress(Exception):
            result.cancel()

    if result is not None:
        # The job server may be gone, and Beam would wait for its answer for ever.
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(_CANCELS_WITHIN)
    options = pipeline.options
    master = options.view_as(FlinkRunnerOptions).flink_master
    if isinstance(pipeline.runner, FlinkRunner) and master not in MAGIC_HOST_NAMES:
        # Beam's job server only stops to wait for a job that it has handed over.
        cancel_job(master, options.view_as(GoogleCloudOptions).job_name)


def _name(options: Any, job: str) -> None:
    """Names the engine's job, so that it is told from all others, those of earlier runs too."""
    cloud = options.view_as(GoogleCloudOptions)
    readable = re.sub(r"[^a-z0-9]+", "-", (cloud.job_name or job).lower()).strip("-")
    cloud.job_name = f"transfuse-{readable}-{uuid.uuid4().hex[:8]}"


def _where(pipeline: Any) -> str:
    """The engine as a message names it."""
    options = pipeline.options
    if isinstance(pipeline.runner, FlinkRunner):
        return f"Flink {options.view_as(FlinkRunnerOptions).flink_master}"
    if isinstance(pipeline.runner, SparkRunner):
        return f"Spark {options.view_as(SparkRunnerOptions).spark_master_url}"
    return str(options.view_as(PortableOptions).job_endpoint)


def _masters(pipeline: Any) -> list[tuple[str, int]]:
    """Host and port of the engine's master, where this process can know them."""
    options = pipeline.options
    if options.view_as(PortableOptions).job_endpoint:
        # Not this process talks to it, but the job server that is running already.
        return []
    urls: list[str] = []
    if isinstance(pipeline.runner, FlinkRunner):
        flink = options.view_as(FlinkRunnerOptions)
        flink.flink_master = FlinkRunner.add_http_scheme(flink.flink_master)
        urls = [flink.flink_master] if flink.flink_master not in MAGIC_HOST_NAMES else []
    elif isinstance(pipeline.runner, SparkRunner):
        master = options.view_as(SparkRunnerOptions).spark_master_url
        # One of several masters leads, and the others stand by.
        urls = [master.partition(",")[0]] if master.startswith("spark://") else []
    found = []
    for url in urls:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host:
            raise TransfuseError(
                Problem(ErrorCode.USER_001, f"{url} is no address", "", "give HOST:PORT")
            )
        found.append((host, port or {"https": 443, "spark": 7077}.get(parts.scheme, 80)))
    return found


def _refuse_unreachable(host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), timeout=_CONNECTS_WITHIN).close()
    except OSError as error:
        raise TransfuseError(
            Problem(
                ErrorCode.CONN_004,
                f"the engine's master can't be reached: {error.strerror or 'no answer in time'}",
                f"{host}:{port}",
                "check --flink_master or --spark_master_url, and that the cluster runs",
            ),
            ExitStatus.INCOMPLETE,
        ) from None


def _bound_workers(pipeline: Any, most: int) -> None:
    """Has the engine use as many workers as it has and the connection limits allow."""
    options = pipeline.options
    if isinstance(pipeline.runner, SparkRunner):
        if not options.view_as(PortableOptions).job_endpoint:
            _bound_spark(options, most)
        return
    flink = options.view_as(FlinkRunnerOptions)
    if flink.parallelism == -1:
        flink.parallelism = min(most, _slots(pipeline) or most)
    _refuse_more(flink.parallelism, most, f"--parallelism={flink.parallelism}")


def _bound_spark(options: Any, most: int) -> None:
    """Spark takes every core that a cluster has, unless it is told how many: by a property of the
    process that asks for them, which is Beam's job server. One that is running already has been
    told, or not, by who started it."""
    spark = options.view_as(SparkRunnerOptions)
    local = _LOCAL_SPARK.fullmatch(spark.spark_master_url)
    if local is not None:
        asked = {None: 1, "*": os.cpu_count() or 1}.get(local[1]) or int(local[1])
        _refuse_more(asked, most, f"--spark_master_url={spark.spark_master_url}")
        return
    server = options.view_as(JobServerOptions)
    if spark.spark_submit_uber_jar:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                "nothing would bound Spark's workers by the connection limits",
                "--spark_submit_uber_jar",
                "leave it out: the job server then asks for no more cores than that",
            )
        )
    properties = server.job_server_jvm_properties
    given = [value for value in properties if value.startswith(_SPARK_CORES)]
    if not given:
        server.job_server_jvm_properties = [*properties, f"{_SPARK_CORES}{most}"]
    for value in given:
        number = value.removeprefix(_SPARK_CORES)
        _refuse_more(int(number) if number.isdecimal() else 0, most, value)


def _slots(pipeline: Any) -> int | None:
    """How many partitions the engine can work on at once, if it is known."""
    master = pipeline.options.view_as(FlinkRunnerOptions).flink_master
    if not isinstance(pipeline.runner, FlinkRunner):
        return None
    return os.cpu_count() if master in MAGIC_HOST_NAMES else slots_of(master)


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
    try:
        pipeline.runner.default_environment(pipeline.options)
    except (ValueError, RuntimeError, KeyError) as error:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"Beam can't make what the workers are to run in ({type(error).__name__})",
                "--environment_type, --environment_config",
                "see Beam's portable options",
            )
        ) from None
