"""Reads single rows of a source again, by their source keys."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timezone

from pipelines.databases.load_compilation import compile_programs
from pipelines.databases.open_databases import Databases, open_databases
from pipelines.ledger.recorded_violation import RecordedViolation
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.root import Specification
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.source_rows import SourceRows
from transforms.references.row_texts import row_texts
from transforms.sources.postgres.key_conditions import partition_in


def read_rejected_row(
    specification: Specification, violation: RecordedViolation
) -> dict[str, str | None] | None:
    """Read the source row of a violation as it is now.

    Args:
        specification: That of the job.
        violation: The violation.

    Returns:
        All columns as text; None if the row is gone.

    Raises:
        TransfuseError: USER-001 if the specification has no such load any more; also as
            ``open_databases`` and ``compile_programs`` raise.
    """
    if violation.load not in specification.tables or violation.source_key is None:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"the source row of violation {violation.id} can't be found",
                f"table {violation.load}",
                "use the specification that the job ran with",
            )
        )
    with open_databases(specification) as databases:
        started_at = datetime.now(timezone.utc).isoformat()
        program = compile_programs(databases, started_at)[violation.load]
        columns = [column.name for column in program.relations[0].columns]
        partition = _read_partition(databases, violation.load, violation.partition_id)
        rows = find_row(databases, program, violation.source_key, columns, partition)
    if rows is None:
        return None
    types = {f"src.{column.name}": column.type for column in program.relations[0].columns}
    texts = row_texts(rows.batch, types, 0)
    return {name.removeprefix("src."): text for name, text in texts.items()}


def find_row(
    databases: Databases,
    program: LoadProgram,
    source_key: str,
    columns: list[str],
    partition: Partition | None = None,
) -> SourceRows | None:
    """Read the source row with a source key.

    Args:
        databases: The open sources and the target.
        program: The compiled load.
        source_key: The key.
        columns: The columns to read.
        partition: As for ``SourceReader.row``.

    Returns:
        The row; None if there is none with this key.
    """
    if partition is None:
        identifier = partition_in(program, source_key)
        if identifier is not None:
            partition = _read_partition(databases, program.name, identifier)
    with closing(databases.sources[program.source].address.open()) as reader:
        return reader.row(program, source_key, columns, partition)


def _read_partition(databases: Databases, load: str, identifier: str) -> Partition | None:
    """A partition of the job; None if the ledger has none with that id."""
    if databases.ledger.job.read() is None:
        return None
    stored = databases.ledger.partitions.read_all()
    return next((p for p in stored if (p.load, p.id) == (load, identifier)), None)
