"""Which Beam runner a run uses, and with which options. Imports Beam, which takes a second."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, fn_runner
from apache_beam.runners.runner import create_runner

from pipelines.engines.beam_flags import IN_PROCESS, flags_of_beam, refuse_unknown, unknown_flags
from pipelines.engines.beam_signatures import remember_signatures
from schemas.errors import ErrorCode, Problem, TransfuseError
from transforms.resources.memory_limits import is_memory_shortage

_IN_MEMORY = "in_memory"
"""The running mode in which the in-process runner opens no port: its workers are threads that it
calls directly. In ``multi_threading`` and ``multi_processing`` it serves four gRPC ports without
authentication on all interfaces, and through them any user of the machine, or of its network, can
read this user's files and take the place of a worker."""

_REMOTE_RUNNERS = tuple(
    f"apache_beam.runners.{module}."
    for module in (
        "portability.flink_runner",
        "portability.spark_runner",
        "portability.kafka_streams_runner",
        "portability.portable_runner",
        "dataflow",
    )
)
"""Where those runners of Beam's live that only submit to an engine. Its others (Prism, interactive,
test runners) work on this machine, and serve ports that anybody can use."""


def pipeline_of(flags: Sequence[str], workers: int, most: int) -> tuple[Any, bool]:
    """A Beam pipeline for the runner and options that the flags name.

    Also says whether its steps run in this very process.

    ``workers`` is how many partitions the in-process runner works on at once, unless a flag
    says otherwise, and ``most`` how many the connection limits allow. Raises TransfuseError
    (USER-001) for a flag that Beam doesn't know, and for more workers than ``most``.
    """
    remember_signatures()
    options = _Options(list(flags))
    named = options.view_as(StandardOptions).runner or "DirectRunner"
    if named.rpartition(".")[2] not in IN_PROCESS:
        # Those of the engine are known when its job server runs.
        unknown_flags(flags, flags_of_beam())
        return _pipeline_for(named, options), False
    refuse_unknown(flags)
    given = {flag.partition("=")[0] for flag in flags}
    if "--direct_num_workers" not in given:
        flags = [*flags, f"--direct_num_workers={workers}"]
    options = _Options(list(flags))
    _refuse_open_ports(options)
    asked = options.view_as(DirectOptions).direct_num_workers
    # To Beam 0 is one for each processor.
    if not 1 <= (asked or os.cpu_count() or 1) <= most:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"--direct_num_workers={asked}: the connection limits allow 1 to {most} workers",
                remedy="raise limits.connections, or ask for fewer workers",
            )
        )
    logging.getLogger(fn_runner.__name__).addFilter(_is_true_of_threads)
    return beam.Pipeline(runner=FnApiRunner(), options=options), True


def _refuse_open_ports(options: PipelineOptions) -> None:
    """Raises TransfuseError (USER-001) for a running mode that would serve open ports."""
    mode = options.view_as(DirectOptions).direct_running_mode
    if mode != _IN_MEMORY:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                "in this mode Beam serves ports without authentication on all interfaces",
                f"--direct_running_mode={mode}",
                f"leave it out, or give --direct_running_mode={_IN_MEMORY}: each of the"
                " --direct_num_workers is a thread then, and nothing listens",
            )
        )


def _is_true_of_threads(record: logging.LogRecord) -> bool:
    """Drops Beam's advice to choose another running mode where there are several workers: the
    work is done in Arrow, DuckDB and the servers, so threads are as fast."""
    return not str(record.msg).startswith("If direct_num_workers is not equal to 1")


def _pipeline_for(named: str, options: PipelineOptions) -> Any:
    try:
        runner = create_runner(named)
    except (ValueError, ImportError) as error:
        if is_memory_shortage(error):
            raise
        message = f"Beam can't make the runner '{named}': {str(error).partition('. ')[0]}"
        raise TransfuseError(
            Problem(ErrorCode.USER_001, message, "--runner", "see Beam's list of runners")
        ) from None
    module = type(runner).__module__
    if module.startswith("apache_beam.") and not f"{module}.".startswith(_REMOTE_RUNNERS):
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                "this runner works on this machine, and serves ports without authentication",
                f"--runner={named}",
                "leave it out to run in this process, or name an engine:"
                " --runner=FlinkRunner, SparkRunner, PortableRunner or DataflowRunner",
            )
        )
    try:
        return beam.Pipeline(runner=runner, options=options)
    except ValueError as error:
        # The first line is a heading.
        wrong = str(error).splitlines()[1:]
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                " ".join(wrong) or "Beam can't use these flags",
                f"--runner={named}",
                "see Beam's pipeline options",
            )
        ) from None


def without_idle_workers(pipeline: Any, flags: Sequence[str], most: int) -> None:
    """Has the in-process runner start no more workers than the ``most`` elements that any level
    has, unless a flag says how many: each opens every step again, which takes longer than a small
    partition."""
    if not any(flag.startswith("--direct_num_workers") for flag in flags):
        options = pipeline.options.view_as(DirectOptions)
        options.direct_num_workers = max(1, min(options.direct_num_workers, most))


class _Options(PipelineOptions):
    """Options of which each view is made once; all views of one object share their values.

    Beam asks for views at every step that is added, and makes each by parsing the flags
    again: half of the time that it takes to build a graph.
    """

    def view_as(self, cls: type[Any]) -> Any:
        views: dict[type[Any], Any] = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]
