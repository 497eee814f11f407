"""A server that the diagnosis has a session with, and the connections that a run needs there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from pipelines.doctor.session_load import NeededConnections


@dataclass(frozen=True)
class ReachedServer:
    """A session with a server.

    Attributes:
        place: The name in the report.
        source: The name of the source; empty for the target.
        connection: A session that can't write.
        is_target: Whether it is the target.
    """

    place: str
    source: str
    connection: psycopg.Connection[Any]
    is_target: bool

    def needed(self, servers: Sequence[ReachedServer], job: str, workers: int) -> NeededConnections:
        """The connections that a run needs there.

        Args:
            servers: All servers, of which several can be one.
            job: The job.
            workers: The workers of a run; each has a connection to a source and to the target.
        """
        here = [one for one in servers if one._address == self._address]
        user, database = self.connection.info.user, self.connection.info.dbname
        by_role = [one for one in here if one.connection.info.user == user]
        inside = [one for one in here if one.connection.info.dbname == database]
        total = [sum(one._own_need(workers) for one in some) for some in (here, by_role, inside)]
        return NeededConnections(job, *total)

    @property
    def _address(self) -> tuple[str, int]:
        return self.connection.info.host, self.connection.info.port

    def _own_need(self, workers: int) -> int:
        # Beside those of the workers one of the launcher, and one that keeps the target's locks.
        return workers + (2 if self.is_target else 1)
