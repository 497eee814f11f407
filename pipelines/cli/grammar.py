"""The parser of the command line, built from ``verb_table``."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from pipelines.cli.verb import Verb
from pipelines.cli.verb_table import COMMON, SPECIFICATION, VERBS
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
        from pipelines.terminal.installed_version import installed_version

        print(f"{parser.prog} {installed_version()}")
        parser.exit()


def new_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line from the table of verbs.

    Returns:
        The parser. It raises WrongUse instead of ending the process; what it parses has ``run``
        (the verb's function), ``takes_flags``, ``needs`` and ``parser`` (the verb's own).
    """
    parser = _Parser(
        prog="transfuse",
        description="Moves a hospital's legacy tables into a new database, and loses nothing.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    among = parser.add_subparsers(metavar="VERB", required=True)
    for entry in VERBS:
        if isinstance(entry, Verb):
            _add_verb(among, entry)
            continue
        group = among.add_parser(
            entry.name, help=entry.help, description=entry.help, allow_abbrev=False
        )
        actions = group.add_subparsers(metavar="ACTION", required=True)
        for verb in entry.actions:
            _add_verb(actions, verb)
    return parser


def _add_verb(among: argparse._SubParsersAction[_Parser], verb: Verb) -> None:
    epilog = "flags that are not listed go to Beam, such as --runner=" if verb.takes_flags else None
    parser = among.add_parser(
        verb.name, help=verb.help, description=verb.help, epilog=epilog, allow_abbrev=False
    )
    common = (SPECIFICATION, *COMMON) if verb.reads_specification else ()
    for argument in (*common, *verb.arguments):
        parser.add_argument(argument.name, **argument.options)
    parser.set_defaults(run=verb.run, takes_flags=verb.takes_flags, needs=verb.needs, parser=parser)


def flags_of(parser: argparse.ArgumentParser) -> list[str]:
    """The flags that a verb takes itself."""
    return [name for action in parser._actions for name in action.option_strings]
