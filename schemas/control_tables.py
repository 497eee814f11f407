"""The tables of the control schema: the job, its ledger, the error sink, keys and decisions.

``migration_errors``, ``migration_jobs``, ``migration_partitions``, ``migration_keys`` and
``code_mappings`` are for people to query, and so are ``migration_runs``, ``migration_audit``,
``migration_metrics``, ``migration_alerts`` and ``migration_incidents``. The others record decisions
that a run must not make twice.
"""

from __future__ import annotations

from sqlalchemy import MetaData

from schemas.control_version_tables import (
    add_earlier_findings,
    add_refused_loads,
    add_schema_versions,
)
from schemas.ledger_tables import add_jobs, add_loads, add_partitions
from schemas.map_tables import add_code_mappings, add_maps
from schemas.operation_tables import (
    add_alerts,
    add_audit,
    add_halts,
    add_incidents,
    add_metrics,
    add_runs,
)
from schemas.rejection_tables import (
    add_deferred,
    add_duplicates,
    add_errors,
    add_group_findings,
    add_skipped,
)
from schemas.written_row_tables import (
    add_indexes,
    add_keys,
    add_placeholders,
    add_write_marks,
    add_written_rows,
)


def control_metadata(schema: str | None) -> MetaData:
    """Describes the control tables.

    Args:
        schema: The control schema; None for the connection's default schema.

    Returns:
        A new MetaData with all control tables and their indexes.
    """
    metadata = MetaData(schema=schema)
    for add in (
        add_schema_versions,
        add_jobs,
        add_loads,
        add_partitions,
        add_errors,
        add_keys,
        add_placeholders,
        add_skipped,
        add_duplicates,
        add_group_findings,
        add_indexes,
        add_deferred,
        add_write_marks,
        add_written_rows,
        add_maps,
        add_code_mappings,
        add_refused_loads,
        add_earlier_findings,
        add_runs,
        add_audit,
        add_metrics,
        add_alerts,
        add_incidents,
        add_halts,
    ):
        add(metadata)
    return metadata
