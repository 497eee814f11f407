"""The references that a load left open, and what becomes of rows whose reference doesn't hold."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from schemas.violations import Violation
from transforms.ledger.worker_ledger import WorkerLedger
from transforms.ledger.write_marks import WrittenAs
from transforms.model.program import LoadProgram
from transforms.references.deferred_violations import insert_violations, values_of
from transforms.target_rows.scratch_tables import ScratchTables


class OpenReferences:
    """The table ``open``: one row for each open reference of a load.

    Columns: field, partition_id, source_key, target_key (json, the row's key as texts),
    reference, written (whether the row is in the target), parent (its key, as text),
    skipped (whether the parent was), _ordinal (int4, which candidate). A ``condition`` is SQL on
    it, called ``o``; all of it in the caller's transaction.
    """

    def __init__(self, ledger: WorkerLedger, program: LoadProgram) -> None:
        connection, context = ledger.connection, ledger.context
        self.ledger = ledger
        self.connection = connection
        self.program = program
        self.tables = [of.table for of in context.programs.values()]
        self.marks = ledger.written_rows.new_marks(
            program.name, "", program.table, WrittenAs.REFERENCES
        )
        self.scratch = ScratchTables(connection, context.control_schema)
        self.plain: dict[str, sql.Composable] = {
            **{name: self.scratch.name(name) for name in ("open", "fallen", "found", "filled")},
            "table": program.table.sql,
            "same": self._same_row(),
            **{
                name: ledger.session.table(f"migration_{name}")
                for name in ("deferred", "errors", "keys", "partitions", "skipped")
            },
        }
        self.parts = {name: verbatim(part) for name, part in self.plain.items()}
        self.values: dict[str, Any] = {
            "job": context.job,
            "load": program.name,
            "target": str(program.table),
            "key": program.key[0],
        }
        self.make(
            "open",
            "SELECT field, partition_id, source_key, target_key, reference, written,"
            " NULL::text AS parent, false AS skipped,"
            " (dense_rank() OVER (ORDER BY partition_id, source_key))::int4 AS _ordinal"
            " FROM {deferred} WHERE job_id = %(job)s AND load = %(load)s",
        )

    def execute(
        self, statement: str, values: dict[str, Any] | None = None, **parts: sql.Composable
    ) -> psycopg.Cursor[Any]:
        """Runs a statement in which the parts and values of the load can be named."""
        composed = sql.SQL(statement).format(**{**self.parts, **parts})
        return self.connection.execute(composed, {**self.values, **(values or {})})

    def make(self, name: str, query: str, values: dict[str, Any] | None = None) -> int:
        """Makes the part ``name``, a table, of what ``query`` gives; its number of rows."""
        composed = sql.SQL(query).format(**self.parts)
        return self.scratch.make(name, composed, {**self.values, **(values or {})})

    def close(self) -> None:
        """Drops the tables that were made."""
        self.scratch.close()

    def skip(self, rule: str, condition: str, values: dict[str, Any]) -> bool:
        """Skips the rows, also those that had been rejected; says whether there were any."""
        if not self._fall(condition, values):
            return False
        self.execute(
            "INSERT INTO {skipped} (job_id, load, partition_id, source_key, target_key)"
            " SELECT DISTINCT ON (partition_id, source_key) %(job)s, %(load)s, partition_id,"
            " source_key, target_key ->> %(key)s FROM {fallen}"
            " ORDER BY partition_id, source_key, target_key::text"
        )
        for partition, (rows, candidates) in self._take_out().items():
            self._recount(
                partition, accepted=-candidates, skipped=candidates, written=-rows, inserted=-rows,
                expanded=candidates - rows,
            )  # fmt: skip
            self._add(partition, "skipped_by", {rule: candidates})
        self._forgive(rule)
        self.execute(
            "DELETE FROM {open} o USING {fallen} f"
            " WHERE f.partition_id = o.partition_id AND f.source_key = o.source_key"
        )
        return True

    def reject(
        self,
        violation: Violation,
        condition: str,
        values: dict[str, Any],
        cause: sql.Composable | None = None,
    ) -> bool:
        """Rejects the rows; says whether any of them had been written.

        ``cause`` as in ``record``.
        """
        if not self._fall(condition, values):
            return False
        self.record(violation, condition, values, cause)
        gone = self._take_out()
        for partition, (rows, candidates) in gone.items():
            self._recount(
                partition, accepted=-candidates, rejected=candidates, written=-rows, inserted=-rows,
                expanded=candidates - rows,
            )  # fmt: skip
        code = violation.code.value
        by_row = Counter(
            partition
            for (partition,) in self.execute(
                "SELECT f.partition_id FROM"
                " (SELECT DISTINCT partition_id, source_key FROM {fallen}) AS f"
                " WHERE 1 = (SELECT count(*) FROM {errors} x WHERE x.referenced"
                " AND x.job_id = %(job)s AND x.load = %(load)s AND x.partition_id = f.partition_id"
                " AND x.source_key = f.source_key AND x.error_code = %(code)s AND NOT x.warning"
                " AND x.status <> 'replayed')",
                {"code": code},
            ).fetchall()
        )
        for partition, count in by_row.items():
            self._add(partition, "rejected_by", {code: count})
        self.execute(
            "UPDATE {open} o SET written = false FROM {fallen} f"
            " WHERE f.partition_id = o.partition_id AND f.source_key = o.source_key"
        )
        return bool(gone)

    def forget(self, condition: str, values: dict[str, Any]) -> None:
        """Forgets the references that meet ``condition``."""
        self.execute(f"DELETE FROM {{open}} o WHERE {condition}", values)

    def record(
        self,
        violation: Violation,
        condition: str,
        values: dict[str, Any],
        cause: sql.Composable | None = None,
    ) -> None:
        """Adds a violation for each row with a reference that meets a condition.

        Args:
            violation: the violation.
            condition: SQL on the open references, called ``o``.
            values: those of the condition's parameters.
            cause: picks the violations, called ``x``, that a row's follows from; where there is
                any, its reason is that the parent was rejected.
        """
        recorded = self.execute(
            insert_violations(condition),
            {**values, **values_of(violation), "source": self.program.source_name},
            cause=cause or sql.SQL("false"),
        ).fetchall()
        column = "warnings" if violation.warning else "violations"
        for partition, count in Counter(row[0] for row in recorded).items():
            self._add(partition, column, {violation.code.value: count})

    def _same_row(self) -> sql.Composable:
        """The row ``t`` of the target that the open reference ``o`` belongs to."""
        types = self.program.target_columns()
        return sql.SQL(" AND ").join(
            sql.SQL("t.{} = (o.target_key ->> {})::{}").format(
                sql.Identifier(name), sql.Literal(name), sql.SQL(types[name].sql)
            )
            for name in self.program.key
        )

    def _fall(self, condition: str, values: dict[str, Any]) -> bool:
        """Notes the rows of the references that meet ``condition``; whether any do."""
        columns = "partition_id, source_key, target_key, written"
        query = f"SELECT DISTINCT {columns} FROM {{open}} o WHERE {condition}"
        return self.make("fallen", query, values) > 0

    def _take_out(self) -> dict[str, tuple[int, int]]:
        """Deletes the fallen rows from the target: rows and candidates by partition."""
        rows = self.execute(
            "WITH gone AS (DELETE FROM {table} t USING {fallen} o"
            " WHERE o.written AND {same} RETURNING o.partition_id, o.source_key),"
            " keys AS (DELETE FROM {keys} k USING gone WHERE k.job_id = %(job)s"
            "  AND k.load = %(load)s AND k.source_key = gone.source_key),"
            # A replay may have written it: nobody holds its key now.
            " freed AS (UPDATE {errors} e SET written_keys = NULL FROM gone WHERE e.referenced"
            "  AND e.job_id = %(job)s AND e.load = %(load)s AND e.written_keys IS NOT NULL"
            "  AND e.partition_id = gone.partition_id AND e.source_key = gone.source_key)"
            " SELECT partition_id, count(*), count(DISTINCT source_key) FROM gone"
            " GROUP BY partition_id"
        ).fetchall()
        return {partition: (count, candidates) for partition, count, candidates in rows}

    def _forgive(self, rule: str) -> None:
        """Drops the violations of rows that turn out to be skipped."""
        dropped = self.execute(
            "DELETE FROM {errors} e USING (SELECT DISTINCT partition_id, source_key"
            "  FROM {fallen}) AS f"
            " WHERE e.referenced AND e.job_id = %(job)s AND e.load = %(load)s"
            " AND e.partition_id = f.partition_id AND e.source_key = f.source_key"
            " AND e.status = 'open'"
            " RETURNING e.partition_id, e.source_key, e.error_code, e.warning"
        ).fetchall()
        for partition in {row[0] for row in dropped}:
            violations = [row for row in dropped if row[0] == partition]
            rejecting = [row for row in violations if not row[3]]
            warnings = [row[2] for row in violations if row[3]]
            rows = {row[1] for row in rejecting}
            self._recount(partition, rejected=-len(rows), skipped=len(rows))
            self._add(partition, "skipped_by", {rule: len(rows)})
            self._add(partition, "violations", _minus(Counter(row[2] for row in rejecting)))
            self._add(partition, "warnings", _minus(Counter(warnings)))
            by_row = Counter(code for _, code in {(row[1], row[2]) for row in rejecting})
            self._add(partition, "rejected_by", _minus(by_row))

    # -- the ledger ------------------------------------------------------------------------------

    def _add(self, partition: str, column: str, counts: dict[str, int]) -> None:
        """Adds to the counts by name of a partition's ledger row; what becomes 0 goes."""
        row = self.execute(
            "SELECT {column} FROM {partitions} WHERE job_id = %(job)s AND load = %(load)s"
            " AND partition_id = %(id)s",
            {"id": partition},
            column=sql.Identifier(column),
        ).fetchone()
        assert row is not None
        total = Counter(row[0])
        total.update(counts)
        self.execute(
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
        self.execute(
            "UPDATE {partitions} SET {assignments} WHERE job_id = %(job)s AND load = %(load)s"
            " AND partition_id = %(id)s",
            {"id": partition},
            assignments=assignments,
        )


def verbatim(part: sql.Composable) -> sql.Composable:
    """A part of a statement with parameters, in which a percent sign is written twice."""
    return sql.SQL(part.as_string().replace("%", "%%"))


def _minus(counts: Counter[str]) -> dict[str, int]:
    return {name: -count for name, count in counts.items()}
