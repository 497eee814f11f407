"""The flags that Beam and its engines take. Importing this imports Beam, which takes a second.

Flags are judged before anything else happens, so that a mistyped one is refused on a complete job
as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import (
    PipelineOptions,
    PortableOptions,
    StandardOptions,
    _BeamArgumentParser,
)
from apache_beam.portability.api import beam_job_api_pb2

from pipelines.engines.engine_options import ENGINE_OPTIONS
from pipelines.terminal.flag_check import explain_unknown
from schemas.errors import ErrorCode, Problem, TransfuseError

IN_PROCESS = ("DirectRunner", "FnApiRunner")
"""Both names mean Beam's in-process FnApiRunner. Beam's own DirectRunner would first try to
download another runner from the internet, and fall back without a word."""


class _Flags(_BeamArgumentParser):
    def error(self, message: str) -> NoReturn:
        remedy = "see Beam's pipeline options"
        raise TransfuseError(Problem(ErrorCode.USER_001, message, "", remedy)) from None


def runs_in_process(flags: Sequence[str]) -> bool:
    """Whether the runner that the flags name, or else the default, runs on this machine."""
    named = PipelineOptions(list(flags)).view_as(StandardOptions).runner or IN_PROCESS[0]
    return named.rpartition(".")[2] in IN_PROCESS


def refuse_wrong_flags(flags: Sequence[str], own: Collection[str]) -> None:
    """Refuses what neither the verb nor Beam nor an engine takes, and values that can't be.

    A job server that is running already may take further options: these it describes itself when
    the run begins.

    Args:
        flags: What the verb doesn't take itself.
        own: The flags of the verb, to suggest one.

    Raises:
        TransfuseError: USER-001, one problem for each flag.
    """
    unknown = unknown_flags(flags, flags_of_beam())
    if unknown and not runs_in_process(flags):
        if PipelineOptions(list(flags)).view_as(PortableOptions).job_endpoint:
            return
        unknown = unknown_flags(unknown, _flags_of_engines())
    _refuse(unknown, own)


def refuse_unknown(flags: Sequence[str], described: Sequence[Any] = ()) -> None:
    """Refuses flags that neither Beam nor the job server of an engine takes.

    Args:
        flags: What the verb doesn't take itself.
        described: The options of the job server, as Beam's PipelineOptionDescriptor.

    Raises:
        TransfuseError: USER-001, one problem for each flag.
    """
    parser, of_engine = flags_of_beam(), _Flags(allow_abbrev=False, add_help=False)
    for option in described:
        # Beam has many of them under the same name, though not always with a type.
        with suppress(argparse.ArgumentError):
            parser.add_argument(f"--{option.name}", **_action_of(option))
        with suppress(argparse.ArgumentError):
            of_engine.add_argument(f"--{option.name}", **_action_of(option))
    unknown_flags(flags, of_engine)
    _refuse(unknown_flags(flags, parser), (), parser)


def _refuse(
    unknown: Sequence[str], own: Collection[str], parser: argparse.ArgumentParser | None = None
) -> None:
    if not unknown:
        return
    actions = (parser or flags_of_beam())._actions
    beam = [name for action in actions for name in action.option_strings]
    raise TransfuseError(
        [
            Problem(ErrorCode.USER_001, message, "", suggestion or "see --help")
            for message, suggestion in explain_unknown(unknown, own, beam)
        ]
    )


def flags_of_beam() -> _Flags:
    """A parser of all options that Beam's Python knows."""
    parser = _Flags(allow_abbrev=False)
    for options in [PipelineOptions, *PipelineOptions.__subclasses__()]:
        add = options.__dict__.get("_add_argparse_args")
        if add is not None:
            add.__get__(None, options)(parser)
    return parser


def _flags_of_engines() -> _Flags:
    """A parser of the names that job servers take besides; these judge the values."""
    parser = _Flags(allow_abbrev=False, add_help=False)
    for name in ENGINE_OPTIONS:
        parser.add_argument(f"--{name}", nargs="?")
    return parser


def unknown_flags(flags: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """The flags that a parser doesn't know.

    Raises:
        TransfuseError: USER-001 for a value of a known flag that can't be.
    """
    unknown: list[str] = parser.parse_known_args(list(flags))[1]
    return unknown


def _action_of(option: Any) -> dict[str, Any]:
    """How Beam itself reads such an option."""
    types = beam_job_api_pb2.PipelineOptionType
    if option.type == types.BOOLEAN:
        return {"action": "store_false" if option.default_value == "true" else "store_true"}
    return {"type": int} if option.type == types.INTEGER else {}
