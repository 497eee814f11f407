"""What the target refuses of rows, as its catalogue and its contents say. Nothing is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from schemas.catalog import Column
from schemas.specification.policies import WriteMode
from schemas.violations import (
    ORDINAL,
    Violation,
    concat_violations,
    no_violations,
    rejected_ordinals,
    violations_of,
)
from transforms.commit.verdicts import distinct
from transforms.keys.parent_question import array_parameter
from transforms.model.program import LoadProgram
from transforms.prediction.target_triggers import read_triggers
from transforms.target_rows.constraints import read_constraints
from transforms.target_rows.target_errors import TargetError, is_about_server
from transforms.target_rows.unstorable import find_unstorable


@dataclass(frozen=True)
class _Test:
    """What a row must not fail; ``error`` is what the server says then.

    ``holds`` is SQL on the row ``new`` that reads its columns ``reads``, or None where the one
    column must not be NULL. ``existing``: rows that fail it are skipped and not refused.
    """

    error: TargetError
    reads: frozenset[str]
    holds: sql.Composable | None = None
    existing: bool = False


@dataclass(frozen=True)
class RefusedCandidates:
    """The violations of refused rows, and the candidates that are skipped as existing."""

    violations: pa.RecordBatch
    existing: tuple[int, ...]


class TargetRefusals:
    """Asks the target which rows of a load it would refuse.

    Args:
        connection: a connection to the target, in autocommit mode.
        program: the load.
        unknown: fields whose value in the target can't be predicted.
        begun: the target has rows of this very load already.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        program: LoadProgram,
        unknown: Collection[str],
        begun: bool,
    ) -> None:
        self.connection = connection
        self._program = program
        columns = program.target_columns()
        self._columns = [c for c in program.table.columns if c.name in columns]
        names = [c.name for c in self._columns]
        made = {program.generated.name} if program.generated else set()
        # In a plan keys that another load makes are only numbered.
        numbered = {f.name for f in program.fields if f.reference and f.reference.by_source_key}
        self._written = [c for c in self._columns if c.name not in {*unknown, *made}]
        self._comparable = [c for c in self._written if c.name not in numbered]
        self._constraints = read_constraints(connection, program.table, names)
        self.not_predicted: list[str] = []
        self._tests, self._last = self._all_tests(begun)

    def _all_tests(self, begun: bool) -> tuple[list[_Test], list[_Test]]:
        """The tests of rows, in the order in which the server applies them; and those that come
        after them."""
        before: list[_Test] = []
        after: list[_Test] = []
        for trigger in read_triggers(
            self.connection, self._program.table, [c.name for c in self._comparable]
        ):
            if trigger.refuses is None:
                self.not_predicted.append(f"the trigger {trigger.name} may refuse or change rows")
                continue
            holds = sql.SQL("({}) IS NOT TRUE").format(sql.SQL(trigger.refuses))
            test = _Test(TargetError(trigger.sqlstate), trigger.reads, holds)
            (before if trigger.before else after).append(test)
        return [*before, *self._constraint_tests(), *self._key_tests(begun)], after

    def _constraint_tests(self) -> list[_Test]:
        deferred = {
            f.name for f in self._program.fields if f.reference is not None and f.reference.deferred
        }
        tests = [
            _Test(TargetError("23502", None, column.name), frozenset((column.name,)))
            for column in self._written
            if not column.nullable and column.name not in deferred
        ]
        readable, written = {c.name for c in self._comparable}, {c.name for c in self._columns}
        for check in self._constraints.checks:
            if readable.issuperset(check.columns):
                reads = frozenset(filter(None, check.columns))
                tests.append(
                    _Test(TargetError("23514", check.name), reads, sql.SQL(check.expression))
                )
            elif not written.isdisjoint(check.columns) or None in check.columns:
                self.not_predicted.append(f"the check {check.name} reads what isn't known yet")
        return tests

    def _key_tests(self, begun: bool) -> list[_Test]:
        program, readable = self._program, {c.name for c in self._comparable}
        mode = program.write
        keys = [(name, key) for name, key in self._constraints.keys if readable.issuperset(key)]
        if mode is WriteMode.UPSERT:
            return []
        if begun or not self._constraints.can_read:
            why = "rows of this load are there" if begun else "the role may not read them"
            self.not_predicted.append(f"keys that stand in the target: {why}")
            return []
        tests = []
        if mode is WriteMode.SKIP_EXISTING and readable.issuperset(program.key):
            tests.append(self._absence_test(TargetError("23505"), program.key, existing=True))
            keys = [(name, key) for name, key in keys if {*key} != {*program.key}]
        elif (
            program.key
            and readable.issuperset(program.key)
            and not any({*key} <= {*program.key} for _, key in keys)
        ):
            column = program.key[0] if len(program.key) == 1 else None
            error = TargetError("23505", None, column, existing=True)
            tests.append(self._absence_test(error, program.key))
        return tests + [
            self._absence_test(TargetError("23505", name, None, existing=True), key)
            for name, key in keys
        ]

    def _absence_test(
        self, error: TargetError, key: Sequence[str], existing: bool = False
    ) -> _Test:
        same = sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("standing", k), sql.Identifier("new", k))
            for k in key
        )
        holds = sql.SQL("NOT EXISTS (SELECT FROM {} AS standing WHERE {})").format(
            self._program.table.sql, same
        )
        return _Test(error, frozenset(key), holds, existing)

    def of(self, rows: pa.RecordBatch) -> RefusedCandidates:
        """Asks the target which candidates it would refuse.

        Args:
            rows: the rows of candidates that nothing else rejects, with the columns that
                ``transforms.model.program`` describes.

        Raises:
            psycopg.Error: the target can't be asked.
        """
        if not len(rows):
            return RefusedCandidates(no_violations(), ())
        ordinals = rows.column(ORDINAL)
        batch = pa.RecordBatch.from_pydict(
            {ORDINAL: ordinals, **{c.name: self._values(rows, c) for c in self._written}}
        )
        unstorable = find_unstorable(batch, self._comparable)
        if len(unstorable):
            mask = pc.is_in(ordinals, value_set=rejected_ordinals(unstorable))
            batch = batch.filter(pc.invert(mask))
        refused = self._failing_tests(batch)
        return self._refused_candidates(batch.column(ORDINAL).to_pylist(), refused, unstorable)

    def _values(self, rows: pa.RecordBatch, column: Column) -> pa.Array:
        field = next((f for f in self._program.fields if f.name == column.name), None)
        if field is not None and field.reference is not None and field.reference.deferred:
            return pa.nulls(len(rows), column.type.arrow)
        return rows.column(f"out.{column.name}")

    def _refused_candidates(
        self, ordinals: list[int], refused: list[tuple[int, int]], unstorable: pa.RecordBatch
    ) -> RefusedCandidates:
        """``refused`` are rows and tests by number, in that order."""
        tests = self._tests + self._last
        existing = {ordinals[row] for row, test in refused if tests[test].existing}
        by_test: dict[int, list[int]] = {}
        seen: set[int] = set()
        for row, test in refused:
            # Where a trigger may change rows each is tried alone, and has one reason.
            alone = self._constraints.changed_by_trigger or test >= len(self._tests)
            if ordinals[row] in existing or (alone and row in seen):
                continue
            seen.add(row)
            by_test.setdefault(test, []).append(ordinals[row])
        violations = [
            violations_of(of_test, self._violation(tests[test].error))
            for test, of_test in by_test.items()
        ]
        return RefusedCandidates(
            distinct(concat_violations([unstorable, *violations])), tuple(existing)
        )

    def _violation(self, error: TargetError) -> Violation:
        return error.violation(self._constraints.columns_of)

    def _failing_tests(self, rows: pa.RecordBatch) -> list[tuple[int, int]]:
        """Row and test, by number and in order, of each that fails."""
        failed: list[tuple[int, int]] = []
        asked: dict[int, _Test] = {}
        for number, test in enumerate(self._tests + self._last):
            if test.holds is not None:
                asked[number] = test
                continue
            (name,) = test.reads
            nulls = np.flatnonzero(rows.column(name).is_null().to_numpy(zero_copy_only=False))
            failed += [(int(row), number) for row in nulls]
        return sorted(failed + self._ask_server(rows, asked))

    def _ask_server(
        self, rows: pa.RecordBatch, tests: Mapping[int, _Test]
    ) -> list[tuple[int, int]]:
        """Row and test of each that fails on the server."""
        if not tests or not len(rows):
            return []
        why = None
        try:
            statement, arrays = self._question(rows, tests)
            with psycopg.RawCursor(self.connection) as cursor:
                cursor.execute(statement, arrays, prepare=False)
                return cursor.fetchall()
        except TypeError:
            why = "their types"
        except psycopg.Error as error:
            # A function of the database can raise any SQLSTATE.
            if is_about_server(error, self.connection):
                raise
            why = f"SQLSTATE {error.sqlstate}"
        message = f"constraints and existing keys, which can't be asked for ({why})"
        if message not in self.not_predicted:
            self.not_predicted.append(message)
        return []

    def _question(
        self, rows: pa.RecordBatch, tests: Mapping[int, _Test]
    ) -> tuple[sql.Composed, list[str]]:
        stored = {c.name: c for c in self._constraints.stored}
        read = {name for test in tests.values() for name in test.reads}
        columns = [c for c in self._comparable if c.name in read] or self._comparable[:1]
        parameters = [(c, array_parameter(rows.column(c.name), c.type)) for c in columns]
        arrays = [f"${n}::{one.element}[]" for n, (_, one) in enumerate(parameters, start=1)]
        names = [f"k{n}" for n in range(len(parameters))]
        values = [
            sql.SQL("({})::{} AS {}").format(
                sql.SQL(one.value.format(f"_given.{name}")),
                sql.SQL(stored[column.name].base),
                sql.Identifier(column.name),
            )
            for name, (column, one) in zip(names, parameters, strict=True)
        ]
        conditions = [
            sql.SQL("({}, {})").format(number, test.holds or sql.SQL("true"))
            for number, test in tests.items()
        ]
        statement = sql.SQL(
            "SELECT new.{place}::int4 - 1, _test.number"
            " FROM (SELECT {values}, _given.place AS {place}"
            " FROM unnest({arrays}) WITH ORDINALITY AS _given({names}, place) OFFSET 0) AS new,"
            " LATERAL (VALUES {conditions}) AS _test(number, holds) WHERE NOT _test.holds"
        ).format(
            place=sql.Identifier("_transfuse_place"),
            values=sql.SQL(", ").join(values),
            arrays=sql.SQL(", ".join(arrays)),
            names=sql.SQL(", ".join(names)),
            conditions=sql.SQL(", ").join(conditions),
        )
        return statement, [one.literal for _, one in parameters]
