"""``explain``: the troubleshooting guide on the command line."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.cli.log_arguments import identify_process
from pipelines.cli.read_arguments import variables_of
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

if TYPE_CHECKING:
    from pipelines.explain.job_facts import JobFacts

_CODES = [code.value for code in ErrorCode]


def explain(parsed: argparse.Namespace, _: list[str]) -> int:
    from pipelines.cli.reports.explain_report import print_codes, print_entry, print_procedures
    from pipelines.explain import explanation as guide

    code, path = _code_and_file(parsed)
    if code is not None:
        guide.explain_code(code)  # A wrong code is refused before a specification is read.
    facts = None if path is None else _facts(parsed, path)
    if code is not None:
        print_entry(guide.explain_code(code, facts, parsed.table), parsed.json)
    elif facts is not None:
        print_procedures(facts, guide.explain_procedures(facts, parsed.table), parsed.json)
    else:
        print_codes(parsed.json)
    return int(ExitStatus.COMPLETE)


def _code_and_file(parsed: argparse.Namespace) -> tuple[str | None, Path | None]:
    """The code and the specification; a single argument may be either."""
    first, second = parsed.code, parsed.specification
    if first is not None and first.upper() not in _CODES and _is_file(first):
        if second is None:
            return None, Path(first)
        if not _is_file(second):
            return second, Path(first)
        message = "two specifications are named"
        remedy = f"transfuse explain CODE {first}"
        raise TransfuseError(Problem(ErrorCode.USER_001, message, remedy=remedy))
    if second is None and (parsed.job or parsed.var or parsed.table):
        message = "--job, --var and --table are about a specification, and none is named"
        remedy = f"transfuse explain {first or 'CODE'} SPEC"
        raise TransfuseError(Problem(ErrorCode.USER_001, message, remedy=remedy))
    return first, None if second is None else Path(second)


def _is_file(word: str) -> bool:
    return word.lower().endswith((".yaml", ".yml")) or os.path.sep in word or os.path.isfile(word)


def _facts(parsed: argparse.Namespace, path: Path) -> JobFacts:
    from pipelines.explain.job_reader import read_job_facts

    facts = read_job_facts(path, variables_of(parsed), parsed.job)
    identify_process(parsed, facts.job)
    return facts
