"""The control tables of one job, as the launcher reads and writes them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import psycopg

from pipelines.ledger.alert_rows import AlertRows
from pipelines.ledger.audit_rows import AuditRows
from pipelines.ledger.carried_rows import CarriedRows
from pipelines.ledger.decision_rows import DecisionRows
from pipelines.ledger.error_batches import ErrorBatches
from pipelines.ledger.halt_rows import HaltRows
from pipelines.ledger.incident_rows import IncidentRows
from pipelines.ledger.index_rows import IndexRows
from pipelines.ledger.job_lock import JobLock
from pipelines.ledger.job_removal import JobRemoval
from pipelines.ledger.job_row import JobRow
from pipelines.ledger.job_sessions import JobSessions
from pipelines.ledger.ledger_counts import LedgerCounts
from pipelines.ledger.load_rows import LoadRows
from pipelines.ledger.map_rows import MapRows
from pipelines.ledger.metric_rows import MetricRows
from pipelines.ledger.ownership_doubts import OwnershipDoubts
from pipelines.ledger.partition_rows import PartitionRows
from pipelines.ledger.replay_rows import ReplayRows
from pipelines.ledger.run_rows import RunRows
from pipelines.ledger.violation_rows import ViolationRows
from pipelines.ledger.written_tables import WrittenRows
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

    @cached_property
    def lock(self) -> JobLock:
        """The lock by which one process at a time has the job."""
        return JobLock(self.session)

    @cached_property
    def loads(self) -> LoadRows:
        """The loads: their plans and definitions, and which are complete."""
        return LoadRows(self.session)

    @cached_property
    def partitions(self) -> PartitionRows:
        """The partitions: which are open, and why some failed."""
        return PartitionRows(self.session)

    @cached_property
    def counts(self) -> LedgerCounts:
        """The counts of the job's partitions, summed up."""
        return LedgerCounts(self.session)

    @cached_property
    def maps(self) -> MapRows:
        """The contents of maps that workers read."""
        return MapRows(self.session)

    @cached_property
    def decisions(self) -> DecisionRows:
        """The site's decisions on codes."""
        return DecisionRows(self.session)

    @cached_property
    def indexes(self) -> IndexRows:
        """Indexes and foreign keys that are built after the load."""
        return IndexRows(self.session)

    @cached_property
    def violations(self) -> ViolationRows:
        """The violations and warnings of rows: counted, read, discarded and reopened."""
        return ViolationRows(self.session)

    @cached_property
    def error_batches(self) -> ErrorBatches:
        """The violations by partition and replay, as error files have them."""
        return ErrorBatches(self.session)

    @cached_property
    def replays(self) -> ReplayRows:
        """The rejected rows that a replay judges again."""
        return ReplayRows(self.session)

    @cached_property
    def runs(self) -> RunRows:
        """The job's runs: who ran what, and how each ended."""
        return RunRows(self.session)

    @cached_property
    def audit(self) -> AuditRows:
        """What people changed or viewed."""
        return AuditRows(self.session)

    @cached_property
    def metrics(self) -> MetricRows:
        """The samples of the job's runs."""
        return MetricRows(self.session)

    @cached_property
    def alerts(self) -> AlertRows:
        """The alerts of the job's runs."""
        return AlertRows(self.session)

    @cached_property
    def halts(self) -> HaltRows:
        """The emergency stops that are in force."""
        return HaltRows(self.session)

    @cached_property
    def incidents(self) -> IncidentRows:
        """The incidents: opened, escalated and closed."""
        return IncidentRows(self.session)

    @cached_property
    def sessions(self) -> JobSessions:
        """The sessions of the job's runs."""
        return JobSessions(self.session)

    @cached_property
    def carried_loads(self) -> CarriedRows:
        """What an upgrade of the control tables left about loads of an earlier version."""
        return CarriedRows(self.session)

    @cached_property
    def written(self) -> WrittenRows:
        """The rows of the target that the job wrote."""
        return WrittenRows(self.session)

    @cached_property
    def doubts(self) -> OwnershipDoubts:
        """The reasons why these rows can't be proved to be the job's."""
        return OwnershipDoubts(self.session)

    @cached_property
    def removal(self) -> JobRemoval:
        """Deletes the job, or some of its loads, from the control tables."""
        return JobRemoval(self.session)
