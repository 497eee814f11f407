"""Keys that the migration makes for target rows: numbers of a sequence, or name-based UUIDs."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from schemas.catalog import Relation
from schemas.specification.policies import KeyGenerator
from transforms.model.program import GeneratedKey
from transforms.model.run_context import RunContext

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:transfuse:generated-key")


def sequence_of(context: RunContext, table: Relation, key: GeneratedKey) -> sql.Composable:
    """The sequence that numbers come from: the column's own, else one in the control schema."""
    if key.sequence is not None:
        return sql.SQL(key.sequence)
    return context.table(own_sequence_name(table, key))


def own_sequence_name(table: Relation, key: GeneratedKey) -> str:
    """The name, within the control schema, of the sequence of a column that has none."""
    return f"transfuse_{table.name}_{key.name}"[:63]


def generate_keys(
    connection: psycopg.Connection[Any],
    context: RunContext,
    load: str,
    table: Relation,
    key: GeneratedKey,
    source_keys: pa.Array,
) -> pa.Array:
    """A new key for each source key (text), as text, in their order.

    A sequence hands its numbers out for good, so a partition that is tried again has
    other ones; a UUID (version 5, of job, load and source key) is the same each time.
    """
    if key.kind is KeyGenerator.UUID5:
        space = uuid.uuid5(NAMESPACE, f"{context.job}/{load}")
        return pa.array([str(uuid.uuid5(space, k)) for k in source_keys.to_pylist()], pa.string())
    if not len(source_keys):
        return pa.array([], pa.string())
    rows = connection.execute(
        sql.SQL("SELECT nextval({}) FROM generate_series(1, {})").format(
            sql.Literal(sequence_of(context, table, key).as_string()), len(source_keys)
        )
    ).fetchall()
    return pa.array(sorted(n for (n,) in rows), pa.int64()).cast(pa.string())
