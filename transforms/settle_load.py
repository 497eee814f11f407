"""SettleLoad: what can only be decided when all partitions of a load are committed.

References of a table to itself, and which violation of a winner is the root cause of its
losers' violations. One transaction for each load, with a mark, so that it happens once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import psycopg
from apache_beam.typehints import with_output_types
from psycopg import sql

from schemas.errors import ErrorCode, TransfuseError
from schemas.messages import message_of
from transforms.connections import cached_connection
from transforms.mapping.program import FieldProgram, LoadProgram, Reference
from transforms.partition_step import retried
from transforms.run_context import RunContext

logger = logging.getLogger("transfuse")


def settle_load(connection: psycopg.Connection[Any], context: RunContext, load: str) -> bool:
    """Settles a load if all its partitions are committed; says whether it is settled."""
    program = context.programs[load]
    with connection.transaction():
        row = connection.execute(
            sql.SQL(
                "SELECT settled, NOT EXISTS (SELECT FROM {} p WHERE p.job_id = l.job_id"
                " AND p.load = l.load AND p.state <> 'done') FROM {} l"
                " WHERE job_id = %s AND load = %s FOR UPDATE"
            ).format(context.table("migration_partitions"), context.table("migration_loads")),
            [context.job, load],
        ).fetchone()
        if row is None or row[0] or not row[1]:
            return row is not None and bool(row[0])
        for field in program.fields:
            if field.reference is not None and field.reference.deferred:
                _Deferred(connection, context, program, field, field.reference).settle()
        if program.finds_duplicates:
            _name_winners(connection, context, load)
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE job_id = %s AND load = %s").format(
                context.table("migration_deferred")
            ),
            [context.job, load],
        )
        connection.execute(
            sql.SQL("UPDATE {} SET settled = true WHERE job_id = %s AND load = %s").format(
                context.table("migration_loads")
            ),
            [context.job, load],
        )
    return True


def _name_winners(connection: psycopg.Connection[Any], context: RunContext, load: str) -> None:
    """A loser whose winner was rejected has the winner's violation as its root cause."""
    connection.execute(
        sql.SQL(
            "UPDATE {errors} e SET root_cause_id = w.id FROM {duplicates} d"
            " CROSS JOIN LATERAL (SELECT min(id) AS id FROM {errors} x WHERE x.job_id = d.job_id"
            "  AND x.load = d.load AND x.source_key = d.winner_key AND NOT x.warning"
            "  AND x.error_code <> 'DATA-004') AS w"
            " WHERE d.job_id = %s AND d.load = %s AND e.job_id = d.job_id AND e.load = d.load"
            " AND e.partition_id = d.partition_id AND e.source_key = d.source_key"
            " AND e.error_code = 'DATA-004' AND e.reason = 'duplicate' AND w.id IS NOT NULL"
        ).format(
            errors=context.table("migration_errors"),
            duplicates=context.table("migration_duplicates"),
        ),
        [context.job, load],
    )


