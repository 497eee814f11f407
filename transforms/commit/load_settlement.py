"""Settles a load: what can only be decided when all of its partitions are committed."""

from __future__ import annotations

from typing import Any

import psycopg

from transforms.ledger.lost_keys import relabel_losers
from transforms.ledger.settlement_statistics import gather_statistics
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.model.run_context import RunContext
from transforms.references.deferred import DeferredReferences


def settle_load(connection: psycopg.Connection[Any], context: RunContext, load: str) -> bool:
    """Settle a load if all its partitions are committed.

    Its references to its own table are filled in, and losers of duplicate keys learn whether their
    winner was rejected. One transaction, which also marks the load, so that it happens once.

    Args:
        connection: To the target, outside of a transaction.
        context: The run's.
        load: The load.

    Returns:
        Whether it is settled. It isn't if a partition isn't committed, or if the job has been
        started again since.

    Raises:
        psycopg.Error: The server can't be reached, or refuses for a reason that isn't in the rows.
    """
    program = context.programs[load]
    ledger = WorkerLedger(connection, context)
    gather_statistics(ledger.session, load)
    with connection.transaction():
        is_settled, is_committed = ledger.loads.lock_for_settlement(load)
        if is_settled or not is_committed:
            return is_settled
        deferred = [f for f in program.fields if f.reference is not None and f.reference.deferred]
        if deferred:
            DeferredReferences(ledger, program, deferred).settle()
            ledger.written_rows.store(load, "")
        if program.finds_duplicates:
            relabel_losers(ledger.session, [load])
        ledger.deferred.remove_load(load)
        ledger.loads.mark_settled(load)
    return True
