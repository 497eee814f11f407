"""References of a table to itself, settled when all of its rows are there."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from schemas.errors import ErrorCode
from schemas.messages import message_of
from transforms.mapping.program import FieldProgram, LoadProgram
from transforms.run_context import RunContext

_OPEN = sql.SQL("pg_temp.transfuse_open")


class DeferredReferences:
    """The stored references of one field of a load; all of it in the caller's transaction.

    Rows whose reference doesn't hold are treated as the field's ``on_missing`` and
    ``on_skipped`` say. Taking one out of the target can orphan others, so that is repeated
    until nothing changes. Rows that had been rejected before are checked as well.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        context: RunContext,
        program: LoadProgram,
        field: FieldProgram,
    ) -> None:
        assert field.reference is not None
        self.connection = connection
        self.program = program
        self.field = field
        self.reference = field.reference
        self.rule = f"{field.name}.ref"
        self.parts: dict[str, sql.Composable] = {
            "open": _OPEN,
            "table": program.table.sql,
            "same": self._same_row(),
            "by": sql.Identifier("source_key" if self.reference.by_source_key else "target_key"),
            **{
                name: context.table(f"migration_{name}")
                for name in ("deferred", "errors", "keys", "partitions", "skipped")
            },
        }
        self.parts = {name: _verbatim(part) for name, part in self.parts.items()}
        self.values: dict[str, Any] = {
            "job": context.job,
            "load": program.name,
            "field": field.name,
            "parents": list(self.reference.parents),
            "target": str(program.table),
            "rule": self.rule,
        }

    def settle(self) -> None:
        """Fills in the references that hold, and deals with those that don't."""
        self._execute("DROP TABLE IF EXISTS {open}")
        self._execute(
            "CREATE TEMPORARY TABLE transfuse_open ON COMMIT DROP AS SELECT partition_id,"
            " source_key, target_key, reference, written, NULL::text AS parent,"
            " false AS skipped FROM {deferred}"
            " WHERE job_id = %(job)s AND load = %(load)s AND field = %(field)s"
        )
        while self._look_up():
            pass
        if self.reference.on_missing == "set_null":
            self._record("o.parent IS NULL", "set_null", warning=True)
        elif self.reference.on_missing == "allow":
            self._execute("UPDATE {open} SET parent = reference WHERE parent IS NULL")
        self._execute(
            "UPDATE {table} t SET {column} = o.parent::{type} FROM {open} o"
            " WHERE o.parent IS NOT NULL AND o.written AND {same}",
            column=_verbatim(sql.Identifier(self.field.name)),
            type=_verbatim(sql.SQL(self.field.target.sql)),
        )

    def _look_up(self) -> bool:
        """Finds the parents; says whether rows were taken out, so that it must be done again."""
        self._execute("UPDATE {open} o SET parent = {parent}", parent=self._parent())
        if self.reference.on_skipped != "as_missing":
            self._execute(
                "UPDATE {open} o SET skipped = EXISTS (SELECT FROM {skipped} s"
                " WHERE s.job_id = %(job)s AND s.load = ANY(%(parents)s) AND s.{by} = o.reference)"
                " WHERE parent IS NULL"
            )
        removed = 0
        if self.reference.on_skipped == "skip":
            removed += self._skip()
        elif self.reference.on_skipped == "reject":
            removed += self._reject("o.parent IS NULL AND o.skipped", "parent_skipped")
        if self.reference.on_missing == "reject":
            removed += self._reject("o.parent IS NULL AND NOT o.skipped", "missing_parent")
        return removed > 0

    def _parent(self) -> sql.Composable:
        """SQL for the parent's key as text, NULL where it isn't in the target."""
        if self.reference.by_source_key:
            return sql.SQL(
                "(SELECT min(k.target_key) FROM {keys} k WHERE k.job_id = %(job)s"
                " AND k.load = ANY(%(parents)s) AND k.source_key = o.reference)"
            ).format(**self.parts)
        column = self.program.table.column(self.reference.column)
        assert column is not None
        return sql.SQL(
            "(SELECT o.reference FROM {table} p WHERE p.{column} = o.reference::{type} LIMIT 1)"
        ).format(
            **self.parts,
            column=_verbatim(sql.Identifier(column.name)),
            type=_verbatim(sql.SQL(column.type.sql)),
        )

    def _same_row(self) -> sql.Composable:
        """The row ``t`` of the target that the open reference ``o`` belongs to."""
        types = self.program.target_columns()
        return sql.SQL(" AND ").join(
            sql.SQL("t.{} = (o.target_key ->> {})::{}").format(
                sql.Identifier(name), sql.Literal(name), sql.SQL(types[name].sql)
            )
            for name in self.program.key
        )

    # -- rows whose reference doesn't hold --------------------------------------------------------

    def _reject(self, condition: str, reason: str) -> int:
        """Rejects the rows that meet ``condition``; gives how many stood in the target."""
        self._record(condition, reason)
        gone = self._take_out(condition)
        for partition, (rows, candidates) in gone.items():
            self._recount(
                partition, accepted=-candidates, rejected=candidates, written=-rows, inserted=-rows,
                expanded=candidates - rows,
            )  # fmt: skip
            self._add(partition, "rejected_by", {ErrorCode.DATA_002.value: candidates})
        self._close(condition)
        return len(gone)

    def _skip(self) -> int:
        """Skips the rows whose parent was skipped, also those that had been rejected."""
        condition = "o.parent IS NULL AND o.skipped"
        self._execute(
            "INSERT INTO {skipped} (job_id, load, partition_id, source_key, target_key)"
            " SELECT %(job)s, %(load)s, o.partition_id, o.source_key, o.target_key ->> %(key)s"
            f" FROM {{open}} o WHERE {condition}",
            {"key": self.program.key[0]},
        )
        gone = self._take_out(condition)
        for partition, (rows, candidates) in gone.items():
            self._recount(
                partition, accepted=-candidates, skipped=candidates, written=-rows, inserted=-rows,
                expanded=candidates - rows,
            )  # fmt: skip
            self._add(partition, "skipped_by", {self.rule: candidates})
        forgiven = self._forgive(condition)
        self._close(condition)
        return len(gone) + forgiven

    def _take_out(self, condition: str) -> dict[str, tuple[int, int]]:
        """Deletes rows from the target: rows and candidates by partition."""
        rows = self._execute(
            "WITH gone AS (DELETE FROM {table} t USING {open} o"
            f" WHERE {condition}"
            " AND o.written AND {same} RETURNING o.partition_id, o.source_key),"
            " keys AS (DELETE FROM {keys} k USING gone WHERE k.job_id = %(job)s"
            "  AND k.load = %(load)s AND k.source_key = gone.source_key)"
            " SELECT partition_id, count(*), count(DISTINCT source_key) FROM gone"
            " GROUP BY partition_id"
        ).fetchall()
        return {partition: (count, candidates) for partition, count, candidates in rows}

    def _forgive(self, condition: str) -> int:
        """Drops the violations of rejected rows that turn out to be skipped."""
        dropped = self._execute(
            "DELETE FROM {errors} e USING {open} o"
            " WHERE e.job_id = %(job)s AND e.load = %(load)s AND NOT o.written"
            " AND e.partition_id = o.partition_id AND e.source_key = o.source_key"
            f" AND {condition}"
            " RETURNING e.partition_id, e.source_key, e.error_code, e.warning"
        ).fetchall()
        for partition in {row[0] for row in dropped}:
            found = [row for row in dropped if row[0] == partition]
            rejecting = [row for row in found if not row[3]]
            rows = {row[1] for row in rejecting}
            self._recount(partition, rejected=-len(rows), skipped=len(rows))
            self._add(partition, "skipped_by", {self.rule: len(rows)})
            self._add(partition, "violations", _minus(Counter(row[2] for row in rejecting)))
            self._add(partition, "warnings", _minus(Counter(row[2] for row in found if row[3])))
            by_row = Counter(code for _, code in {(row[1], row[2]) for row in rejecting})
            self._add(partition, "rejected_by", _minus(by_row))
        return len(dropped)

    def _close(self, condition: str) -> None:
        self._execute(f"DELETE FROM {{open}} o WHERE {condition}")

    def _record(self, condition: str, reason: str, warning: bool = False) -> None:
        """Adds DATA-002 for the open references that meet ``condition``."""
        code = ErrorCode.DATA_002
        recorded = self._execute(
            "INSERT INTO {errors} (job_id, error_code, error_type, category, severity,"
            " rule_id, reason, load, source_table, target_table, partition_id, source_key,"
            " target_key, field, message, root_cause_id, warning)"
            " SELECT %(job)s, %(code)s, %(type)s, %(category)s, %(severity)s, %(rule)s,"
            " CASE WHEN c.id IS NULL THEN %(reason)s ELSE 'parent_rejected' END, %(load)s,"
            " %(source)s, %(target)s, o.partition_id, o.source_key,"
            " o.target_key ->> %(key)s, %(field)s,"
            " CASE WHEN c.id IS NULL THEN %(message)s ELSE %(because)s END, c.id, %(warning)s"
            " FROM {open} o CROSS JOIN LATERAL (SELECT min(x.id) AS id FROM {errors} x"
            "  WHERE x.job_id = %(job)s AND x.target_table = %(target)s AND NOT x.warning"
            "  AND x.{by} = o.reference AND %(reason)s = 'missing_parent') AS c"
            f" WHERE {condition} ORDER BY o.partition_id, o.source_key RETURNING partition_id",
            {
                "code": code.value,
                "type": code.error_type,
                "category": code.category.value,
                "severity": code.severity.label,
                "reason": reason,
                "source": self.program.source_name,
                "key": self.program.key[0],
                "message": message_of(code.value, self.rule, self.field.name, reason),
                "because": message_of(code.value, self.rule, self.field.name, "parent_rejected"),
                "warning": warning,
            },
        ).fetchall()
        column = "warnings" if warning else "violations"
        for partition, count in Counter(row[0] for row in recorded).items():
            self._add(partition, column, {code.value: count})

    # -- the ledger ------------------------------------------------------------------------------

    def _add(self, partition: str, column: str, counts: dict[str, int]) -> None:
        """Adds to the counts by name of a partition's ledger row; what becomes 0 goes."""
        row = self._execute(
            "SELECT {column} FROM {partitions} WHERE job_id = %(job)s AND load = %(load)s"
            " AND partition_id = %(id)s",
            {"id": partition},
            column=sql.Identifier(column),
        ).fetchone()
        assert row is not None
        total = Counter(row[0])
        total.update(counts)
        self._execute(
            "UPDATE {partitions} SET {column} = %(counts)s WHERE job_id = %(job)s"
            " AND load = %(load)s AND partition_id = %(id)s",
            {"id": partition, "counts": Jsonb({n: c for n, c in total.items() if c})},
            column=sql.Identifier(column),
        )

    def _recount(self, partition: str, **changes: int) -> None:
        """Changes counts of a partition's ledger row."""
        assignments = sql.SQL(", ").join(
            sql.SQL("{name} = {name} + {change}").format(
                name=sql.Identifier(name), change=sql.Literal(change)
            )
            for name, change in changes.items()
        )
        self._execute(
            "UPDATE {partitions} SET {assignments} WHERE job_id = %(job)s AND load = %(load)s"
            " AND partition_id = %(id)s",
            {"id": partition},
            assignments=assignments,
        )

    def _execute(
        self, statement: str, values: dict[str, Any] | None = None, **parts: sql.Composable
    ) -> psycopg.Cursor[Any]:
        composed = sql.SQL(statement).format(**{**self.parts, **parts})
        return self.connection.execute(composed, {**self.values, **(values or {})})


def _verbatim(part: sql.Composable) -> sql.Composable:
    """A part of a statement with parameters, in which a percent sign is written twice."""
    return sql.SQL(part.as_string().replace("%", "%%"))


def _minus(counts: Counter[str]) -> dict[str, int]:
    return {name: -count for name, count in counts.items()}
