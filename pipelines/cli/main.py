"""The command line: runs a verb, which is imported only when it is called.

Importing Beam takes a second, so nothing is imported here that a ``--help`` doesn't need.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

from pipelines.cli.grammar import WrongUse, flags_of, new_parser
from pipelines.cli.log_arguments import level_of, log_as_asked, log_crash, log_exit
from pipelines.cli.reports.refusal import failure_of, print_problems_as_json, print_refusal
from pipelines.logs.stderr_log import log_to_stderr
from pipelines.terminal.flag_check import describe_unknown, refuse_dry_run
from pipelines.terminal.private_files import keep_files_private
from pipelines.terminal.process_list import hide_arguments
from pipelines.terminal.signals import answer_signals_at_once, interrupt
from pipelines.terminal.standard_streams import make_streams_safe
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from transforms.resources.memory_limits import memory_problem, refuse_too_little_memory


def command() -> int:
    """Run ``main`` as a process of its own.

    Beam and a graph are a million objects that live to the end. Going through them again and
    again for garbage takes a second of a short run, and nearly half of one at the exit.
    """
    hide_arguments()
    keep_files_private()
    make_streams_safe(_report_lost_stdout)
    # Until a run has its own answer to it, SIGTERM is what Ctrl-C is.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    answer_signals_at_once()
    gc.set_threshold(100_000, 50, 50)
    # Nothing here multiplies matrices, and its threads each take 40 MB of address space.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        status = main()
    finally:
        gc.freeze()
    if status not in (ExitStatus.COMPLETE, ExitStatus.REFUSED):
        # Of a run that ended at once, or had no memory left, threads may be left, and Python would
        # wait for them. What they don't commit any more is done by the next run.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _report_lost_stdout() -> None:
    from pipelines.terminal.console import print_lost_stdout

    print_lost_stdout()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        arguments: The words after the command; None means those of the process.

    Returns:
        The exit status.
    """
    _show_any_character()
    parser = new_parser()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        parsed, flags = parser.parse_known_args(words)
        if flags and not parsed.takes_flags:
            parsed.parser.error(describe_unknown(flags, flags_of(parsed.parser)))
        _require(parsed)
    except WrongUse as wrong:
        problem = Problem(ErrorCode.USER_001, str(wrong), "", "see --help")
        if "--json" in words:
            print_problems_as_json([problem])
        argparse.ArgumentParser.error(wrong.parser, problem.message)
    log_to_stderr(level_of(parsed))
    with _stdout_for_json() if parsed.json else nullcontext(), ExitStack() as logs:
        try:
            logs.enter_context(log_as_asked(parsed))
        except TransfuseError as error:
            return _refuse(error, parsed.json)
        status = _run(parsed, flags)
        log_exit(parsed, status)
        return status


def _run(parsed: argparse.Namespace, flags: list[str]) -> int:
    try:
        refuse_too_little_memory()
        if flags:
            _judge(parsed, flags)
        return int(parsed.run(parsed, flags))
    except TransfuseError as error:
        return _refuse(error, parsed.json)
    except KeyboardInterrupt:
        sys.stderr.write(f"{_INTERRUPTED.get(parsed.run.__name__, _ONLY_LOOKED)}\n")
        if parsed.json:
            print_problems_as_json([])
        return int(ExitStatus.STOPPED)
    except Exception as error:
        if os.environ.get("TRANSFUSE_DEBUG"):
            log_crash(parsed, error)
            raise
        return _fail(error, parsed.json)


def _fail(error: Exception, as_json: bool) -> int:
    """Reports an unforeseen error, also where there is too little memory for doing it well."""
    try:
        return print_refusal(*failure_of(error), as_json)
    except (ImportError, MemoryError, RuntimeError, SystemError):
        return _print_plainly(memory_problem(), as_json)


def _refuse(error: TransfuseError, as_json: bool) -> int:
    """Reports the problems of an error, also where there is too little memory for doing it well."""
    try:
        return print_refusal(error.problems, error.status, as_json)
    except (ImportError, MemoryError, RuntimeError, SystemError):
        return _print_plainly(error.problems[0], as_json)


def _print_plainly(problem: Problem, as_json: bool) -> int:
    sys.stderr.write(f"{problem}\n")
    if as_json:
        sys.stdout.write(
            f'{{"problems": [{{"code": "{problem.code.value}", "message": "{problem.message}",'
            f' "where": "{problem.where}", "remedy": "{problem.remedy}"}}]}}\n'
        )
    return int(ExitStatus.INCOMPLETE)


_ONLY_LOOKED = "interrupted; nothing was written"

_INTERRUPTED = {
    "migrate": "stopped; start again to continue",
    "rejects_replay": "stopped; start again to continue",
    "pause": "interrupted; 'status' shows whether the job pauses",
    "resume": "interrupted; 'status' shows whether the job goes on",
    "stop": "interrupted; 'status' shows whether the job stops",
    "reset": "interrupted; nothing was changed unless the job is gone from 'status'",
    "rejects_discard": "interrupted; 'rejects list' shows whether it was done",
    "rejects_reopen": "interrupted; 'rejects list' shows whether it was done",
    "rejects_export": "interrupted",
    "codes_import": "interrupted; import again, which changes nothing that was stored",
}
"""What Ctrl-C means to a verb, by the name of its function; others only look."""


def _require(parsed: argparse.Namespace) -> None:
    """Refuses a missing flag here, since argparse would do so before it looks for mistyped ones."""
    missing = [
        f"--{name}" for name in getattr(parsed, "needs", ()) if getattr(parsed, name) is None
    ]
    if missing:
        parsed.parser.error(f"the following arguments are required: {', '.join(missing)}")


def _judge(parsed: argparse.Namespace, flags: list[str]) -> None:
    """Refuses wrong flags before anything else happens."""
    refuse_dry_run(
        flags, f"to see what a migration would do: transfuse plan {parsed.specification}"
    )
    # Here and not above, because importing Beam takes a second.
    from pipelines.engines.beam_flags import refuse_wrong_flags

    refuse_wrong_flags(flags, flags_of(parsed.parser))


def _show_any_character() -> None:
    """A terminal that lacks a character shows its number: no reason for a command to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _stdout_for_json() -> AbstractContextManager[None]:
    from pipelines.terminal.console import stdout_for_json

    return stdout_for_json()
