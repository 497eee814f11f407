"""The command line: one verb a file, imported only when it is called.

Importing Beam takes a second, so nothing is imported here that a ``--help`` doesn't need.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.logs import log_to_stderr
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

if TYPE_CHECKING:
    from schemas.specification.root import Specification

EPILOG = """exit status: 0 complete, balanced, within budgets; 1 crash; 2 wrong use or wrong
specification, nothing started; 3 incomplete, start again to continue; 4 stopped on request or
by an error budget; 5 out of balance; 6 a predicted broken budget (plan)"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb and gives the exit status."""
    parser = _parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    parsed, flags = parser.parse_known_args(given)
    if flags and not parsed.takes_flags:
        parser.error(f"unrecognized arguments: {' '.join(flags)}")
    log_to_stderr()
    try:
        return int(parsed.run(parsed, flags))
    except TransfuseError as error:
        from pipelines.console import print_json, print_problems

        print_problems(error.problems)
        if parsed.json:
            print_json({"problems": [_told(p) for p in error.problems]})
        return int(error.status)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; start again to continue\n")
        return int(ExitStatus.STOPPED)
    except Exception as error:
        return _crashed(error)


def _told(problem: Problem) -> dict[str, str]:
    return {
        "code": problem.code.value,
        "message": problem.message,
        "where": problem.where,
        "remedy": problem.remedy,
    }


def _crashed(error: Exception) -> int:
    """SYS-003; the traceback, which may hold values, only where TRANSFUSE_DEBUG asks for it."""
    if os.environ.get("TRANSFUSE_DEBUG"):
        raise error
    from pipelines.console import print_problems

    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    print_problems(
        [
            Problem(
                ErrorCode.SYS_003,
                f"crashed with {type(error).__name__}",
                frames[-1] if frames else "",
                "start again to continue; with TRANSFUSE_DEBUG=1 the traceback is shown,"
                " which may hold values of rows",
            )
        ]
    )
    return int(ExitStatus.CRASH)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
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


def _migrate(parsed: argparse.Namespace, flags: list[str]) -> int:
    specification = read(parsed)
    from pipelines.console import print_json, print_problems, print_summary, stderr
    from pipelines.migrate import migrate

    outcome = migrate(specification, parsed.specification, flags, parsed.table)
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
