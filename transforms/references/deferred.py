"""References of a table to itself, settled when all of its rows are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from schemas.errors import ErrorCode
from schemas.messages import message_of
from transforms.mapping.program import FieldProgram, LoadProgram, Reference
from transforms.run_context import RunContext

_OPEN = sql.SQL("pg_temp.transfuse_open")
_FALLEN = sql.SQL("pg_temp.transfuse_fallen")


class DeferredReferences:
    """The stored references of a load to its own table; all of it in the caller's transaction.

    Rows whose reference doesn't hold are treated as the field's ``on_missing`` and
    ``on_skipped`` say. Taking one out of the target can orphan others by any of the fields,
    so that is repeated until nothing changes. Rows that had been rejected before are checked
    as well.

    What is skipped is settled first: it depends on skipped parents alone, and a row of which
    a parent was skipped is skipped whatever else is wrong with it.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        context: RunContext,
        program: LoadProgram,
        fields: Sequence[FieldProgram],
    ) -> None:
        self.connection = connection
        self.program = program
        self.fields = [(f, f.reference) for f in fields if f.reference is not None]
        self.parts: dict[str, sql.Composable] = {
            "open": _OPEN,
            "fallen": _FALLEN,
            "table": program.table.sql,
            "same": self._same_row(),
            **{
                name: context.table(f"migration_{name}")
                for name in ("deferred", "errors", "keys", "partitions", "skipped")
            },
        }
        self.parts = {name: _verbatim(part) for name, part in self.parts.items()}
        self.values: dict[str, Any] = {
            "job": context.job,
            "load": program.name,
            "target": str(program.table),
            "key": program.key[0],
        }

    def settle(self) -> None:
        """Fills in the references that hold, and deals with those that don't."""
        self._execute("DROP TABLE IF EXISTS {open}")
        self._execute(
            "CREATE TEMPORARY TABLE transfuse_open ON COMMIT DROP AS SELECT field, partition_id,"
            " source_key, target_key, reference, written, NULL::text AS parent,"
            " false AS skipped FROM {deferred} WHERE job_id = %(job)s AND load = %(load)s"
        )
        skipping = [f for f in self.fields if f[1].on_skipped == "skip"]
        while sum(self._skip(*field) for field in skipping):
            pass
        while sum(self._reject(*field) for field in self.fields):
            pass
        for field, reference in self.fields:
            self._look_up(field, reference)
            if reference.on_missing == "set_null":
                self._record(field, reference, "o.parent IS NULL", "set_null", warning=True)
            elif reference.on_missing == "allow" and not reference.by_source_key:
                self._execute(
                    "UPDATE {open} SET parent = reference WHERE field = %(field)s",
                    {"field": field.name},
                )
            self._execute(
                "UPDATE {table} t SET {column} = o.parent::{type} FROM {open} o"
                " WHERE o.field = %(field)s AND o.parent IS NOT NULL AND o.written AND {same}",
                {"field": field.name},
                column=_verbatim(sql.Identifier(field.name)),
                type=_verbatim(sql.SQL(field.target.sql)),
            )

    # -- parents ---------------------------------------------------------------------------------

    def _look_up(self, field: FieldProgram, reference: Reference) -> None:
        """Finds the parents of a field's references, and which of the absent ones were skipped.

        A key that one candidate was skipped with and another rejected belongs to the rejected
        one, which names the cause.
        """
        self._execute(
            "UPDATE {open} o SET parent = {parent} WHERE o.field = %(field)s",
            {"field": field.name},
            parent=self._parent(reference),
        )
        if reference.on_skipped == "as_missing":
            return
        self._execute(
            "UPDATE {open} o SET skipped = EXISTS (SELECT FROM {skipped} s"
            "  WHERE s.job_id = %(job)s AND s.load = ANY(%(parents)s) AND s.{by} = o.reference)"
            " AND NOT EXISTS (SELECT FROM {errors} x WHERE {rejected})"
            " WHERE o.field = %(field)s AND o.parent IS NULL",
            {"field": field.name, "parents": list(reference.parents)},
            by=_by(reference),
            rejected=self._rejected(reference),
        )

    def _parent(self, reference: Reference) -> sql.Composable:
        """SQL for the parent's key as text, NULL where it isn't in the target."""
        if reference.by_source_key:
            return sql.SQL(
                "(SELECT CASE WHEN min(k.target_key) = max(k.target_key)"
                " THEN min(k.target_key) END FROM {keys} k WHERE k.job_id = %(job)s"
                " AND k.load = ANY({parents}) AND k.source_key = o.reference)"
            ).format(**self.parts, parents=_texts(reference.parents))
        column = self.program.table.column(reference.column)
        assert column is not None
        return sql.SQL(
            "(SELECT p.{column}::text FROM {table} p"
            " WHERE p.{column} = o.reference::{type} LIMIT 1)"
        ).format(
            **self.parts,
            column=_verbatim(sql.Identifier(column.name)),
            type=_verbatim(sql.SQL(column.type.sql)),
        )

    def _rejected(self, reference: Reference) -> sql.Composable:
        """The condition that the violation ``x`` kept the parent of ``o`` out of the target."""
        among: sql.Composable = sql.SQL("x.target_table = %(target)s")
        if reference.by_source_key:
            # Other loads into the table have source keys of their own.
            among = sql.SQL("x.load = ANY({})").format(_texts(reference.parents))
        return sql.SQL(
            "x.referenced AND x.job_id = %(job)s AND {} AND x.{} = o.reference AND NOT x.warning"
        ).format(among, _by(reference))

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

    def _skip(self, field: FieldProgram, reference: Reference) -> bool:
        """Skips the rows whose parent was skipped, also those that had been rejected."""
        self._look_up(field, reference)
        condition = "o.parent IS NULL AND o.skipped"
        if not self._fall(field, condition):
            return False
        self._execute(
            "INSERT INTO {skipped} (job_id, load, partition_id, source_key, target_key)"
            " SELECT DISTINCT ON (partition_id, source_key) %(job)s, %(load)s, partition_id,"
            " source_key, target_key ->> %(key)s FROM {fallen}"
            " ORDER BY partition_id, source_key, target_key::text"
        )
        rule = f"{field.name}.ref"
        for partition, (rows, candidates) in self._take_out().items():
            self._recount(
                partition, accepted=-candidates, skipped=candidates, written=-rows, inserted=-rows,
                expanded=candidates - rows,
            )  # fmt: skip
            self._add(partition, "skipped_by", {rule: candidates})
        self._forgive(rule)
        self._close(field, condition)
        self._execute(
            "DELETE FROM {open} o USING {fallen} f"
            " WHERE f.partition_id = o.partition_id AND f.source_key = o.source_key"
        )
        return True

    def _reject(self, field: FieldProgram, reference: Reference) -> bool:
        """Rejects the rows whose parent isn't there; says whether any of them had been written."""
        self._look_up(field, reference)
        gone = 0
        if reference.on_skipped == "reject":
            condition = "o.parent IS NULL AND o.skipped"
            gone += self._reject_those(field, reference, condition, "parent_skipped")
        if reference.on_missing == "reject":
            condition = "o.parent IS NULL AND NOT o.skipped"
            gone += self._reject_those(field, reference, condition, "missing_parent")
        return gone > 0

    def _reject_those(
        self, field: FieldProgram, reference: Reference, condition: str, reason: str
    ) -> int:
        if not self._fall(field, condition):
            return 0
        self._record(field, reference, condition, reason)
        gone = self._take_out()
        for partition, (rows, candidates) in gone.items():
            self._recount(
                partition, accepted=-candidates, rejected=candidates, written=-rows, inserted=-rows,
                expanded=candidates - rows,
            )  # fmt: skip
        by_row = Counter(
            partition
            for (partition,) in self._execute(
                "SELECT f.partition_id FROM"
                " (SELECT DISTINCT partition_id, source_key FROM {fallen}) AS f"
                " WHERE 1 = (SELECT count(*) FROM {errors} x WHERE x.referenced"
                " AND x.job_id = %(job)s AND x.load = %(load)s AND x.partition_id = f.partition_id"
                " AND x.source_key = f.source_key AND x.error_code = %(code)s AND NOT x.warning)",
                {"code": ErrorCode.DATA_002.value},
            ).fetchall()
        )
        for partition, count in by_row.items():
            self._add(partition, "rejected_by", {ErrorCode.DATA_002.value: count})
        self._close(field, condition)
        self._execute(
            "UPDATE {open} o SET written = false FROM {fallen} f"
            " WHERE f.partition_id = o.partition_id AND f.source_key = o.source_key"
        )
        return len(gone)

    def _fall(self, field: FieldProgram, condition: str) -> bool:
        """Notes the rows of the field's open references that meet ``condition``; whether any do."""
        self._execute("DROP TABLE IF EXISTS {fallen}")
        made = self._execute(
            "CREATE TEMPORARY TABLE transfuse_fallen ON COMMIT DROP AS SELECT DISTINCT"
            " partition_id, source_key, target_key, written FROM {open} o"
            f" WHERE o.field = %(field)s AND {condition}",
            {"field": field.name},
        )
        return made.rowcount > 0

    def _close(self, field: FieldProgram, condition: str) -> None:
        self._execute(
            f"DELETE FROM {{open}} o WHERE o.field = %(field)s AND {condition}",
            {"field": field.name},
        )

    def _take_out(self) -> dict[str, tuple[int, int]]:
        """Deletes the fallen rows from the target: rows and candidates by partition."""
        rows = self._execute(
            "WITH gone AS (DELETE FROM {table} t USING {fallen} o"
            " WHERE o.written AND {same} RETURNING o.partition_id, o.source_key),"
            " keys AS (DELETE FROM {keys} k USING gone WHERE k.job_id = %(job)s"
            "  AND k.load = %(load)s AND k.source_key = gone.source_key)"
            " SELECT partition_id, count(*), count(DISTINCT source_key) FROM gone"
            " GROUP BY partition_id"
        ).fetchall()
        return {partition: (count, candidates) for partition, count, candidates in rows}

    def _forgive(self, rule: str) -> None:
        """Drops the violations of rows that turn out to be skipped."""
        dropped = self._execute(
            "DELETE FROM {errors} e USING (SELECT DISTINCT partition_id, source_key"
            "  FROM {fallen}) AS f"
            " WHERE e.referenced AND e.job_id = %(job)s AND e.load = %(load)s"
            " AND e.partition_id = f.partition_id AND e.source_key = f.source_key"
            " RETURNING e.partition_id, e.source_key, e.error_code, e.warning"
        ).fetchall()
        for partition in {row[0] for row in dropped}:
            found = [row for row in dropped if row[0] == partition]
            rejecting = [row for row in found if not row[3]]
            rows = {row[1] for row in rejecting}
            self._recount(partition, rejected=-len(rows), skipped=len(rows))
            self._add(partition, "skipped_by", {rule: len(rows)})
            self._add(partition, "violations", _minus(Counter(row[2] for row in rejecting)))
            self._add(partition, "warnings", _minus(Counter(row[2] for row in found if row[3])))
            by_row = Counter(code for _, code in {(row[1], row[2]) for row in rejecting})
            self._add(partition, "rejected_by", _minus(by_row))

    def _record(
        self,
        field: FieldProgram,
        reference: Reference,
        condition: str,
        reason: str,
        warning: bool = False,
    ) -> None:
        """Adds DATA-002, once a row, for the field's open references that meet ``condition``."""
        code = ErrorCode.DATA_002
        rule = f"{field.name}.ref"
        recorded = self._execute(
            "INSERT INTO {errors} (job_id, error_code, error_type, category, severity,"
            " rule_id, reason, load, source_table, target_table, partition_id, source_key,"
            " target_key, field, message, root_cause_id, warning, referenced)"
            " SELECT DISTINCT ON (o.partition_id, o.source_key)"
            " %(job)s, %(code)s, %(type)s, %(category)s, %(severity)s, %(rule)s,"
            " CASE WHEN c.id IS NULL THEN %(reason)s ELSE 'parent_rejected' END, %(load)s,"
            " %(source)s, %(target)s, o.partition_id, o.source_key,"
            " o.target_key ->> %(key)s, %(field)s,"
            " CASE WHEN c.id IS NULL THEN %(message)s ELSE %(because)s END, c.id, %(warning)s, true"
            " FROM {open} o CROSS JOIN LATERAL (SELECT min(x.id) AS id FROM {errors} x"
            "  WHERE {rejected} AND %(reason)s = 'missing_parent') AS c"
            f" WHERE o.field = %(field)s AND {condition} ORDER BY o.partition_id, o.source_key"
            " RETURNING partition_id",
            {
                "code": code.value,
                "type": code.error_type,
                "category": code.category.value,
                "severity": code.severity.label,
                "rule": rule,
                "field": field.name,
                "reason": reason,
                "source": self.program.source_name,
                "message": message_of(code.value, rule, field.name, reason),
                "because": message_of(code.value, rule, field.name, "parent_rejected"),
                "warning": warning,
            },
            rejected=self._rejected(reference),
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


def _by(reference: Reference) -> sql.Identifier:
    """The column of the control tables that holds what the reference says."""
    return sql.Identifier("source_key" if reference.by_source_key else "target_key")


def _texts(texts: Sequence[str]) -> sql.Composable:
    return _verbatim(sql.SQL("{}::text[]").format(sql.Literal(list(texts))))


def _verbatim(part: sql.Composable) -> sql.Composable:
    """A part of a statement with parameters, in which a percent sign is written twice."""
    return sql.SQL(part.as_string().replace("%", "%%"))


def _minus(counts: Counter[str]) -> dict[str, int]:
    return {name: -count for name, count in counts.items()}
