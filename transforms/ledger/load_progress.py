"""The loads in ``migration_loads``: whether they may start, and how far they are."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from schemas.errors import ErrorCode
from transforms.ledger.error_budgets import ErrorBudgets
from transforms.ledger.ledger_session import LedgerSession
from transforms.ledger.run_fence import hold_fence
from transforms.model.log_event import EventPlace, log_event
from transforms.model.program import LoadProgram
from transforms.model.run_context import RunContext

logger = logging.getLogger("transfuse.steps")

_OF_LOAD = "job_id = %(job)s AND load = %(load)s"

_LACKING = (
    "(SELECT count(*) FROM {migration_loads} l WHERE l.job_id = %(job)s"
    " AND l.load = ANY(%(needs)s::text[]) AND l.settled) < cardinality(%(needs)s::text[])"
)
"""SQL that is true if loads that are needed aren't settled, which only complete ones are.

One that couldn't be planned has no row. It is asked before each partition is read, so it doesn't
look through all the partitions of a load.
"""


@dataclass(frozen=True)
class LoadProgress:
    """Reads and writes the loads of a run.

    Attributes:
        session: That of the run.
        context: The run's.
        budgets: Its error budgets.
    """

    session: LedgerSession
    context: RunContext
    budgets: ErrorBudgets

    def may_start(self, load: str, comparing: bool = False) -> bool:
        """Whether a partition of a load may be read now.

        Not if the job is wanted to stop or has been started again, if the load is isolated, if one
        that it needs isn't settled, if the load's own rows aren't all compared, or if an error
        budget is broken, which stops the job.

        Args:
            load: The load.
            comparing: Whether this is the pass that compares its rows.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        row = self.session.execute(
            f"SELECT j.wanted, {_LACKING}, (SELECT l.compared FROM {{migration_loads}} l"
            "  WHERE l.job_id = j.job_id AND l.load = %(load)s)"
            " FROM {migration_jobs} j WHERE j.job_id = %(job)s AND {this_run} AND {not_halted}",
            {**self._halting(load), "needs": list(self.context.needs[load]), "load": load},
        ).fetchone()
        if row is None or row[0] != "run" or row[1]:
            return False
        if self.context.programs[load].compares_rows and not comparing and not row[2]:
            return False
        broken = self.budgets.find_broken([load])
        if broken:
            text = f"error budget broken: {broken[0].rejected} of {broken[0].candidates} rows"
            place = EventPlace.of(self.context, load)
            log_event(logger, logging.INFO, f"{text}; the job stops", place, ErrorCode.DATA_005)
            self.session.execute(
                "UPDATE {migration_jobs} SET wanted = 'stop'"
                " WHERE job_id = %(job)s AND wanted = 'run' AND {this_run}"
            )
            return False
        return True

    def may_replay(self, load: str) -> bool:
        """Whether rejected rows of a load may be tried again.

        Not before all loads that it needs are settled, nor if the job has been started again.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        row = self.session.execute(
            f"SELECT NOT {_LACKING} AND {{this_run}} AND {{not_halted}}",
            {**self._halting(load), "needs": list(self.context.needs[load])},
        ).fetchone()
        return row is not None and bool(row[0])

    def record_failure(self, load: str, code: ErrorCode, message: str) -> None:
        """Store why a load, whose partitions may all be done, isn't complete."""
        self.session.execute(
            "UPDATE {migration_loads} SET error_code = %(code)s, error = %(error)s"
            f" WHERE {_OF_LOAD} AND {{this_run}}",
            {"code": code.value, "error": message, "load": load},
        )

    def mark_compared(self, load: str) -> None:
        """Store that all rows of a load are compared with each other."""
        self.session.execute(
            f"UPDATE {{migration_loads}} SET compared = true WHERE {_OF_LOAD} AND {{this_run}}",
            {"load": load},
        )

    def keep_unsettled(self, load: str) -> bool:
        """Prevent a load from being settled before the current transaction ends.

        Returns:
            False if it is settled, or the job has been started again since.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        hold_fence(self.session)
        unsettled = self.session.execute(
            f"SELECT FROM {{migration_loads}} WHERE {_OF_LOAD} AND NOT settled AND {{this_run}}"
            " AND {not_halted} FOR SHARE",
            {**self._halting(load), "load": load},
        )
        return unsettled.rowcount == 1

    def lock_for_settlement(self, load: str) -> tuple[bool, bool]:
        """Lock a load until the current transaction ends.

        Returns:
            Whether it is settled, and whether all its partitions are committed. Neither if the job
            has been started again since.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        hold_fence(self.session)
        row = self.session.execute(
            "SELECT settled, NOT EXISTS (SELECT FROM {migration_partitions} p"
            " WHERE p.job_id = l.job_id AND p.load = l.load AND p.state <> 'done')"
            f" FROM {{migration_loads}} l WHERE {_OF_LOAD} AND {{this_run}} AND {{not_halted}}"
            " FOR UPDATE",
            {**self._halting(load), "load": load},
        ).fetchone()
        return (False, False) if row is None else (bool(row[0]), bool(row[1]))

    def _halting(self, load: str) -> dict[str, list[str]]:
        """The loads whose emergency stop keeps a load from being written to."""
        return {"halting": [load, *self.context.needs[load]]}

    def mark_settled(self, load: str) -> None:
        """Store that a load is settled."""
        self.session.execute(
            f"UPDATE {{migration_loads}} SET settled = true WHERE {_OF_LOAD}", {"load": load}
        )

    def shares_table(self, program: LoadProgram) -> bool:
        """Whether the load's table had rows before it, or another load of the job writes there."""
        row = self.session.execute(
            "SELECT EXISTS (SELECT FROM {migration_loads} WHERE job_id = %(job)s"
            " AND target_table = %(table)s AND (load <> %(load)s OR target_rows_before > 0))",
            {"table": str(program.table), "load": program.name},
        ).fetchone()
        return row is not None and bool(row[0])
