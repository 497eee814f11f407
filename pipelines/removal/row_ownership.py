"""Proves which rows of the target a job wrote, or says why that can't be proved.

A row is the job's, and nobody has changed it since, exactly if its ``xmin`` is the number of a
transaction that wrote rows of the job into this table. Circumstances that could make that untrue
are looked for here, load by load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.reset_command import reset_command
from pipelines.ledger.reset_scope import StoredLoad
from pipelines.ledger.written_tables import WrittenTable
from schemas.catalog import Relation
from schemas.catalog_reader import read_relation
from schemas.errors import ErrorCode, Problem


@dataclass(frozen=True)
class OwnRows:
    """The rows of one load.

    Attributes:
        by_table: Rows that are as the load wrote them, by the OID of their table.
        left: Rows that others have changed or deleted since; those that are still there stay.
    """

    by_table: Mapping[int, int]
    left: int

    @property
    def rows(self) -> int:
        """The rows that are as the load wrote them."""
        return sum(self.by_table.values())


@dataclass(frozen=True)
class Ownership:
    """The rows of each load, and why some can't be distinguished from rows of others.

    Attributes:
        loads: The rows by load.
        problems: A problem for each load whose rows can't be proved to be its own.
    """

    loads: Mapping[str, OwnRows]
    problems: Sequence[Problem]

    def rows_in(self, table: WrittenTable) -> int:
        """The rows of all loads in a table."""
        return sum(own.by_table.get(table.oid, 0) for own in self.loads.values())

    @property
    def rows(self) -> int:
        """The rows of all loads."""
        return sum(own.rows for own in self.loads.values())

    @property
    def left(self) -> int:
        """The rows of all loads that others have changed or deleted since."""
        return sum(own.left for own in self.loads.values())


def find_own_rows(
    ledger: JobLedger, loads: Mapping[str, StoredLoad], tables: Sequence[WrittenTable]
) -> Ownership:
    """Count the rows that loads wrote and that are as they wrote them.

    Args:
        ledger: That of the job.
        loads: The loads by name.
        tables: All tables to which they have written.

    Returns:
        The rows of each load, and what can't be proved.

    Raises:
        psycopg.Error: The server refuses to read a table.
    """
    doubts = {name: doubt.value for name, doubt in ledger.doubts.read(loads).items()}
    by_table: dict[str, Counter[int]] = {name: Counter() for name in loads}
    for table in tables:
        for name, rows, exceeds in ledger.written.count_own(loads, table) if table.is_heap else ():
            by_table[name][table.oid] += rows
            if exceeds:
                doubts.setdefault(name, _FOREIGN.format(table=table.name))
    for table in tables:
        if not table.is_heap:
            doubts.update({name: _ELSEWHERE.format(table=table.name) for name in loads})
    problems = []
    own = {}
    for name, load in loads.items():
        rows = sum(by_table[name].values())
        expected = load.inserted + sum(load.placeholders.values())
        own[name] = OwnRows(by_table[name], max(0, expected - rows))
        if expected and not rows:
            doubts.setdefault(name, _REWRITTEN)
        if name in doubts and (load.rows or load.placeholders):
            standing = _filled_tables(ledger.connection, loads, load)
            if standing:
                problems.append(_ownership_problem(ledger, loads, load, standing, doubts[name]))
    return Ownership(own, problems)


_FOREIGN = (
    "more rows of {table} were changed in its transactions than it wrote, so a trigger has changed"
    " rows of others"
)
_ELSEWHERE = "{table} isn't an ordinary table, and its rows don't say who wrote them"
_REWRITTEN = (
    "none of its rows is as it was written: the table was rewritten (ALTER TABLE) or"
    " restored since, or all rows were changed"
)


def _filled_tables(
    target: psycopg.Connection[Any], loads: Mapping[str, StoredLoad], load: StoredLoad
) -> list[Relation]:
    """The tables with rows that the load has written to: if all are empty, nothing is removed."""
    written = [load.into, *(loads[p].into for p in load.placeholders if p in loads)]
    relations = [read_relation(target, name) for name in dict.fromkeys(written)]
    return [
        relation
        for relation in relations
        if relation is not None
        and target.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(relation.sql)).fetchone()
        is not None
    ]


def _ownership_problem(
    ledger: JobLedger,
    loads: Mapping[str, StoredLoad],
    load: StoredLoad,
    standing: Sequence[Relation],
    why: str,
) -> Problem:
    target = ledger.connection
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
            f" TRUNCATE {listed}; {reset_command(ledger.specification)}"
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
