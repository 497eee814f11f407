"""Checks references against what really reached the target, and looks generated keys up."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from schemas.column_types import TEXT, ColumnType
from schemas.conversions import convert, to_text
from schemas.errors import ErrorCode
from schemas.specification.policies import OnMissing, OnSkipped
from schemas.sql.expressions import quote
from schemas.violations import ORDINAL, Violation, concat_violations, violations_of
from transforms.mapping.field_steps import MISSING
from transforms.model.field_program import FieldProgram
from transforms.model.parent_reference import Reference
from transforms.model.program import SKIP, LoadProgram
from transforms.references.parent_lookup import comparable
from transforms.sql.duckdb_engine import evaluate_each, one_array, select, with_column
from transforms.sql.lost_values import mark_lost

HOLD = "hold."
"""Prefix of the columns (bool) that say which references wait for a placeholder."""


class Parents(Protocol):
    """What can be asked about the parents of a reference; all answers are row by row."""

    def contains(self, reference: Reference, values: pa.Array, child: ColumnType) -> pa.Array:
        """Whether the parent's key column holds each value (bool; NULL for NULL)."""

    def target_keys(self, reference: Reference, source_keys: pa.Array) -> pa.Array:
        """The target key (text) of each source key (text); NULL where there isn't just one."""

    def ambiguous(self, reference: Reference, source_keys: pa.Array) -> pa.Array:
        """Whether a source key has no target key because several rows share it (bool).

        They have target keys of their own, or one of them has one and another was rejected.
        """

    def skipped(self, reference: Reference, keys: pa.Array) -> pa.Array:
        """Whether the parent with that key (text) was skipped (bool)."""

    def root_causes(self, reference: Reference, keys: pa.Array) -> pa.Array:
        """The id (text) of the violation that kept the parent with that key (text) out."""

    def differences(self, reference: Reference, keys: pa.Array) -> pa.Array:
        """How each key (text), which no parent has, differs from that of a parent, in the terms of
        ``SimilarKeys``; NULL where no parent has a similar key."""

    def columns(self, reference: Reference, values: pa.Array) -> pa.Table:
        """The parent's columns that the reference takes, by their own names."""


