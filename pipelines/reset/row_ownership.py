"""Proves which rows of the target a job wrote, or says why that can't be proved.

A row is the job's, and nobody has changed it since, exactly if its ``xmin`` is the number of a
transaction that wrote rows of the job into this table. Whatever could make that untrue is looked
for here, load by load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table
from pipelines.ledger.reset_command import reset_command
from pipelines.ledger.reset_scope import StoredLoad
from pipelines.ledger.written_tables import AS_RECORDED, WrittenTable, own_numbers
from schemas.catalog import Relation
from schemas.catalog_reader import read_relation
from schemas.errors import ErrorCode, Problem
from schemas.specification.root import Specification
from transforms.ledger.written_rows import EPOCH

_OLDEST = EPOCH // 2
"""Transactions since a row was written after which nothing is promised about its ``xmin``."""


@dataclass(frozen=True)
class OwnRows:
    """Rows of one load that are as it wrote them, by table, and how many are not any more.

    ``left`` were changed or deleted by others; those that are still there stay.
    """

    found: Mapping[int, int]
    left: int

    @property
    def rows(self) -> int:
        return sum(self.found.values())


@dataclass(frozen=True)
class Ownership:
    """The rows of each load, and why those of others can't be told."""

    loads: Mapping[str, OwnRows]
    problems: Sequence[Problem]

    def rows_in(self, table: WrittenTable) -> int:
        """The rows of all loads in a table."""
        return sum(own.found.get(table.oid, 0) for own in self.loads.values())

    @property
    def rows(self) -> int:
        return sum(own.rows for own in self.loads.values())


def find_own_rows(
    target: psycopg.Connection[Any],
    specification: Specification,
    loads: Mapping[str, StoredLoad],
    tables: Sequence[WrittenTable],
) -> Ownership:
    """Counts the rows of ``loads`` in ``tables``, which are all that they have written to.

    Raises:
        psycopg.Error: the server refuses to read a table.
    """
    doubts = _doubts(target, specification, [*loads])
    counted = _count_rows(target, specification, [*loads], tables)
    found: dict[str, Counter[int]] = {name: Counter() for name in loads}
    for table, name, rows, exceeds in counted:
        found[name][table.oid] += rows
        if exceeds:
            doubts.setdefault(name, _FOREIGN.format(table=table.name))
    for table in tables:
        if not table.is_heap:
            doubts.update({name: _ELSEWHERE.format(table=table.name) for name in loads})
    problems = []
    own = {}
    for name, load in loads.items():
        rows = sum(found[name].values())
        expected = load.inserted + sum(load.placeholders.values())
        own[name] = OwnRows(found[name], max(0, expected - rows))
        if expected and not rows:
            doubts.setdefault(name, _REWRITTEN)
        if name in doubts and (load.rows or load.placeholders):
            standing = _standing(target, loads, load)
            if standing:
                why = doubts[name]
                problems.append(_unproved(target, specification, loads, load, standing, why))
    return Ownership(own, problems)


_EARLIER = "an earlier version wrote rows of it, and didn't record which"
_RESTORED = "the database was restored since, so which rows it wrote isn't known any more"
_AGED = "too many transactions have run since then to tell its rows from those of others"
_SEVERAL_EPOCHS = (
    "its table had rows before, which can have the same transaction numbers as those that it wrote,"
    " because the server had begun again with them"
)
_UPSERTED = "it has overwritten rows (write: upsert), and nothing has kept what they were before"
_FOREIGN = (
    "more rows of {table} were changed in its transactions than it wrote, so a trigger has changed"
    " rows of others"
)
_TOUCHED = "triggers changed further rows while it wrote, which may be those of others"
_ELSEWHERE = "{table} isn't an ordinary table, and its rows don't say who wrote them"
_REWRITTEN = (
    "none of its rows is as it was written: the table was rewritten (ALTER TABLE) or"
    " restored since, or all rows were changed"
)


def _doubts(
    target: psycopg.Connection[Any], specification: Specification, loads: Sequence[str]
) -> dict[str, str]:
    """Why the ledger doesn't prove which rows a load wrote, the gravest reason of each."""
    parts = {
        "written": control_table(specification, "migration_written_rows"),
        "loads": control_table(specification, "migration_loads"),
        "partitions": control_table(specification, "migration_partitions"),
        "epoch": sql.Literal(EPOCH),
        "oldest": sql.Literal(_OLDEST),
    }
    values = {"job": specification.job, "loads": list(loads)}
    doubts: dict[str, str] = {}
    for why, query in (
        (_EARLIER, _WITHOUT_RECORD),
        (_RESTORED, _NOT_AS_STORED),
        (_AGED, _TOO_OLD),
        (_SEVERAL_EPOCHS, _AMBIGUOUS),
        (_UPSERTED, _OVERWRITING),
        (_TOUCHED, _CHANGING_OTHERS),
    ):
        for (name,) in target.execute(sql.SQL(query).format(**parts), values).fetchall():
            doubts.setdefault(name, why)
    return doubts


