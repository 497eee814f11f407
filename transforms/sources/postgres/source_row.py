"""Reads one row of a source again, by the text that identifies it in the error sink."""

from __future__ import annotations

from collections.abc import Sequence

import adbc_driver_manager
import adbc_driver_postgresql.dbapi

from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.source_rows import SourceRows
from transforms.sources.postgres.key_conditions import NoSourceKey, no_source_key, rows_with
from transforms.sources.postgres.partition_reader import read_partition


def read_source_row(
    connection: adbc_driver_postgresql.dbapi.Connection,
    program: LoadProgram,
    source_key: str,
    columns: Sequence[str],
    partition: Partition | None = None,
) -> SourceRows | None:
    """The row of a load's source with that source key, as one batch; None where there is none.

    ``partition`` is where the row was read: its relation is asked, without it all of the
    load in their order. A row that is identified by its place needs it. Raises
    TransfuseError (USER-001) for a text that is no source key of the load, and
    adbc_driver_manager.Error.
    """
    try:
        condition = rows_with(program, [source_key])
    except NoSourceKey:
        raise no_source_key(program, source_key) from None
    if condition is None:
        if partition is None:
            raise no_source_key(program, source_key)
        relation = program.relations[partition.relation]
        rows = read_partition(
            connection, relation, columns, partition, False, program.sorts(relation)
        )
        return rows.only(int(source_key.rpartition(":")[2]))
    positions = range(len(program.relations)) if partition is None else [partition.relation]
    for position in positions:
        wanted = Partition(program.name, "", condition, 1, position)
        try:
            rows = read_partition(
                connection, program.relations[position], columns, wanted, program.with_ctid
            )
        except adbc_driver_manager.Error as error:
            if str(getattr(error, "sqlstate", None) or "").startswith("22"):
                raise no_source_key(program, source_key) from None
            raise
        if len(rows.batch):
            return rows.only(0)
    return None