class _Deferred:
    """The references of one field of a load to the table that the load writes."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        context: RunContext,
        program: LoadProgram,
        field: FieldProgram,
        reference: Reference,
    ) -> None:
        self.connection = connection
        self.context = context
        self.program = program
        self.field = field
        self.reference = reference

    def settle(self) -> None:
        """Fills in the references that hold, and treats the others as ``on_missing`` says."""
        self.connection.execute("DROP TABLE IF EXISTS pg_temp.transfuse_open")
        self.connection.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE transfuse_open ON COMMIT DROP AS"
                " SELECT d.partition_id, d.source_key, d.target_key, d.reference,"
                " {parent} AS parent FROM {deferred} d"
                " WHERE d.job_id = {job} AND d.load = {load} AND d.field = {field}"
            ).format(
                parent=self._parent(),
                deferred=self.context.table("migration_deferred"),
                job=sql.Literal(self.context.job),
                load=sql.Literal(self.program.name),
                field=sql.Literal(self.field.name),
            )
        )
        if self.reference.on_missing == "reject":
            while self._reject_orphans():
                pass
        elif self.reference.on_missing == "set_null":
            self._record("parent IS NULL", warning=True, reason="set_null")
        elif self.reference.on_missing == "allow":
            self.connection.execute(
                "UPDATE pg_temp.transfuse_open SET parent = reference WHERE parent IS NULL"
            )
        self.connection.execute(
            sql.SQL(
                "UPDATE {table} t SET {column} = o.parent::{type} FROM pg_temp.transfuse_open o"
                " WHERE o.parent IS NOT NULL AND {same}"
            ).format(
                table=self.program.table.sql,
                column=sql.Identifier(self.field.name),
                type=sql.SQL(self.field.target.sql),
                same=self._same_row(),
            )
        )

    def _parent(self) -> sql.Composable:
        """SQL for the parent's key as text, NULL where it isn't in the target."""
        if self.reference.by_source_key:
            return sql.SQL(
                "(SELECT min(k.target_key) FROM {} k WHERE k.job_id = {}"
                " AND k.load = ANY({}) AND k.source_key = d.reference)"
            ).format(
                self.context.table("migration_keys"),
                sql.Literal(self.context.job),
                sql.Literal(list(self.reference.parents)),
            )
        column = self.program.table.column(self.reference.column)
        assert column is not None
        return sql.SQL(
            "(SELECT d.reference FROM {table} p WHERE p.{column} = d.reference::{type} LIMIT 1)"
        ).format(
            table=self.program.table.sql,
            column=sql.Identifier(column.name),
            type=sql.SQL(column.type.sql),
        )

    def _same_row(self) -> sql.Composable:
        """The row of the target that a deferred reference belongs to."""
        types = self.program.target_columns()
        return sql.SQL(" AND ").join(
            sql.SQL("t.{} = (o.target_key ->> {})::{}").format(
                sql.Identifier(name), sql.Literal(name), sql.SQL(types[name].sql)
            )
            for name in self.program.key
        )

    def _reject_orphans(self) -> int:
        """Takes rows without a parent out of the target again; their own children follow."""
        self._record("parent IS NULL", warning=False, reason="missing_parent")
        removed = self.connection.execute(
            sql.SQL(
                "WITH gone AS (DELETE FROM {table} t USING pg_temp.transfuse_open o"
                " WHERE o.parent IS NULL AND {same} RETURNING o.partition_id, o.source_key),"
                " keys AS (DELETE FROM {keys} k USING gone WHERE k.job_id = {job}"
                "  AND k.load = {load} AND k.source_key = gone.source_key)"
                " SELECT partition_id, count(*), count(DISTINCT source_key) FROM gone"
                " GROUP BY partition_id"
            ).format(
                table=self.program.table.sql,
                same=self._same_row(),
                keys=self.context.table("migration_keys"),
                job=sql.Literal(self.context.job),
                load=sql.Literal(self.program.name),
            )
        ).fetchall()
        for partition, rows, candidates in removed:
            self._recount(partition, rows, candidates)
        self.connection.execute("DELETE FROM pg_temp.transfuse_open WHERE parent IS NULL")
        self.connection.execute(
            sql.SQL("UPDATE pg_temp.transfuse_open d SET parent = {}").format(self._parent())
        )
        return len(removed)

    def _record(self, condition: str, warning: bool, reason: str) -> None:
        """Adds DATA-002 for the open references that meet ``condition``."""
        code = ErrorCode.DATA_002
        rule = f"{self.field.name}.ref"
        by = "source_key" if self.reference.by_source_key else "target_key"
        recorded = self.connection.execute(
            sql.SQL(
                "INSERT INTO {errors} (job_id, error_code, error_type, category, severity,"
                " rule_id, reason, load, source_table, target_table, partition_id, source_key,"
                " target_key, field, message, root_cause_id, warning)"
                " SELECT %(job)s, %(code)s, %(type)s, %(category)s, %(severity)s, %(rule)s,"
                " CASE WHEN c.id IS NULL THEN %(reason)s ELSE 'parent_rejected' END, %(load)s,"
                " %(source)s, %(target)s, o.partition_id, o.source_key,"
                " o.target_key ->> %(key)s, %(field)s, %(message)s, c.id, %(warning)s"
                " FROM pg_temp.transfuse_open o"
                " CROSS JOIN LATERAL (SELECT min(x.id) AS id FROM {errors} x"
                "  WHERE x.job_id = %(job)s AND x.target_table = %(target)s AND NOT x.warning"
                "  AND x.{by} = o.reference AND NOT %(warning)s) AS c"
                " WHERE {condition} ORDER BY o.partition_id, o.source_key RETURNING partition_id"
            ).format(
                errors=self.context.table("migration_errors"),
                by=sql.Identifier(by),
                condition=sql.SQL(condition),
            ),
            {
                "job": self.context.job,
                "code": code.value,
                "type": code.error_type,
                "category": code.category.value,
                "severity": code.severity.label,
                "rule": rule,
                "reason": reason,
                "load": self.program.name,
                "source": self.program.source_name,
                "target": str(self.program.table),
                "key": self.program.key[0],
                "field": self.field.name,
                "message": message_of(code.value, rule, self.field.name, reason),
                "warning": warning,
            },
        ).fetchall()
        column = "warnings" if warning else "violations"
        counts: dict[str, int] = {}
        for (partition,) in recorded:
            counts[partition] = counts.get(partition, 0) + 1
        for partition, count in counts.items():
            self._add(partition, column, code, count)

    def _add(self, partition: str, column: str, code: ErrorCode, count: int) -> None:
        self.connection.execute(
            sql.SQL(
                "UPDATE {} SET {column} = {column} || jsonb_build_object(%(code)s::text,"
                " coalesce(({column} ->> %(code)s)::int8, 0) + %(count)s)"
                " WHERE job_id = %(job)s AND load = %(load)s AND partition_id = %(id)s"
            ).format(self.context.table("migration_partitions"), column=sql.Identifier(column)),
            {
                "code": code.value,
                "count": count,
                "job": self.context.job,
                "load": self.program.name,
                "id": partition,
            },
        )

    def _recount(self, partition: str, rows: int, candidates: int) -> None:
        self.connection.execute(
            sql.SQL(
                "UPDATE {} SET accepted = accepted - %(candidates)s,"
                " rejected = rejected + %(candidates)s, written = written - %(rows)s,"
                " inserted = inserted - %(rows)s, expanded = expanded - (%(rows)s - %(candidates)s)"
                " WHERE job_id = %(job)s AND load = %(load)s AND partition_id = %(id)s"
            ).format(self.context.table("migration_partitions")),
            {
                "candidates": candidates,
                "rows": rows,
                "job": self.context.job,
                "load": self.program.name,
                "id": partition,
            },
        )
        self._add(partition, "rejected_by", ErrorCode.DATA_002, candidates)


@with_output_types(str)
class _SettleLoad(beam.DoFn):
    def __init__(self, context: RunContext) -> None:
        super().__init__()
        self.context = context

    def process(self, element: str) -> Iterator[str]:
        try:
            settled = retried(
                self.context,
                lambda: settle_load(cached_connection(self.context.target), self.context, element),
            )
        except (psycopg.Error, TransfuseError) as error:
            # The load stays unsettled, so the run ends incomplete and the next one settles it.
            logger.error("%s couldn't be settled (%s)", element, type(error).__name__)
            settled = False
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