_WITHOUT_RECORD = """
SELECT DISTINCT p.load FROM {partitions} p
LEFT JOIN (SELECT load, partition_id,
        sum(written) FILTER (WHERE written_as = 'rows') AS rows,
        sum(written) FILTER (WHERE written_as = 'placeholders') AS placeholders
    FROM {written} WHERE job_id = %(job)s GROUP BY load, partition_id) w USING (load, partition_id)
WHERE p.job_id = %(job)s AND p.load = ANY(%(loads)s) AND p.state = 'done'
    AND (coalesce(w.rows, 0) < p.written OR coalesce(w.placeholders, 0)
        < (SELECT coalesce(sum(e.value::int8), 0) FROM jsonb_each_text(p.placeholders) AS e))
"""
"""Of a load whose rows were deleted again when its references were settled, more is recorded than
the ledger counts."""

_NOT_AS_STORED = """
SELECT DISTINCT load FROM {written} WHERE job_id = %(job)s AND load = ANY(%(loads)s)
    AND xmin::text::int8 <> mod(transaction, {epoch})
"""

_TOO_OLD = """
SELECT DISTINCT load FROM {written} WHERE job_id = %(job)s AND load = ANY(%(loads)s)
    AND NOT txid_snapshot_xmax(txid_current_snapshot()) - transaction BETWEEN 0 AND {oldest}
"""

_AMBIGUOUS = """
SELECT DISTINCT w.load FROM {written} w JOIN {loads} l USING (job_id)
WHERE job_id = %(job)s AND w.load = ANY(%(loads)s) AND w.transaction >= {epoch}
    AND (l.load = w.load OR w.written_as = 'placeholders') AND l.target_rows_before > 0
"""

_OVERWRITING = """
SELECT DISTINCT load FROM {written} WHERE job_id = %(job)s AND load = ANY(%(loads)s)
    AND written_as = 'rows' AND inserted < written
"""

_CHANGING_OTHERS = """
SELECT DISTINCT load FROM {written} WHERE job_id = %(job)s AND load = ANY(%(loads)s)
    AND written_as = 'others'
"""
"""As many rows can have been lost since, so that comparing their number isn't enough. Whose table
they are in isn't known (placeholders stand in their parents'), nor who has written to it since."""


def _count_rows(
    target: psycopg.Connection[Any],
    specification: Specification,
    loads: Sequence[str],
    tables: Sequence[WrittenTable],
) -> Iterator[tuple[WrittenTable, str, int, bool]]:
    """By table and load the rows that are as they were written, and whether there are more with
    one of its transaction numbers than it wrote."""
    for table in tables:
        if not table.is_heap:
            continue
        rows = target.execute(
            sql.SQL(
                "WITH own AS (SELECT w.load, u.number, sum(u.count)::int8 AS rows"
                "  FROM {written} AS w, unnest(w.xids, w.rows) AS u(number, count)"
                "  WHERE w.job_id = {job}"
                "  AND w.load = ANY({loads}::text[]) AND w.relation = {oid}"
                "  AND w.written_as <> 'others' AND {as_recorded} GROUP BY 1, 2),"
                " there AS (SELECT t.xmin::text::int8 AS short, count(*) AS rows FROM {table} AS t"
                "  WHERE t.xmin IN ({numbers}) GROUP BY t.xmin)"
                " SELECT own.load, coalesce(sum(there.rows), 0)::int8,"
                " coalesce(bool_or(there.rows > own.rows), false) FROM own"
                " LEFT JOIN there ON there.short = own.number % {epoch} GROUP BY own.load"
            ).format(
                written=control_table(specification, "migration_written_rows"),
                job=sql.Literal(specification.job),
                loads=sql.Literal(list(loads)),
                oid=sql.Literal(table.oid),
                table=table.sql,
                numbers=own_numbers(specification, loads, table.oid),
                as_recorded=AS_RECORDED,
                epoch=sql.Literal(EPOCH),
            )
        ).fetchall()
        for name, count, exceeds in rows:
            yield table, name, count, exceeds


def _standing(
    target: psycopg.Connection[Any], loads: Mapping[str, StoredLoad], load: StoredLoad
) -> list[Relation]:
    """The tables with rows that the load has written to: without any nothing is to be removed."""
    written = [load.into, *(loads[p].into for p in load.placeholders if p in loads)]
    relations = [read_relation(target, name) for name in dict.fromkeys(written)]
    return [
        relation
        for relation in relations
        if relation is not None
        and target.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(relation.sql)).fetchone()
        is not None
    ]


def _unproved(
    target: psycopg.Connection[Any],
    specification: Specification,
    loads: Mapping[str, StoredLoad],
    load: StoredLoad,
    standing: Sequence[Relation],
    why: str,
) -> Problem:
    names = [_name(target, relation) for relation in standing]
    before = [one for one in loads.values() if one.rows_before]
    if before:
        way = (
            "restore the target from a backup of before the job, or delete its rows by hand, and"
            " migrate with another --job"
        )
    else:
        tables = [
            read_relation(target, name)
            for name in dict.fromkeys(one.into for one in loads.values())
        ]
        listed = ", ".join(_name(target, table) for table in tables if table is not None)
        way = (
            "if nothing but this job has written to these tables, empty them, and reset again:"
            f" TRUNCATE {listed}; {reset_command(specification)}"
        )
    return Problem(
        ErrorCode.USER_003,
        f"which rows of {', '.join(names)} the load wrote can't be proved: {why}",
        f"table {load.name}",
        way,
    )


def _name(target: psycopg.Connection[Any], relation: Relation) -> str:
    """A table as SQL writes it."""
    row = target.execute(
        "SELECT quote_ident(%s) || '.' || quote_ident(%s)", [relation.schema, relation.name]
    ).fetchone()
    assert row is not None
    return str(row[0])
