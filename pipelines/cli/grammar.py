"""The grammar of the command line: verbs, flags, and their ``--help``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from pipelines.cli import verbs
from pipelines.terminal.flag_check import closest

EPILOG = """exit status: 0 complete, balanced, within budgets; 1 crash; 2 wrong use or wrong
specification, nothing started; 3 incomplete, start again to continue; 4 stopped on request or
by an error budget; 5 out of balance; 6 a predicted broken budget (plan)"""


_SYNONYMS = {
    "run": "migrate",
    "start": "migrate",
    "continue": "migrate",
    "dry-run": "plan",
    "preview": "plan",
    "abort": "stop",
    "cancel": "stop",
    "undo": "reset",
    "rollback": "reset",
}
"""Words of other tools, and the verb that does the same here."""


class WrongUse(Exception):
    """Arguments that a parser can't read."""

    def __init__(self, parser: argparse.ArgumentParser, message: str) -> None:
        super().__init__(message)
        self.parser = parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WrongUse(self, message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Suggests a verb where argparse would only list all of them."""
        if action.choices is None or value in action.choices:
            return
        verbs_of_this = list(action.choices)
        synonym = _SYNONYMS.get(str(value).lower().replace("_", "-"))
        meant = synonym if synonym in verbs_of_this else closest(str(value).lower(), verbs_of_this)
        hint = f"did you mean '{meant}'?" if meant else f"choose from {', '.join(verbs_of_this)}"
        raise WrongUse(self, f"there is no {str(action.metavar).lower()} '{value}': {hint}")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from pipelines.cli.version import installed_version

        print(f"{parser.prog} {installed_version()}")
        parser.exit()


def new_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="transfuse",
        description="Moves a hospital's legacy tables into a new database, and loses nothing.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    named = parser.add_subparsers(metavar="VERB", required=True)

    migrate = _verb(named, "migrate", "plan, run and report a migration", verbs.migrate, True)
    migrate.add_argument(
        "--table", action="append", default=[], metavar="LOAD", help="only this load (repeatable)"
    )
    migrate.add_argument(
        "--accept-changes",
        action="store_true",
        help="continue with a changed specification; what is written stays as it is",
    )

    plan = _verb(named, "plan", "say what a migration would do, from a sample of rows", verbs.plan)
    plan.add_argument("--full", action="store_true", help="read every row instead of a sample")
    told = "rows of each load that are read (100,000)"
    plan.add_argument("--sample", metavar="N", type=_positive, help=told)
    plan.add_argument(
        "--table", action="append", default=[], metavar="LOAD", help="only this load (repeatable)"
    )

    trial = _verb(
        named, "try", "take one row through the transformations and print it", verbs.try_row
    )
    trial.add_argument("load", metavar="LOAD", help="the entry of 'tables' that the row is for")
    trial.add_argument(
        "row", metavar="JSON", nargs="?", help="the row by source column; else read from stdin"
    )
    trial.add_argument("--key", metavar="K", help="the source row with this source key instead")

    status = _verb(named, "status", "show how far the job is", verbs.status)
    status.add_argument("--watch", action="store_true", help="until it neither runs nor is paused")

    _verb(named, "pause", "have a running job wait, without connections", verbs.pause)
    _verb(named, "resume", "have a paused job go on", verbs.resume)
    _verb(named, "stop", "have a running or paused job end; 'migrate' continues it", verbs.stop)

    told = "remove exactly what the job wrote, and forget it; 'migrate' then starts over"
    reset = _verb(named, "reset", told, verbs.reset)
    reset.add_argument(
        "--table", action="append", default=[], metavar="LOAD", help="only this load (repeatable)"
    )
    reset.add_argument("--yes", action="store_true", help="don't ask on a terminal")

    told = "list the ready rules, or show one of them in full"
    rules = named.add_parser("rules", help=told, description=told, allow_abbrev=False)
    rules.add_argument("name", metavar="NAME", nargs="?", help="the rule to show")
    rules.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    rules.set_defaults(run=verbs.rules, takes_flags=False, parser=rules)

    told = "print the version"
    version = named.add_parser("version", help=told, description=told, allow_abbrev=False)
    version.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    version.set_defaults(run=verbs.version, takes_flags=False, parser=version)

    told = "look at what was rejected, and deal with it"
    rejects = named.add_parser("rejects", help=told, description=told, allow_abbrev=False)
    actions = rejects.add_subparsers(metavar="ACTION", required=True)
    listing = _verb(actions, "list", "group the open rejections, worst first", verbs.rejects_list)
    _filter_flags(listing)
    shown = _verb(actions, "show", "tell everything about one violation", verbs.rejects_show)
    shown.add_argument("id", metavar="ID", help="as 'rejects list' and migration_errors have it")
    shown.add_argument(
        "--source", action="store_true", help="read the source row anew and print its values"
    )
    told = "judge rejected rows anew, as the source has them now, and write those that pass"
    _filter_flags(_verb(actions, "replay", told, verbs.rejects_replay, True))
    discard = _verb(actions, "discard", "give rejected rows up", verbs.rejects_discard)
    _filter_flags(discard)
    discard.add_argument("--all", action="store_true", help="all rejected rows of the job")
    discard.add_argument("--reason", metavar="TEXT", help="why, for the record (required)")
    discard.add_argument("--yes", action="store_true", help="don't ask on a terminal")
    discard.set_defaults(needs=("reason",))
    told = "take back what 'discard' has done: the rows are open rejections again"
    reopening = _verb(actions, "reopen", told, verbs.rejects_reopen)
    _filter_flags(reopening)
    reopening.add_argument("--all", action="store_true", help="all discarded rows of the job")
    told = "write the codes that no map translates as CSV, for somebody to decide on"
    export = _verb(actions, "export", told, verbs.rejects_export)
    _filter_flags(export)
    export.add_argument("--output", metavar="FILE", type=Path, help="the file; else stdout")

    told = "the site's own decisions on codes"
    codes = named.add_parser("codes", help=told, description=told, allow_abbrev=False)
    actions = codes.add_subparsers(metavar="ACTION", required=True)
    told = "store the decisions of a CSV that 'rejects export' has written"
    importing = _verb(actions, "import", told, verbs.codes_import)
    importing.add_argument("file", metavar="FILE", type=Path, help="the CSV")
    return parser


def _positive(text: str) -> int:
    """A positive number, for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError("it takes a number of rows, such as --sample 20000")
    return int(text)


def _filter_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--code", metavar="CODE", help="only this code, such as DATA-001")
    verb.add_argument("--table", metavar="LOAD", help="only this load or table")
    verb.add_argument("--rule", metavar="RULE", help="only this rule")


def _verb(
    among: argparse._SubParsersAction[_Parser],
    name: str,
    told: str,
    run: Callable[[argparse.Namespace, list[str]], int],
    takes_flags: bool = False,
) -> argparse.ArgumentParser:
    epilog = "flags that are not listed go to Beam, such as --runner=" if takes_flags else None
    verb = among.add_parser(name, help=told, description=told, epilog=epilog, allow_abbrev=False)
    verb.add_argument("specification", metavar="SPEC", type=Path, help="the YAML file")
    common_flags(verb)
    verb.set_defaults(run=run, takes_flags=takes_flags, parser=verb)
    return verb


def flags_of(parser: argparse.ArgumentParser) -> list[str]:
    """The flags that a verb takes itself."""
    return [name for action in parser._actions for name in action.option_strings]


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
