"""Output of ``reset``: the question before it, and the rows that were removed."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.ledger.reset_command import migrate_command
from pipelines.removal.reset import ResetResult, ResetSurvey
from pipelines.terminal.console import print_json, stdout, table_of
from schemas.specification.root import Specification


def reset_question(job: str, only: Sequence[str], survey: ResetSurvey) -> str:
    """The question before rows are deleted; ``only`` are the loads that were asked for."""
    names = ", ".join(survey.tables)
    rows = f"Delete {_rows(survey.rows)} of {names}" if names else "Delete no rows"
    forgotten = f"the loads {', '.join(survey.loads)} of the job" if only else "the job"
    kept = ""
    if survey.left:
        kept = f" Others have changed or deleted {_rows(survey.left)}, which stay as they are."
    return f"{rows}, and forget {forgotten} '{job}'?{kept}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def print_reset(specification: Specification, result: ResetResult, as_json: bool) -> None:
    """Print how many rows of each load were removed, and how to start over."""
    if as_json:
        tables = {
            name: {"removed": load.removed, "left": load.left}
            for name, load in result.loads.items()
        }
        print_json({"job": specification.job, "tables": tables})
        return
    rows = [(name, f"{one.removed:,}", f"{one.left:,}") for name, one in result.loads.items()]
    stdout().print(table_of("Reset", ("table",), ("removed", "left"), rows))
    if any(load.left for load in result.loads.values()):
        stdout().print(
            "'left' counts rows that others have changed or deleted since. What is still there is"
            " not the job's any more: the next run finds these keys in the target."
        )
    stdout().print(f"To start over: {migrate_command(specification)}", markup=False)
