"""The reports of a run while it goes on; nothing is printed unless an observer does it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from pipelines.connections.blocking import log_blockers
from schemas.errors import Problem
from schemas.specification.root import Specification


class RunObserver:
    """Ignores the reports of a run; subclasses print or store them.

    A replay reports its warnings alone.
    """

    def report_warnings(self, warnings: Sequence[Problem]) -> None:
        """Findings about the servers, before the run begins."""

    def report_pause(self, job: str) -> None:
        """The job is paused, and the run waits until it is resumed."""

    def report_unbuilt(self, problems: Sequence[Problem]) -> None:
        """Indexes that an interrupted run leaves to be built by the next one."""

    def attend(
        self, specification: Specification, session_name: str
    ) -> AbstractContextManager[None]:
        """The context in which the steps of a migration run.

        Args:
            specification: The job's.
            session_name: The target's name for the sessions of the run's steps.

        Returns:
            A context that logs sessions for which these wait.
        """
        return log_blockers(specification.target.url, session_name)
