"""SettleLoads: decides what depends on all partitions of a load, once they are committed.

That is references of a table to itself, and losers whose winner was rejected. It is one
transaction for each load, with a mark, so that it happens once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import psycopg
from apache_beam.typehints import with_output_types
from psycopg import sql

from transforms.ledger.lost_keys import judge_lost_keys
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.ledger.written_rows import store_written_rows
from transforms.model.run_context import RunContext
from transforms.postgres.connection_pool import target_pool
from transforms.references.deferred import DeferredReferences
from transforms.steps.partition_step import attempt


def settle_load(connection: psycopg.Connection[Any], context: RunContext, load: str) -> bool:
    """Settle a load if all its partitions are committed, unless the job was started again since.

    Args:
        connection: to the target, outside of a transaction.
        context: the run's.
        load: the load.

    Returns:
        Whether it is settled, now or from before.

    Raises:
        psycopg.Error: the server can't be reached.
    """
    program = context.programs[load]
    ledger = WorkerLedger(connection, context)
    _analyze(connection, context, load)
    with connection.transaction():
        is_settled, is_committed = ledger.loads.lock_for_settlement(load)
        if is_settled or not is_committed:
            return is_settled
        deferred = [f for f in program.fields if f.reference is not None and f.reference.deferred]
        if deferred:
            DeferredReferences(connection, context, program, deferred).settle()
            store_written_rows(connection, context, load, "")
        if program.finds_duplicates:
            errors, duplicates = map(context.table, ("migration_errors", "migration_duplicates"))
            judge_lost_keys(connection, errors, duplicates, context.job, [load])
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE job_id = %s AND load = %s").format(
                context.table("migration_deferred")
            ),
            [context.job, load],
        )
        ledger.loads.mark_settled(load)
    return True


def _analyze(connection: psycopg.Connection[Any], context: RunContext, load: str) -> None:
    """Analyze the control tables that settling the load is about to join.

    Without statistics the server assumes one row, and would compare each of 200,000 losers with
    each of their violations. Not within a transaction, whose locks another load would wait for.
    """
    row = connection.execute(
        sql.SQL(
            "SELECT EXISTS (SELECT FROM {duplicates} WHERE {of_load}),"
            " EXISTS (SELECT FROM {deferred} WHERE {of_load})"
            " FROM {loads} WHERE {of_load} AND NOT settled"
        ).format(
            duplicates=context.table("migration_duplicates"),
            deferred=context.table("migration_deferred"),
            loads=context.table("migration_loads"),
            of_load=sql.SQL("job_id = %(job)s AND load = %(load)s"),
        ),
        {"job": context.job, "load": load},
    ).fetchone()
    lost, referring = row or (False, False)
    names = {
        *(("errors", "duplicates") if lost else ()),
        *(("errors", "deferred", "keys") if referring else ()),
    }
    for name in sorted(names):
        connection.execute(sql.SQL("ANALYZE {}").format(context.table(f"migration_{name}")))


@with_output_types(str)
class _SettleLoad(beam.DoFn):
    def __init__(self, context: RunContext) -> None:
        super().__init__()
        self.context = context

    def process(self, element: str) -> Iterator[str]:
        settled = False

        def settle() -> None:
            nonlocal settled
            with target_pool(self.context).lent() as target:
                settled = settle_load(target, self.context, element)

        # If a load stays unsettled the run ends as incomplete, and the next one settles it.
        attempt(self.context, element, "it couldn't be settled", settle)
        if settled:
            yield element


class SettleLoads(beam.PTransform):
    """PCollection[str] of loads -> those that are settled.

    A load with a partition that isn't committed stays open; what needs it doesn't start.
    """

    def __init__(self, context: RunContext) -> None:
        super().__init__()
        self.context = context

    def expand(self, loads: Any) -> Any:
        return loads | beam.ParDo(_SettleLoad(self.context))