def check_references(
    rows: pa.RecordBatch, program: LoadProgram, parents: Parents
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Settles the references of a load's fields, except the deferred ones.

    Args:
        rows: candidates with ``raw.NAME`` or ``out.NAME`` of each reference.
        program: the load.
        parents: answers questions about parents in the target.

    Returns:
        The rows, with ``out.NAME`` of references by source key, ``take.NAME``, ``hold.NAME`` of
        references that get placeholders, and ``_skip`` for children of skipped parents; and
        violations (VIOLATION_SCHEMA): DATA-002, with the parent's violation as root cause where it
        has one, and DATA-001 for a required reference without a value.
    """
    violations = []
    for field in program.fields:
        if field.reference is None or field.reference.deferred:
            continue
        rows, failed = _check(rows, field, field.reference, parents)
        violations.append(failed)
    return rows, concat_violations(violations)


def _check(
    rows: pa.RecordBatch, field: FieldProgram, reference: Reference, parents: Parents
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    name = field.name
    bad = rows.column(f"bad.{name}")
    keys, values, present = _find_parents(rows, field, reference, parents)
    absent = pc.and_(pc.and_(pc.is_valid(keys), pc.invert(present)), pc.invert(bad))
    violations = []
    hold = pa.repeat(False, rows.num_rows)
    if pc.any(absent).as_py():
        missing, skipped = _skipped_parents(reference, parents, keys, absent)
        rows, failed = _settle_skipped(rows, name, reference, skipped)
        settled = _settle_missing(rows, name, reference, parents, keys, missing)
        violations += failed + settled.violations
        bad = pc.or_(pc.or_(bad, skipped), settled.rejected)
        if reference.on_missing is OnMissing.SET_NULL:
            values = pc.if_else(missing, pa.scalar(None, values.type), values)
        hold = settled.hold
    if reference.by_source_key and field.required:
        empty = pc.and_(pc.is_null(keys), pc.invert(bad))
        violation = Violation(ErrorCode.DATA_001, field.required_rule, name, MISSING)
        violations.append(violations_of(rows.column(ORDINAL).filter(empty), violation))
    rows = with_column(with_column(rows, f"out.{name}", values), f"bad.{name}", bad)
    if reference.on_missing is OnMissing.PLACEHOLDER:
        rows = with_column(rows, f"{HOLD}{name}", hold)
    if reference.take:
        rows = _take_columns(rows, reference, parents.columns(reference, values), bad)
    return rows, concat_violations(violations)


def _find_parents(
    rows: pa.RecordBatch, field: FieldProgram, reference: Reference, parents: Parents
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The key of each parent (text), the field's value, and whether the parent exists (bool)."""
    if reference.by_source_key:
        keys = rows.column(f"raw.{field.name}")
        target_keys = parents.target_keys(reference, keys)
        return keys, typed_keys(target_keys, field.target), pc.is_valid(target_keys)
    values = rows.column(f"out.{field.name}")
    keys = comparable(key_texts(values, field.target), field.target, field.target)
    present = pc.fill_null(parents.contains(reference, values, field.target), True)
    return keys, values, present


def _skipped_parents(
    reference: Reference, parents: Parents, keys: pa.Array, absent: pa.Array
) -> tuple[pa.Array, pa.Array]:
    """Of the absent parents: which are missing, and which were skipped.

    A key that one candidate was skipped with and another rejected belongs to the rejected
    one, which names the cause.
    """
    if reference.on_skipped is OnSkipped.AS_MISSING:
        return absent, pa.repeat(False, len(absent))
    nothing = pa.scalar(None, pa.string())
    asked = pc.if_else(absent, keys, nothing)
    skipped = pc.and_(absent, pc.fill_null(parents.skipped(reference, asked), False))
    if pc.any(skipped).as_py():
        causes = parents.root_causes(reference, pc.if_else(skipped, keys, nothing))
        skipped = pc.and_(skipped, pc.is_null(causes))
    return pc.and_(absent, pc.invert(skipped)), skipped


def _settle_skipped(
    rows: pa.RecordBatch, name: str, reference: Reference, skipped: pa.Array
) -> tuple[pa.RecordBatch, list[pa.RecordBatch]]:
    """Skips or rejects the children of skipped parents."""
    if reference.on_skipped is OnSkipped.SKIP:
        verdict = rows.column(SKIP)
        taken = pc.and_(skipped, pc.is_null(verdict))
        return with_column(rows, SKIP, pc.if_else(taken, f"{name}.ref", verdict)), []
    if reference.on_skipped is OnSkipped.REJECT:
        return rows, [_violation(rows, name, skipped, "parent_skipped")]
    return rows, []


class _Settled(NamedTuple):
    """Children of missing parents: which are rejected, and which wait for a placeholder."""

    violations: list[pa.RecordBatch]
    rejected: pa.Array
    hold: pa.Array


def _settle_missing(
    rows: pa.RecordBatch,
    name: str,
    reference: Reference,
    parents: Parents,
    keys: pa.Array,
    missing: pa.Array,
) -> _Settled:
    """Applies ``on_missing``: rejects, or warns of a NULL or a placeholder, or nothing."""
    nothing = pa.repeat(False, len(missing))
    if reference.on_missing is OnMissing.ALLOW:
        return _Settled([], nothing, nothing)
    if reference.on_missing is OnMissing.SET_NULL:
        warning = _violation(rows, name, missing, "set_null", warning=True)
        return _Settled([warning], nothing, nothing)
    ambiguous = _ambiguous(reference, parents, keys, missing)
    if reference.on_missing is OnMissing.REJECT:
        rejections = _rejections(rows, name, reference, parents, keys, missing, ambiguous)
        return _Settled([rejections], missing, nothing)
    violations = []
    if pc.any(ambiguous).as_py():
        # The placeholder would be one of the rows that may be meant.
        violations.append(_rejections(rows, name, reference, parents, keys, ambiguous, ambiguous))
        missing = pc.and_(missing, pc.invert(ambiguous))
    violations.append(_violation(rows, name, missing, "placeholder", warning=True))
    return _Settled(violations, ambiguous, missing)


def _take_columns(
    rows: pa.RecordBatch, reference: Reference, columns: pa.Table, bad: pa.Array
) -> pa.RecordBatch:
    """Adds the parent's columns, which are lost where the reference has failed."""
    for alias, column, _ in reference.take:
        rows = with_column(rows, f"take.{alias}", one_array(columns.column(column)))
        rows = mark_lost(rows, f"take.{alias}", bad)
    return rows


def _rejections(
    rows: pa.RecordBatch,
    name: str,
    reference: Reference,
    parents: Parents,
    keys: pa.Array,
    missing: pa.Array,
    ambiguous: pa.Array,
) -> pa.RecordBatch:
    """DATA-002 for the ``missing`` parents; each of the ``ambiguous`` is one of several rows."""
    ordinals = rows.column(ORDINAL).filter(missing)
    causes = parents.root_causes(reference, keys.filter(missing))
    differences = parents.differences(reference, keys.filter(missing))
    reasons = pc.fill_null(differences, "missing_parent")
    reasons = pc.if_else(ambiguous.filter(missing), "ambiguous_parent", reasons)
    reasons = pc.if_else(pc.is_valid(causes), "parent_rejected", reasons)
    violation = Violation(ErrorCode.DATA_002, f"{name}.ref", name)
    return violations_of(ordinals, violation, reasons, causes)


def _ambiguous(
    reference: Reference, parents: Parents, keys: pa.Array, missing: pa.Array
) -> pa.Array:
    if not reference.shares_source_keys:
        return pa.repeat(False, len(keys))
    return parents.ambiguous(reference, pc.if_else(missing, keys, pa.scalar(None, pa.string())))


def _violation(
    rows: pa.RecordBatch, name: str, mask: pa.Array, reason: str, warning: bool = False
) -> pa.RecordBatch:
    violation = Violation(ErrorCode.DATA_002, f"{name}.ref", name, reason, warning)
    return violations_of(rows.column(ORDINAL).filter(mask), violation)


def key_texts(values: pa.Array, kind: ColumnType) -> pa.Array:
    """Values of a key column as the text in which the control tables hold them."""
    if pa.types.is_string(values.type):
        return values
    query = select([f"{to_text(quote('k'), kind)} AS t"])
    batch = pa.RecordBatch.from_arrays([values], ["k"])
    return one_array(evaluate_each(query, batch).column("t"), pa.string())


def typed_keys(texts: pa.Array, kind: ColumnType) -> pa.Array:
    """Key texts of the control tables as values of a column of type ``kind``."""
    if pa.types.is_string(kind.arrow):
        return texts
    query = select([f"{convert(quote('k'), TEXT, kind).value} AS v"])
    batch = pa.RecordBatch.from_arrays([texts], ["k"])
    return one_array(evaluate_each(query, batch).column("v"), kind.arrow)
