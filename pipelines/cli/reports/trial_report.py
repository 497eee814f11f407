"""Output of ``try``: a row before and after its transformations, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict

from pipelines.preview.try_row import Trial
from pipelines.terminal.console import print_json, printable, stdout, table_of


def print_trial(trial: Trial, as_json: bool) -> None:
    """Print what would become of a row."""
    if as_json:
        print_json(asdict(trial))
    else:
        _print(trial)


def _print(trial: Trial) -> None:
    console = stdout()
    source = [(name, printable(value)) for name, value in trial.source.items()]
    console.print(table_of(f"Source row {trial.source_key or ''}", ("column", "value"), (), source))
    names = list(trial.rows[0])
    count = len(trial.rows)
    columns = ["value"] if count == 1 else [f"row {i}" for i in range(1, count + 1)]
    target = [(name, *(printable(row[name]) for row in trial.rows)) for name in names]
    console.print(table_of(f"Into {trial.into}", ("field", *columns), (), target))
    verdict = trial.verdict if trial.skip is None else f"{trial.verdict}: {trial.skip}"
    console.print(f"The row would be {verdict}.")
    for violation in trial.violations:
        kind = f"{violation.code} {violation.rule}{' (warning)' if violation.warning else ''}"
        console.print(f"  {kind}: {violation.message}\n    -> {violation.remedy}")
    console.print("Not checked here:")
    for sentence in trial.not_checked:
        console.print(f"  {sentence}")
