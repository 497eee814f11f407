"""Output of ``migrate``: the summary, and what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.cli.reports.refusal import unwritten_output
from pipelines.cli.reports.summary_report import print_summary
from pipelines.run.outcome import RunOutcome
from pipelines.terminal.console import print_json, print_problems, problem_documents, stderr
from schemas.errors import ExitStatus


def print_run(outcome: RunOutcome, only: Sequence[str], as_json: bool) -> None:
    """Print how a run of ``migrate`` ended.

    Args:
        outcome: The end of the run.
        only: The loads to which it was restricted; none means all.
        as_json: Whether to print the summary as JSON, with the problems in it.
    """
    if outcome.already and outcome.status is ExitStatus.COMPLETE:
        loads = f"The loads {', '.join(only)} of the" if only else "The"
        are = "are" if only else "is"
        stderr().print(
            f"{loads} job '{outcome.summary.job}' {are} complete already; nothing was changed.",
            markup=False,
        )
    try:
        if as_json:
            problems = problem_documents([*outcome.warnings, *outcome.problems])
            print_json({**outcome.summary.model_dump(), "problems": problems})
        else:
            print_summary(outcome.summary)
        sys.stdout.flush()
    except OSError as error:
        # The run stands as it ended: its status must not say that anything is to be done again.
        print_problems([unwritten_output(error)])
    print_problems(outcome.problems)
