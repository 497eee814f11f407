"""The verbs of the command line with their flags and help texts, as data."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.cli import guide_verbs, incident_verbs, job_verbs, preview_verbs, reject_verbs
from pipelines.cli.verb import Argument, Verb, VerbGroup


def _positive(text: str) -> int:
    """A positive number, for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError("it takes a number of rows, such as --sample 20000")
    return int(text)


SPECIFICATION = Argument("specification", "the YAML file", metavar="SPEC", type=Path)

_JSON = Argument("--json", "print one JSON document on stdout", action="store_true")

LOG_FLAGS = (
    Argument("--log-dir", "write log files into this folder", metavar="DIR", type=Path),
    Argument(
        "--log-level",
        "debug, info, warning or error: for stderr (else warning) and log files (else info)",
        choices=("debug", "info", "warning", "error"),
        metavar="LEVEL",
    ),
    Argument(
        "--log-format",
        "text or json: the lines of log files (else text)",
        choices=("text", "json"),
        metavar="FORMAT",
    ),
    Argument(
        "--log-queries",
        "write statements, without values, into application.log",
        action="store_true",
    ),
)

COMMON = (
    _JSON,
    Argument("--by", "who does this, for the record (else the user)", metavar="NAME"),
    Argument("--job", "use this job instead of the specification's", metavar="NAME"),
    Argument(
        "--var",
        "set a variable of the specification (repeatable)",
        action="append",
        default=[],
        metavar="NAME=VALUE",
    ),
    *LOG_FLAGS,
)
"""The flags of every verb that takes a specification."""

_LOADS = Argument(
    "--table", "only this load (repeatable)", action="append", default=[], metavar="LOAD"
)

_YES = Argument("--yes", "don't ask on a terminal", action="store_true")

_FILTER = (
    Argument("--code", "only this code, such as DATA-001", metavar="CODE"),
    Argument("--table", "only this load or table", metavar="LOAD"),
    Argument("--rule", "only this rule", metavar="RULE"),
)

_REJECTS = VerbGroup(
    "rejects",
    "look at what was rejected, and deal with it",
    (
        Verb("list", "group the open rejections, worst first", reject_verbs.rejects_list, _FILTER),
        Verb(
            "show",
            "show everything about one violation",
            reject_verbs.rejects_show,
            (
                Argument("id", "as 'rejects list' and migration_errors have it", metavar="ID"),
                Argument(
                    "--source",
                    "read the source row again and print its values",
                    action="store_true",
                ),
            ),
        ),
        Verb(
            "replay",
            "judge rejected rows again, as the source has them now, and write those that pass",
            reject_verbs.rejects_replay,
            _FILTER,
            takes_flags=True,
        ),
        Verb(
            "discard",
            "give rejected rows up",
            reject_verbs.rejects_discard,
            (
                *_FILTER,
                Argument("--all", "all rejected rows of the job", action="store_true"),
                Argument("--reason", "why, for the record (required)", metavar="TEXT"),
                _YES,
            ),
            needs=("reason",),
        ),
        Verb(
            "reopen",
            "take back what 'discard' has done: the rows are open rejections again",
            reject_verbs.rejects_reopen,
            (*_FILTER, Argument("--all", "all discarded rows of the job", action="store_true")),
        ),
        Verb(
            "export",
            "write the codes that no map translates as CSV, for somebody to decide on",
            reject_verbs.rejects_export,
            (*_FILTER, Argument("--output", "the file; else stdout", metavar="FILE", type=Path)),
        ),
    ),
)

_CODES = VerbGroup(
    "codes",
    "the site's own decisions on codes",
    (
        Verb(
            "import",
            "store the decisions of a CSV that 'rejects export' has written",
            reject_verbs.codes_import,
            (Argument("file", "the CSV", metavar="FILE", type=Path),),
        ),
    ),
)

_INCIDENT = Argument("id", "as 'incidents list' has it", metavar="ID")

