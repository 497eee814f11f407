"""Prints the reports of a run on stderr, and has signals stop it in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipelines.terminal.console import print_warnings, stderr
from pipelines.watch.interruption import stop_on_signals
from pipelines.watch.progress import show_progress
from pipelines.watch.run_observer import RunObserver
from schemas.errors import Problem
from schemas.specification.root import Specification


class ConsoleObserver(RunObserver):
    """The observer of a run that a person has started on the command line."""

    def report_warnings(self, warnings: Sequence[Problem]) -> None:
        """Print the warnings."""
        print_warnings(warnings)

    def report_pause(self, job: str) -> None:
        """Print that the job is paused."""
        stderr().print(f"The job '{job}' is paused.", markup=False)

    def report_unbuilt(self, problems: Sequence[Problem]) -> None:
        """Print what is left to be built."""
        for problem in problems:
            stderr().print(str(problem), markup=False)

    @contextmanager
    def attend(self, specification: Specification, session_name: str) -> Iterator[None]:
        """Show the progress, log blockers, and have the first signal stop the job in order."""
        with show_progress(specification, session_name), stop_on_signals(specification):
            yield
