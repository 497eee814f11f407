"""Which Beam runner a run uses, and with which options."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from typing import Any

from schemas.errors import ErrorCode, Problem, TransfuseError

IN_PROCESS = ("DirectRunner", "FnApiRunner")
"""Both names mean Beam's in-process FnApiRunner. Beam's own DirectRunner would first try to
download another runner from the internet, and fall back without a word."""


def pipeline_of(flags: Sequence[str], workers: int) -> tuple[Any, bool]:
    """A Beam pipeline for the runner and options that the flags name.

    Also says whether its steps run in this very process.

    ``workers`` is how many partitions the in-process runner works on at once. Raises
    TransfuseError (USER-001) for a flag that Beam doesn't know.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import (
        DirectOptions,
        PipelineOptions,
        StandardOptions,
    )
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    named = PipelineOptions(list(flags)).view_as(StandardOptions).runner or "DirectRunner"
    if named.rpartition(".")[2] not in IN_PROCESS:
        return beam.Pipeline(options=PipelineOptions(list(flags))), False
    _refuse_unknown(flags)
    given = {flag.partition("=")[0] for flag in flags}
    defaults = [
        f"--direct_num_workers={workers}" if "--direct_num_workers" not in given else "",
        "--direct_running_mode=multi_threading" if "--direct_running_mode" not in given else "",
    ]
    options = PipelineOptions([*flags, *filter(None, defaults)])
    in_process = "multi_processing" not in (
        options.view_as(DirectOptions).direct_running_mode or ""
    )
    return beam.Pipeline(runner=FnApiRunner(), options=options), in_process


def _refuse_unknown(flags: Sequence[str]) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    parser = _BeamArgumentParser(allow_abbrev=False)
    for options in [PipelineOptions, *PipelineOptions.__subclasses__()]:
        add = options.__dict__.get("_add_argparse_args")
        if add is not None:
            add.__get__(None, options)(parser)
    _, unknown = parser.parse_known_args(list(flags))
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


def default_workers(source_connections: int, target_connections: int) -> int:
    """Partitions in work at once: as many as processors, within the connection limits."""
    return max(1, min(os.cpu_count() or 1, source_connections, target_connections))
