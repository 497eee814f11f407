"""Which Beam runner a run uses, and with which options. Imports Beam, which takes a second."""

from __future__ import annotations

import argparse
import difflib
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
    _BeamArgumentParser,
)
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, fn_runner
from apache_beam.runners.runner import create_runner

from pipelines.beam_signatures import remember_signatures
from schemas.errors import ErrorCode, Problem, TransfuseError

IN_PROCESS = ("DirectRunner", "FnApiRunner")
"""Both names mean Beam's in-process FnApiRunner. Beam's own DirectRunner would first try to
download another runner from the internet, and fall back without a word."""

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
        _unknown_of(flags, _flags_of_beam())
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
        told = f"Beam can't make the runner '{named}': {str(error).partition('. ')[0]}"
        raise TransfuseError(
            Problem(ErrorCode.USER_001, told, "--runner", "see Beam's list of runners")
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
    has, unless a flag says how many: each opens every step anew, which takes longer than a small
    partition."""
    if not any(flag.startswith("--direct_num_workers") for flag in flags):
        options = pipeline.options.view_as(DirectOptions)
        options.direct_num_workers = max(1, min(options.direct_num_workers, most))


class _Options(PipelineOptions):
    """Options of which each view is made once; all views of one object share their values.

    Beam asks for views at every step that is added, and makes each by parsing the flags
    anew: half of the time that it takes to build a graph.
    """

    def view_as(self, cls: type[Any]) -> Any:
        views: dict[type[Any], Any] = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]


class _Flags(_BeamArgumentParser):
    def error(self, message: str) -> NoReturn:
        remedy = "see Beam's pipeline options"
        raise TransfuseError(Problem(ErrorCode.USER_001, message, "", remedy)) from None


def refuse_unknown(flags: Sequence[str], described: Sequence[Any] = ()) -> None:
    """Raises TransfuseError (USER-001) for flags that Beam doesn't know.

    ``described`` are further options, as Beam's PipelineOptionDescriptor: those of an engine.
    """
    parser, of_engine = _flags_of_beam(), _Flags(allow_abbrev=False, add_help=False)
    for option in described:
        # Beam has many of them under the same name, though not always with a type.
        with suppress(argparse.ArgumentError):
            parser.add_argument(f"--{option.name}", **_action_of(option))
        with suppress(argparse.ArgumentError):
            of_engine.add_argument(f"--{option.name}", **_action_of(option))
    _unknown_of(flags, of_engine)
    unknown = _unknown_of(flags, parser)
    known = [name for action in parser._actions for name in action.option_strings]
    problems = []
    for flag in unknown:
        name = flag.partition("=")[0]
        close = difflib.get_close_matches(name, [*known, "--table", "--job", "--var", "--json"], 1)
        remedy = f"did you mean {close[0]}?" if close else "see --help"
        problems.append(
            Problem(ErrorCode.USER_001, f"{name} is no flag of this verb nor of Beam", "", remedy)
        )
    if problems:
        raise TransfuseError(problems)


def _flags_of_beam() -> _Flags:
    parser = _Flags(allow_abbrev=False)
    for options in [PipelineOptions, *PipelineOptions.__subclasses__()]:
        add = options.__dict__.get("_add_argparse_args")
        if add is not None:
            add.__get__(None, options)(parser)
    return parser


def _unknown_of(flags: Sequence[str], parser: _Flags) -> list[str]:
    """The flags that a parser doesn't know. Raises TransfuseError (USER-001) for values of others
    that can't be."""
    unknown: list[str] = parser.parse_known_args(list(flags))[1]
    return unknown


def _action_of(option: Any) -> dict[str, Any]:
    """How Beam itself reads such an option."""
    types = beam_job_api_pb2.PipelineOptionType
    if option.type == types.BOOLEAN:
        return {"action": "store_false" if option.default_value == "true" else "store_true"}
    return {"type": int} if option.type == types.INTEGER else {}
