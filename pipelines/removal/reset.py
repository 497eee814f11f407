"""``reset``: removes exactly what a job wrote and forgets it, so that ``migrate`` starts over."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from pipelines.connections.database_errors import translate_errors
from pipelines.ledger.control_schema import create_control_tables, ensure_current_version
from pipelines.ledger.earlier_runs import end_earlier_runs
from pipelines.ledger.halt_refusal import refuse_halted
from pipelines.ledger.index_store import restore_indexes
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.reset_scope import StoredLoad, loads_to_reset, read_stored_loads
from pipelines.ledger.written_tables import WrittenTable
from pipelines.rejects.reject_filter import never_ran
from pipelines.removal.row_ownership import Ownership, find_own_rows
from pipelines.removal.row_removal import lock_tables, remove_rows
from schemas.errors import ExitStatus, TransfuseError
from schemas.specification.root import Specification
from transforms.model.log_event import EventPlace, log_event
from transforms.postgres.connections import connect
from transforms.postgres.row_security import WHOLE_TABLES

logger = logging.getLogger("transfuse.removal")


@dataclass(frozen=True)
class ResetSurvey:
    """What ``reset`` would remove.

    Attributes:
        loads: The loads that would be forgotten.
        tables: The rows that would be deleted, by the table's name as SQL writes it.
        left: Rows that others have changed or deleted since, which stay as they are.
    """

    loads: tuple[str, ...]
    tables: Mapping[str, int]
    left: int

    @property
    def rows(self) -> int:
        """The rows that would be deleted."""
        return sum(self.tables.values())


@dataclass(frozen=True)
class ResetLoad:
    """The rows of a load that were removed, and those that others had changed or deleted."""

    removed: int
    left: int


@dataclass(frozen=True)
class ResetResult:
    """What ``reset`` removed, by load."""

    loads: Mapping[str, ResetLoad]


def survey_reset(specification: Specification, loads: Sequence[str] = ()) -> ResetSurvey:
    """Look up what ``reset`` would remove, and remove nothing.

    Control tables of an earlier version are brought up to date.

    Args:
        specification: That of the job.
        loads: The loads; none means all.

    Returns:
        The rows that would be deleted, and the loads that would be forgotten.

    Raises:
        TransfuseError: As ``reset`` raises, except for a job that is running.
    """
    with connect(specification.target.url, settings=WHOLE_TABLES) as target:
        ledger = _open_ledger(target, specification)
        with translate_errors("target"):
            stored, tables, own = _survey(ledger, loads)
    rows = {table.name: own.rows_in(table) for table in tables if own.rows_in(table)}
    return ResetSurvey(tuple(stored), rows, own.left)


def reset(specification: Specification, loads: Sequence[str] = ()) -> ResetResult:
    """Remove the rows of a job, or of some of its loads, and what the ledger says of them.

    Rows, ledger, violations and keys go in one transaction, so that it is done or not done
    however it ends. The site's decisions on codes stay.

    Args:
        specification: That of the job.
        loads: The loads; none means all.

    Returns:
        The numbers of rows by load.

    Raises:
        TransfuseError: Exit status 2, and no row or ledger entry is changed: USER-003 if the job is
            running or hasn't run, if its rows can't be proved to be its own, or if others rely on
            them;
            USER-001 for an unknown load; USER-002 if the role may not delete rows. Exit status 3 if
            an index can't be built again first.
    """
    with connect(specification.target.url, settings=WHOLE_TABLES) as target:
        ledger = _open_ledger(target, specification)
        # Refused before the job is locked and earlier runs are fenced off.
        with translate_errors("target"):
            _survey(ledger, loads)
        with ledger.lock.hold():
            refuse_halted(ledger, loads_too=True)
            end_earlier_runs(ledger)
            unbuilt = restore_indexes(ledger)
            if unbuilt:
                raise TransfuseError(unbuilt, ExitStatus.INCOMPLETE)
            with translate_errors("target"), target.transaction():
                own = _remove(ledger, loads)
                for name, rows in own.loads.items():
                    ledger.audit.record("reset", name, rows.rows, details={"left": rows.left})
    for name, rows in own.loads.items():
        place = EventPlace(specification.job, load=name)
        text = f"the load is reset: {rows.rows} rows removed, {rows.left} left"
        log_event(logger, logging.INFO, text, place, removed=rows.rows, left=rows.left)
    return ResetResult({name: ResetLoad(rows.rows, rows.left) for name, rows in own.loads.items()})


def _open_ledger(target: psycopg.Connection[Any], specification: Specification) -> JobLedger:
    ledger = JobLedger(target, specification)
    ensure_current_version(ledger)
    if ledger.job.read() is None:
        raise TransfuseError(never_ran(specification))
    create_control_tables(specification)
    return ledger


def _survey(
    ledger: JobLedger, named: Sequence[str]
) -> tuple[dict[str, StoredLoad], list[WrittenTable], Ownership]:
    """The loads to reset, the tables that they wrote to, and their rows there."""
    stored = read_stored_loads(ledger)
    chosen = loads_to_reset(ledger, stored, named)
    loads = {name: load for name, load in stored.items() if name in chosen}
    tables = ledger.written.read_tables(chosen)
    own = find_own_rows(ledger, loads, tables)
    if own.problems:
        raise TransfuseError(own.problems)
    return loads, tables, own


def _remove(ledger: JobLedger, named: Sequence[str]) -> Ownership:
    """Remove rows and ledger in the caller's transaction; the rows that were removed."""
    target = ledger.connection
    stored = read_stored_loads(ledger)
    chosen = loads_to_reset(ledger, stored, named)
    # A deferred check would keep a table from being indexed.
    target.execute("SET CONSTRAINTS ALL IMMEDIATE")
    lock_tables(target, ledger.written.read_tables(chosen))
    # Again, because only now nobody can change rows in between.
    _, tables, own = _survey(ledger, named)
    for table in tables:
        remove_rows(ledger, chosen, table, own.rows_in(table))
    if chosen == {*stored}:
        ledger.removal.delete_job()
    else:
        ledger.removal.delete_loads(chosen)
    return own
