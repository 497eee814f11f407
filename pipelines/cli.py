"""The command line: one verb a file, imported only when it is called.

Importing Beam takes a second, so nothing is imported here that a ``--help`` doesn't need.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipelines.logs import log_to_stderr
from pipelines.refusal import failure_of, print_problems_as_json, refused
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

if TYPE_CHECKING:
    from schemas.specification.root import Specification

EPILOG = """exit status: 0 complete, balanced, within budgets; 1 crash; 2 wrong use or wrong
specification, nothing started; 3 incomplete, start again to continue; 4 stopped on request or
by an error budget; 5 out of balance; 6 a predicted broken budget (plan)"""


def command() -> int:
    """``main`` as a process of its own.

    Beam and a graph are a million objects that live to the end. Going through them again and
    again for garbage takes a second of a short run, and nearly half of one at the exit.
    """
    # Until a run has its own answer to it, SIGTERM is what Ctrl-C is.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    gc.set_threshold(100_000, 50, 50)
    try:
        status = main()
    finally:
        gc.freeze()
    if status == ExitStatus.STOPPED:
        # Of a run that ended at once threads are left, and Python would wait for them. What
        # they don't commit any more is done by the next run.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb and gives the exit status."""
    _show_any_character()
    parser = _parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        parsed, flags = parser.parse_known_args(given)
        if flags and not parsed.takes_flags:
            parser.error(f"unrecognized arguments: {' '.join(flags)}")
    except _WrongUse as wrong:
        if "--json" in given:
            print_problems_as_json([Problem(ErrorCode.USER_001, str(wrong), "", "see --help")])
        argparse.ArgumentParser.error(wrong.parser, str(wrong))
    log_to_stderr()
    with _stdout_for_json() if parsed.json else nullcontext():
        return _run(parsed, flags)


def _run(parsed: argparse.Namespace, flags: list[str]) -> int:
    try:
        return int(parsed.run(parsed, flags))
    except TransfuseError as error:
        return refused(error.problems, error.status, parsed.json)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; start again to continue\n")
        if parsed.json:
            print_problems_as_json([])
        return int(ExitStatus.STOPPED)
    except Exception as error:
        if os.environ.get("TRANSFUSE_DEBUG"):
            raise
        return refused(*failure_of(error), parsed.json)


