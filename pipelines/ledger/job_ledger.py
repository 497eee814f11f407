"""The control tables of one job, as the launcher reads and writes them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import psycopg

from pipelines.ledger.job_row import JobRow
from schemas.specification.root import Specification
from transforms.ledger.ledger_session import LedgerSession


class JobLedger:
    """Gives access to the control tables of a specification's job, by what they are about.

    Cheap to make: nothing is asked of the server before a method of one of its parts is called.

    Attributes:
        connection: To the target.
        specification: The job's.
        session: Executes statements on the control tables; for the modules of this folder.
    """

    def __init__(self, connection: psycopg.Connection[Any], specification: Specification) -> None:
        self.connection = connection
        self.specification = specification
        self.session = LedgerSession(
            connection, specification.job, specification.target.control_schema
        )

    @cached_property
    def job(self) -> JobRow:
        """The job's own row: its state, its runs, and what is wanted of it."""
        return JobRow(self.session)
