"""The ledger: which partitions are done, with which counts, and whether a run may go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from schemas.errors import ErrorCode
from transforms.ledger.budgets import broken_budgets
from transforms.ledger.run_fence import OF_THIS_RUN, hold_fence
from transforms.model.partition import Partition
from transforms.model.run_context import RunContext


@dataclass(frozen=True)
class Counts:
    """What became of the rows of one partition.

    ``candidates`` = ``accepted`` + ``rejected`` + ``skipped``; ``written`` = ``accepted`` +
    ``expanded`` unless the target dropped rows. ``inserted`` are the written rows that are
    new. ``placeholders`` counts parents that were made, by load; ``skipped_by`` skips by
    name; ``violations`` and ``warnings`` by code; ``rejected_by`` rejected rows by code.
    """

    read: int = 0
    empty: int = 0
    candidates: int = 0
    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    written: int = 0
    inserted: int = 0
    expanded: int = 0
    placeholders: Mapping[str, int] = field(default_factory=dict)
    skipped_by: Mapping[str, int] = field(default_factory=dict)
    violations: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    rejected_by: Mapping[str, int] = field(default_factory=dict)

    @property
    def balances(self) -> bool:
        return self.candidates == self.accepted + self.rejected + self.skipped


def claim(connection: psycopg.Connection[Any], context: RunContext, partition: Partition) -> bool:
    """Takes a partition for this transaction; False where it is already done, or where the job
    has been started again since.

    A second writer of the same partition waits here until the first has committed or
    gone, and then finds it taken. A run that begins now waits for this transaction.
    """
    hold_fence(connection, context)
    claimed = connection.execute(
        sql.SQL(
            "UPDATE {} SET state = 'done', attempts = attempts + 1, error_code = NULL,"
            " error = NULL, snapshot = %(snapshot)s WHERE job_id = %(job)s AND load = %(load)s"
            " AND partition_id = %(id)s AND state <> 'done' AND " + OF_THIS_RUN
        ).format(context.table("migration_partitions"), jobs=context.table("migration_jobs")),
        {
            "snapshot": context.sources[context.programs[partition.load].source].snapshot,
            **context.identity,
            "load": partition.load,
            "id": partition.id,
        },
    )
    return claimed.rowcount == 1


def has_written(connection: psycopg.Connection[Any], context: RunContext, load: str) -> bool:
    """Whether the target has taken a row of any other partition of the load."""
    row = connection.execute(
        sql.SQL(
            "SELECT EXISTS (SELECT FROM {} WHERE job_id = %s AND load = %s"
            " AND state = 'done' AND written > 0)"
        ).format(context.table("migration_partitions")),
        [context.job, load],
    ).fetchone()
    return row is not None and bool(row[0])


def record(
    connection: psycopg.Connection[Any],
    context: RunContext,
    partition: Partition,
    counts: Counts,
    started_at: float,
) -> None:
    """Writes the counts of a claimed partition; ``started_at`` is Unix time in seconds."""
    values = {k: Jsonb(v) if isinstance(v, Mapping) else v for k, v in asdict(counts).items()}
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in values
    )
    connection.execute(
        sql.SQL(
            "UPDATE {} SET {}, started_at = to_timestamp(%(begun)s),"
            " finished_at = clock_timestamp()"
            " WHERE job_id = %(job)s AND load = %(load)s AND partition_id = %(id)s"
        ).format(context.table("migration_partitions"), assignments),
        {
            **values,
            "begun": started_at,
            "job": context.job,
            "load": partition.load,
            "id": partition.id,
        },
    )


def record_failure(
    connection: psycopg.Connection[Any],
    context: RunContext,
    partition: Partition,
    code: ErrorCode,
    message: str,
    replayed: bool = False,
) -> None:
    """Marks a partition as failed, unless somebody else has done it meanwhile; says of one that is
    ``replayed``, which is done and stays so, why rejected rows of it are left."""
    said = "error_code = %(code)s, error = %(error)s"
    if replayed:
        changed, concerned = said, "state = 'done'"
    else:
        changed, concerned = f"state = 'failed', attempts = attempts + 1, {said}", "state <> 'done'"
    connection.execute(
        sql.SQL(
            f"UPDATE {{}} SET {changed} WHERE job_id = %(job)s AND load = %(load)s"
            f" AND partition_id = %(id)s AND {concerned} AND " + OF_THIS_RUN
        ).format(context.table("migration_partitions"), jobs=context.table("migration_jobs")),
        {
            "code": code.value,
            "error": message,
            **context.identity,
            "load": partition.load,
            "id": partition.id,
        },
    )


def record_load_failure(
    connection: psycopg.Connection[Any],
    context: RunContext,
    load: str,
    code: ErrorCode,
    message: str,
) -> None:
    """Says of a load, whose partitions may all be done, why it isn't complete."""
    connection.execute(
        sql.SQL(
            "UPDATE {} SET error_code = %(code)s, error = %(error)s WHERE job_id = %(job)s"
            " AND load = %(load)s AND " + OF_THIS_RUN
        ).format(context.table("migration_loads"), jobs=context.table("migration_jobs")),
        {
            "code": code.value,
            "error": message,
            **context.identity,
            "load": load,
        },
    )


