"""A run on Flink or Spark: how it is submitted, and what its end means."""

from __future__ import annotations

import re
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any

import grpc
from apache_beam.options.pipeline_options import (
    DebugOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PortableOptions,
    SparkRunnerOptions,
)
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES, FlinkRunner
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.spark_runner import SparkRunner
from apache_beam.runners.runner import PipelineState

from pipelines.engines.beam_flags import refuse_unknown
from pipelines.engines.exposed_passwords import refuse_exposed_passwords
from pipelines.engines.flink_rest import cancel_job, was_cancelled
from pipelines.engines.job_server import job_server
from pipelines.engines.submission import make_ready
from pipelines.engines.worker_environment import offer_workers
from pipelines.logs.stderr_log import keep_quiet_of_ended_streams
from schemas.errors import ErrorCode, Problem
from schemas.specification.root import Specification

_CANCELS_WITHIN = 5.0
"""Seconds that a job server has to cancel a job."""

_KEPT_FOR = 2_000
"""Milliseconds that a Python worker waits for the next stage of its job. By Beam's default each
stage has new ones, which import Beam and read the steps again. For as long workers stay after their
job, and for as long an engine that starts a job again goes on with a worker that was killed."""

_LOST = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)
"""What gRPC says where there is no answer. Anything else a server has said itself."""


@contextmanager
def engine_for(
    pipeline: Any, flags: Sequence[str], specification: Specification, most: int
) -> Iterator[None]:
    """Within the context the pipeline can be run; for runners of this process it always can.

    The engine shows its job as that of the ``specification``; ``most`` is how many workers the
    connection limits allow: the engine gets that limit. Raises TransfuseError: USER-001 for
    flags that neither Beam nor the engine knows, else as ``refuse_exposed_passwords``,
    ``make_ready``, ``offer_workers`` and ``job_server`` do.
    """
    if not isinstance(pipeline.runner, PortableRunner):
        yield
        return
    refuse_exposed_passwords(specification)
    keep_quiet_of_ended_streams()
    options = pipeline.options
    # Beam would have pip list all packages, which takes a second, and leave the list in a file.
    options.view_as(DebugOptions).add_experiment("disable_logging_submission_environment")
    make_ready(pipeline, most)
    _name(options, specification.job)
    portable = options.view_as(PortableOptions)
    # The option is a text, "0" too.
    if portable.environment_cache_millis == 0:
        portable.environment_cache_millis = _KEPT_FOR
    with offer_workers(pipeline), job_server(pipeline) as described:
        if described is not None:
            refuse_unknown(flags, described)
        yield


def name_again(pipeline: Any) -> None:
    """Names the next of several jobs of a run."""
    if isinstance(pipeline.runner, PortableRunner):
        cloud = pipeline.options.view_as(GoogleCloudOptions)
        cloud.job_name = f"{cloud.job_name.rpartition('-')[0]}-{uuid.uuid4().hex[:8]}"


def run_to_the_end(pipeline: Any) -> list[Problem]:
    """Run a pipeline, and return the problems if the engine didn't get to its end.

    The engine's own messages are left out: they may hold values of rows. What was committed
    until then stands, so the ledger says how far the run came. A KeyboardInterrupt cancels the
    engine's job.
    """
    if not isinstance(pipeline.runner, PortableRunner):
        _run_in_process(pipeline)
        return []
    result = None
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except KeyboardInterrupt:
        _cancel(pipeline, result)
        raise
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        return [_call_problem(pipeline, result, error)]
    except RuntimeError:
        return [_engine_failure(pipeline, result)]
    return []


def _run_in_process(pipeline: Any) -> None:
    """Runs a pipeline on threads of this process.

    The main thread only waits. It alone handles signals, and couldn't while a step of its own is
    within a library, where Beam runs a single worker otherwise. Raises RuntimeError for what isn't
    derived from Exception: a step that calls ``sys.exit`` must not end the command as if it had
    been asked to.
    """
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def run() -> None:
        try:
            pipeline.run().wait_until_finish()
        except BaseException as error:
            ended.put(error)
        else:
            ended.put(None)

    threading.Thread(target=run, name="pipeline", daemon=True).start()
    error = ended.get()
    if isinstance(error, Exception):
        raise error
    if error is not None:
        raise RuntimeError(f"a step raised {type(error).__name__}") from error


def _call_problem(pipeline: Any, result: Any, error: Exception) -> Problem:
    code = error.code() if isinstance(error, grpc.Call) else None
    if code is None or code in _LOST:
        return Problem(
            ErrorCode.CONN_004,
            "the connection to Beam's job server was lost",
            _where(pipeline),
            "see whether the job is still running there, and start again to continue",
        )
    if result is not None:
        return _engine_problem(pipeline, f"Beam's job server has given the job up ({code.name})")
    return Problem(
        ErrorCode.SYS_004,
        f"Beam's job server has refused the job ({code.name})",
        _where(pipeline),
        "check the flags and the job server's version; its log, which may hold values of rows, has"
        " the cause (TRANSFUSE_DEBUG=1 shows that of a job server that this command starts)",
    )


def _engine_failure(pipeline: Any, result: Any) -> Problem:
    state = None
    with suppress(grpc.RpcError):
        state = None if result is None else result.state
    job = _flink_job(pipeline)
    # Beam's job server takes a job that was cancelled in Flink for one that has failed.
    if state == PipelineState.CANCELLED or (job is not None and was_cancelled(*job)):
        message = "somebody has cancelled the job in the engine"
        return Problem(ErrorCode.USER_003, message, _where(pipeline), "start again to continue")
    return _engine_problem(pipeline, "the engine has given the job up")


def _flink_job(pipeline: Any) -> tuple[str, str] | None:
    """The Flink that can be asked for the job itself, and the job's name there."""
    options = pipeline.options
    master = options.view_as(FlinkRunnerOptions).flink_master
    if not isinstance(pipeline.runner, FlinkRunner) or master in MAGIC_HOST_NAMES:
        return None
    return master, options.view_as(GoogleCloudOptions).job_name


def _engine_problem(pipeline: Any, message: str) -> Problem:
    return Problem(
        ErrorCode.SYS_003,
        message,
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
    job = _flink_job(pipeline)
    # Beam's job server only stops to wait for a job that it has handed over.
    if job is not None and not cancel_job(*job):
        sys.stderr.write(f"Flink doesn't answer: cancel the job {job[1]} there, if it still runs\n")


def _name(options: Any, job: str) -> None:
    """Name the engine's job differently from all others, those of earlier runs too."""
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
