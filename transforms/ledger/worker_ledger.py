"""The control tables of one run, as its workers read and write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg

from transforms.ledger.deferred_records import DeferredRecords
from transforms.ledger.duplicate_records import DuplicateRecords
from transforms.ledger.error_budgets import ErrorBudgets
from transforms.ledger.group_records import GroupRecords
from transforms.ledger.key_records import KeyRecords
from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.load_progress import LoadProgress
from transforms.ledger.parent_fates import ParentFates
from transforms.ledger.parent_key_records import ParentKeyRecords
from transforms.ledger.partition_progress import PartitionProgress
from transforms.ledger.placeholder_records import PlaceholderRecords
from transforms.ledger.run_fence import NOT_HALTED, THIS_RUN
from transforms.ledger.skipped_records import SkippedRecords
from transforms.ledger.stored_maps import StoredMaps
from transforms.ledger.violation_records import ViolationRecords
from transforms.ledger.written_rows import WriteRecords
from transforms.model.run_context import RunContext
from transforms.postgres.connection_pool import target_pool


class WorkerLedger:
    """Gives access to the control tables of a run's job, by what they are about.

    Cheap to make: nothing is asked of the server before a method of one of its parts is called.
    The statements of all parts may name ``{this_run}``, which is false as soon as the job has been
    started again.

    Attributes:
        connection: To the target.
        context: The run's.
        session: Executes statements on the control tables; for the modules of this folder.
    """

    def __init__(self, connection: psycopg.Connection[Any], context: RunContext) -> None:
        self.connection = connection
        self.context = context
        self.session = LedgerSession(
            connection,
            context.job,
            context.control_schema,
            constants=context.identity,
            templates={"this_run": THIS_RUN, "not_halted": NOT_HALTED},
        )

    @cached_property
    def partitions(self) -> PartitionProgress:
        """The partitions: claims, counts and failures."""
        return PartitionProgress(self.session, self.context.needs)

    @cached_property
    def loads(self) -> LoadProgress:
        """The loads: whether they may start, are compared and are settled."""
        return LoadProgress(self.session, self.context, self.budgets)

    @cached_property
    def budgets(self) -> ErrorBudgets:
        """The error budgets."""
        return ErrorBudgets(self.session, self.context.budget)

    @cached_property
    def violations(self) -> ViolationRecords:
        """The violations of rows."""
        return ViolationRecords(self.session)

    @cached_property
    def keys(self) -> KeyRecords:
        """The target keys of source keys."""
        return KeyRecords(self.session)

    @cached_property
    def parent_keys(self) -> ParentKeyRecords:
        """The target keys of parents, for references by source keys."""
        return ParentKeyRecords(self.session)

    @cached_property
    def parent_fates(self) -> ParentFates:
        """The violations and skips of parents that aren't in the target."""
        return ParentFates(self.session)

    @cached_property
    def maps(self) -> StoredMaps:
        """The contents of maps, for workers in other processes."""
        return StoredMaps(self.session)

    @cached_property
    def skipped(self) -> SkippedRecords:
        """The keys of skipped rows."""
        return SkippedRecords(self.session)

    @cached_property
    def placeholders(self) -> PlaceholderRecords:
        """The rows of the target that stand in for missing parents."""
        return PlaceholderRecords(self.session)

    @cached_property
    def deferred(self) -> DeferredRecords:
        """The references that are checked when their load is settled."""
        return DeferredRecords(self.session)

    @cached_property
    def duplicates(self) -> DuplicateRecords:
        """The candidates that lose their key to another row."""
        return DuplicateRecords(self.session)

    @cached_property
    def groups(self) -> GroupRecords:
        """The candidates that fail rules over several rows."""
        return GroupRecords(self.session)

    @cached_property
    def written_rows(self) -> WriteRecords:
        """The transactions that wrote rows."""
        return WriteRecords(self.session)


@contextmanager
def lend_ledger(context: RunContext) -> Iterator[WorkerLedger]:
    """Lend the ledger of a run, with a connection of this process's pool.

    Raises:
        TransfuseError: The target can't be reached (CONN).
    """
    with target_pool(context).lent() as target:
        yield WorkerLedger(target, context)