_INCIDENTS = VerbGroup(
    "incidents",
    "what people have to respond to",
    (
        Verb("list", "list the incidents, the latest first", incident_verbs.incidents_list),
        Verb("show", "print one as a notice", incident_verbs.incidents_show, (_INCIDENT,)),
        Verb(
            "acknowledge",
            "record that you deal with it: it isn't escalated by time any more",
            incident_verbs.incidents_acknowledge,
            (_INCIDENT,),
        ),
        Verb(
            "escalate",
            "raise it to the next level of support",
            incident_verbs.incidents_escalate,
            (_INCIDENT, Argument("--reason", "why (required)", metavar="TEXT")),
            needs=("reason",),
        ),
        Verb(
            "close",
            "record that it is resolved",
            incident_verbs.incidents_close,
            (_INCIDENT, Argument("--resolution", "how (required)", metavar="TEXT")),
            needs=("resolution",),
        ),
        Verb(
            "check",
            "for a timer: find a job that is down, escalate overdue incidents",
            incident_verbs.incidents_check,
        ),
    ),
)

VERBS = (
    Verb(
        "migrate",
        "plan, run and report a migration",
        job_verbs.migrate,
        (
            _LOADS,
            Argument(
                "--accept-changes",
                "continue with a changed specification; what is written stays as it is",
                action="store_true",
            ),
        ),
        takes_flags=True,
    ),
    Verb(
        "plan",
        "say what a migration would do, from a sample of rows",
        preview_verbs.plan,
        (
            Argument("--full", "read every row instead of a sample", action="store_true"),
            Argument(
                "--sample",
                "rows of each load that are read (100,000)",
                metavar="N",
                type=_positive,
            ),
            _LOADS,
        ),
    ),
    Verb(
        "doctor",
        "examine servers, data and machine, and print a fix for each finding; writes nothing",
        preview_verbs.doctor,
        (
            Argument(
                "--deep", "check all source rows, not a sample in ten seconds", action="store_true"
            ),
        ),
    ),
    Verb(
        "try",
        "take one row through the transformations and print it",
        preview_verbs.try_row,
        (
            Argument("load", "the entry of 'tables' that the row is for", metavar="LOAD"),
            Argument(
                "row", "the row by source column; else read from stdin", metavar="JSON", nargs="?"
            ),
            Argument("--key", "the source row with this source key instead", metavar="K"),
        ),
    ),
    Verb(
        "status",
        "show how far the job is",
        job_verbs.status,
        (Argument("--watch", "until it neither runs nor is paused", action="store_true"),),
    ),
    Verb("pause", "have a running job wait, without connections", job_verbs.pause),
    Verb(
        "resume",
        "have a paused job go on, or lift an emergency stop",
        job_verbs.resume,
        (
            Argument(
                "--table",
                "lift the isolation of this load (repeatable)",
                action="append",
                default=[],
                metavar="LOAD",
            ),
        ),
    ),
    Verb(
        "stop",
        "have a running or paused job end; 'migrate' continues it",
        job_verbs.stop,
        (
            Argument(
                "--emergency",
                "end its sessions and refuse new runs until 'resume'",
                action="store_true",
            ),
            Argument("--reason", "why, for the record (with --emergency)", metavar="TEXT"),
            Argument(
                "--table",
                "isolate only this load (with --emergency, repeatable)",
                action="append",
                default=[],
                metavar="LOAD",
            ),
        ),
    ),
    Verb(
        "reset",
        "remove exactly what the job wrote, and forget it; 'migrate' then starts over",
        job_verbs.reset,
        (_LOADS, _YES),
    ),
    Verb(
        "rules",
        "list the ready rules, or show one of them in full",
        preview_verbs.rules,
        (Argument("name", "the rule to show", metavar="NAME", nargs="?"), _JSON),
        reads_specification=False,
    ),
    Verb(
        "explain",
        "explain an error code, with commands for the databases of a specification",
        guide_verbs.explain,
        (
            Argument("code", "such as DATA-001; left out: all of them", metavar="CODE", nargs="?"),
            Argument("specification", "fill the commands in", metavar="SPEC", nargs="?"),
            _LOADS,
            *COMMON,
        ),
        reads_specification=False,
    ),
    Verb(
        "version", "print the version", preview_verbs.version, (_JSON,), reads_specification=False
    ),
    _REJECTS,
    _CODES,
    _INCIDENTS,
)
"""In the order of ``--help``."""
