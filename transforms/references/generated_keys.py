"""Keys that the migration makes for target rows: numbers of a sequence, or name-based UUIDs."""

from __future__ import annotations

import uuid

import pyarrow as pa
from psycopg import sql

from schemas.catalog import Relation
from schemas.specification.policies import KeyGenerator
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.model.program import GeneratedKey

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:transfuse:generated-key")


def sequence_of(ledger: WorkerLedger, table: Relation, key: GeneratedKey) -> sql.Composable:
    """The sequence that numbers come from: the column's own, else one in the control schema."""
    if key.sequence is not None:
        return sql.SQL(key.sequence)
    return ledger.session.table(own_sequence_name(table, key))


def own_sequence_name(table: Relation, key: GeneratedKey) -> str:
    """The name, within the control schema, of the sequence of a column that has none."""
    return f"transfuse_{table.name}_{key.name}"[:63]


def generate_keys(
    ledger: WorkerLedger,
    load: str,
    table: Relation,
    key: GeneratedKey,
    source_keys: pa.Array,
) -> pa.Array:
    """Generate a key for each source key.

    A sequence hands its numbers out for good, so a partition that is tried again has other ones; a
    UUID (version 5, of job, load and source key) is the same each time.

    Args:
        ledger: The run's.
        load: The load of the rows.
        table: Its table.
        key: How its key is generated.
        source_keys: Those of the rows (text).

    Returns:
        The keys (text), in the same order.

    Raises:
        psycopg.Error: The server can't be reached, or refuses to use the sequence.
    """
    if key.kind is KeyGenerator.UUID5:
        space = uuid.uuid5(NAMESPACE, f"{ledger.context.job}/{load}")
        return pa.array([str(uuid.uuid5(space, k)) for k in source_keys.to_pylist()], pa.string())
    if not len(source_keys):
        return pa.array([], pa.string())
    rows = ledger.connection.execute(
        sql.SQL("SELECT nextval({}) FROM generate_series(1, {})").format(
            sql.Literal(sequence_of(ledger, table, key).as_string()), len(source_keys)
        )
    ).fetchall()
    return pa.array(sorted(n for (n,) in rows), pa.int64()).cast(pa.string())