_LACKING = (
    "(SELECT count(*) FROM {loads} l WHERE l.job_id = %(job)s"
    " AND l.load = ANY(%(needs)s::text[]) AND l.settled) < cardinality(%(needs)s::text[])"
)
"""SQL that is true where loads that are needed aren't settled, which complete ones alone are.

One that couldn't be planned isn't there at all. It is asked before each partition is read, so it
doesn't look through all the partitions of a load.
"""


def may_replay(connection: psycopg.Connection[Any], context: RunContext, load: str) -> bool:
    """Whether rejected rows of ``load`` may be judged again: all loads that it needs are complete
    and settled, and the job hasn't been started again since."""
    row = connection.execute(
        sql.SQL("SELECT NOT " + _LACKING + " AND " + OF_THIS_RUN).format(
            loads=context.table("migration_loads"), jobs=context.table("migration_jobs")
        ),
        {"needs": list(context.needs[load]), **context.identity},
    ).fetchone()
    return row is not None and bool(row[0])


def may_start(
    connection: psycopg.Connection[Any],
    context: RunContext,
    load: str,
    comparing: bool = False,
) -> bool:
    """Whether a partition of ``load`` may be read now.

    Not where the job is wanted to stop or has been started again, where a load that it needs isn't
    settled, where the load's own rows aren't all compared (unless this is the pass that compares
    them), or where the error budget is broken (which stops the job).
    """
    row = connection.execute(
        sql.SQL(
            "SELECT j.wanted, "
            + _LACKING
            + ", (SELECT l.compared FROM {loads} l WHERE l.job_id = j.job_id"
            "  AND l.load = %(load)s) FROM {jobs} j WHERE j.job_id = %(job)s AND " + OF_THIS_RUN
        ).format(
            loads=context.table("migration_loads"),
            jobs=context.table("migration_jobs"),
        ),
        {
            "needs": list(context.needs[load]),
            "load": load,
            **context.identity,
        },
    ).fetchone()
    if row is None or row[0] != "run" or row[1]:
        return False
    if context.programs[load].compares_rows and not comparing and not row[2]:
        return False
    if broken_budgets(connection, context, [load]):
        connection.execute(
            sql.SQL(
                "UPDATE {jobs} SET wanted = 'stop' WHERE job_id = %(job)s AND wanted = 'run' AND "
                + OF_THIS_RUN
            ).format(jobs=context.table("migration_jobs")),
            context.identity,
        )
        return False
    return True


def amend(
    connection: psycopg.Connection[Any],
    context: RunContext,
    partition: Partition,
    before: Counts,
    after: Counts,
) -> None:
    """Counts rows of a committed partition as ``after`` that were counted as ``before``.

    ``read``, ``empty`` and ``candidates`` are what they were.
    """
    was, now = asdict(before), asdict(after)
    names = [name for name in was if name not in ("read", "empty", "candidates")]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    of_partition = sql.SQL("job_id = %(job)s AND load = %(load)s AND partition_id = %(id)s")
    place = {"job": context.job, "load": partition.load, "id": partition.id}
    row = connection.execute(
        sql.SQL("SELECT {} FROM {} WHERE {} FOR UPDATE").format(
            columns, context.table("migration_partitions"), of_partition
        ),
        place,
    ).fetchone()
    assert row is not None
    values = {
        name: stored + now[name] - was[name]
        if isinstance(stored, int)
        else Jsonb(_moved(stored, was[name], now[name]))
        for name, stored in zip(names, row, strict=True)
    }
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in names
    )
    connection.execute(
        sql.SQL("UPDATE {} SET {} WHERE {}").format(
            context.table("migration_partitions"), assignments, of_partition
        ),
        {**values, **place},
    )


def _moved(
    stored: Mapping[str, int], before: Mapping[str, int], after: Mapping[str, int]
) -> dict[str, int]:
    total = Counter(stored)
    total.update(after)
    total.subtract(before)
    return {name: count for name, count in total.items() if count}