def _show_any_character() -> None:
    """A terminal that lacks a character shows its number: no reason for a command to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _stdout_for_json() -> AbstractContextManager[None]:
    from pipelines.console import stdout_for_json

    return stdout_for_json()


# -- the grammar ----------------------------------------------------------------------------------


class _WrongUse(Exception):
    """Arguments that a parser can't read."""

    def __init__(self, parser: argparse.ArgumentParser, told: str) -> None:
        super().__init__(told)
        self.parser = parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _WrongUse(self, message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="transfuse",
        description="Moves a hospital's legacy tables into a new database, and loses nothing.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    migrate = _verb(verbs, "migrate", "plan, run and report a migration", _migrate, True)
    migrate.add_argument(
        "--table", action="append", default=[], metavar="LOAD", help="only this load (repeatable)"
    )
    migrate.add_argument(
        "--accept-changes",
        action="store_true",
        help="continue with a changed specification; what is written stays as it is",
    )

    plan = _verb(verbs, "plan", "say what a migration would do, from a sample of rows", _plan)
    plan.add_argument("--full", action="store_true", help="read every row instead of a sample")

    trial = _verb(verbs, "try", "take one row through the transformations and print it", _try)
    trial.add_argument("load", metavar="LOAD", help="the entry of 'tables' that the row is for")
    trial.add_argument(
        "row", metavar="JSON", nargs="?", help="the row by source column; else read from stdin"
    )
    trial.add_argument("--key", metavar="K", help="the source row with this source key instead")

    status = _verb(verbs, "status", "show how far the job is", _status)
    status.add_argument("--watch", action="store_true", help="until the job isn't running")

    _verb(verbs, "pause", "have a running job wait, without connections", _pause)
    _verb(verbs, "resume", "have a paused job go on", _resume)
    _verb(verbs, "stop", "have a running or paused job end; 'migrate' continues it", _stop)

    told = "list the ready rules, or show one of them in full"
    rules = verbs.add_parser("rules", help=told, description=told, allow_abbrev=False)
    rules.add_argument("name", metavar="NAME", nargs="?", help="the rule to show")
    rules.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    rules.set_defaults(run=_rules, takes_flags=False)

    told = "look at what was rejected"
    rejects = verbs.add_parser("rejects", help=told, description=told, allow_abbrev=False)
    actions = rejects.add_subparsers(metavar="ACTION", required=True)
    listing = _verb(actions, "list", "group the open rejections, worst first", _rejects_list)
    listing.add_argument("--code", metavar="CODE", help="only this code, such as DATA-001")
    listing.add_argument("--table", metavar="LOAD", help="only this load or table")
    listing.add_argument("--rule", metavar="RULE", help="only this rule")
    shown = _verb(actions, "show", "tell everything about one violation", _rejects_show)
    shown.add_argument("id", metavar="ID", help="as 'rejects list' and migration_errors have it")
    shown.add_argument(
        "--source", action="store_true", help="read the source row anew and print its values"
    )
    return parser


def _verb(
    verbs: argparse._SubParsersAction[_Parser],
    name: str,
    told: str,
    run: Callable[[argparse.Namespace, list[str]], int],
    takes_flags: bool = False,
) -> argparse.ArgumentParser:
    epilog = "flags that are not listed go to Beam, such as --runner=" if takes_flags else None
    verb = verbs.add_parser(name, help=told, description=told, epilog=epilog, allow_abbrev=False)
    verb.add_argument("specification", metavar="SPEC", type=Path, help="the YAML file")
    common_flags(verb)
    verb.set_defaults(run=run, takes_flags=takes_flags)
    return verb


def common_flags(verb: argparse.ArgumentParser) -> None:
    """The flags that every verb has."""
    verb.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    verb.add_argument("--job", metavar="NAME", help="use this job instead of the specification's")
    verb.add_argument(
        "--var",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a variable of the specification (repeatable)",
    )


def read(parsed: argparse.Namespace) -> Specification:
    """The specification that the arguments name, with variables and job as they say."""
    from schemas.specification.reading import read_specification

    variables = dict(os.environ)
    for given in parsed.var:
        name, equals, value = given.partition("=")
        if not equals or not name:
            raise TransfuseError(
                Problem(ErrorCode.USER_001, f"--var {given!r} is not NAME=VALUE", "", "add '='")
            )
        variables[name] = value
    return read_specification(parsed.specification, variables, parsed.job)


# -- the verbs ------------------------------------------------------------------------------------


def _migrate(parsed: argparse.Namespace, flags: list[str]) -> int:
    specification = read(parsed)
    from pipelines.console import print_json, print_problems, print_summary, stderr
    from pipelines.migrate import migrate

    outcome = migrate(
        specification, parsed.specification, flags, parsed.table, parsed.accept_changes
    )
    if parsed.json:
        print_json(outcome.summary.model_dump())
    else:
        print_summary(outcome.summary)
    print_problems(outcome.problems)
    if outcome.already and outcome.status is ExitStatus.COMPLETE:
        stderr().print(
            f"The job '{specification.job}' is complete already; nothing was changed.",
            markup=False,
        )
    return int(outcome.status)


def _plan(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.plan_report import show_plan

    return int(show_plan(specification, parsed.specification, parsed.full, parsed.json))


def _try(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    row = _given_row(parsed)
    from pipelines.try_row import show_trial

    show_trial(specification, parsed.specification, parsed.load, parsed.key, row, parsed.json)
    return int(ExitStatus.COMPLETE)


def _given_row(parsed: argparse.Namespace) -> str | None:
    """The text of the row, from the argument or stdin; None where a key is given instead."""
    if parsed.key is not None and parsed.row is None:
        return None
    if parsed.key is not None:
        raise TransfuseError(Problem(ErrorCode.USER_001, "give either --key or a row, not both"))
    if parsed.row is None and sys.stdin.isatty():
        remedy = "give --key K, or the row as JSON, as argument or on stdin"
        raise TransfuseError(Problem(ErrorCode.USER_001, "no row is given", remedy=remedy))
    return sys.stdin.read() if parsed.row is None else str(parsed.row)


def _status(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.status import show_status

    show_status(specification, parsed.watch, parsed.json)
    return int(ExitStatus.COMPLETE)


def _pause(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.control import show_pause

    show_pause(specification, parsed.json)
    return int(ExitStatus.COMPLETE)


def _resume(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.control import show_resume

    show_resume(specification, parsed.json)
    return int(ExitStatus.COMPLETE)


def _stop(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.control import show_stop

    show_stop(specification, parsed.json)
    return int(ExitStatus.COMPLETE)


def _rules(parsed: argparse.Namespace, _: list[str]) -> int:
    from pipelines.rules import show_rules

    show_rules(parsed.name, parsed.json)
    return int(ExitStatus.COMPLETE)


def _rejects_list(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.rejects import Filter, list_rejects

    wanted = Filter.of(specification, parsed.code, parsed.table, parsed.rule)
    list_rejects(specification, wanted, parsed.json)
    return int(ExitStatus.COMPLETE)


def _rejects_show(parsed: argparse.Namespace, _: list[str]) -> int:
    specification = read(parsed)
    from pipelines.rejects import show_reject

    show_reject(specification, parsed.specification, parsed.id, parsed.source, parsed.json)
    return int(ExitStatus.COMPLETE)
