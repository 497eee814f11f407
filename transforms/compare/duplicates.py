"""Which candidates share a key, and what becomes of those that lose it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from schemas.column_types import TEXT
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.specification.policies import Keep, Losers, OnSkipped
from schemas.sql.expressions import quote
from schemas.violations import ORDINAL, Violation, no_violations, violations_of
from transforms.compare.equal_keys import HASH
from transforms.keys.key_text import comparable_key
from transforms.keys.repeated_hashes import having_hash, repeated_hashes
from transforms.keys.source_keys import source_keys
from transforms.mapping.stages import types_of
from transforms.model.bound_expression import BoundExpression
from transforms.model.field_program import FieldProgram
from transforms.model.program import SKIP, LoadProgram
from transforms.sql.duckdb_engine import (
    RaisedOnRow,
    evaluate,
    evaluate_each,
    one_array,
    one_batch,
    select,
    with_column,
)
from transforms.sql.exposure import expose
from transforms.sql.lost_values import UNKNOWN, lost_columns, unknown_rows

DUPLICATE_RULE = "key.duplicate"

AddHashes = Callable[[pa.RecordBatch], pa.RecordBatch]


def keys_program(program: LoadProgram) -> LoadProgram:
    """The part of a load's program that its keys, and what its group rules compare, depend on:
    fields, skips and references.

    References stay where they skip children, since a skipped candidate doesn't compete.
    """
    wanted = set(program.key)
    for expression in (*program.duplicates.order, *(s.condition for s in program.skips)):
        wanted |= _read_by(expression, program)
    for rule in program.group_rules:
        for expression in rule.reads:
            wanted |= _read_by(expression, program)
    references = {f.name: f.reference for f in program.fields if f.reference is not None}
    wanted |= {name for name, r in references.items() if r.on_skipped is OnSkipped.SKIP}
    fields: dict[str, FieldProgram] = {}
    while True:
        needed = [f for f in program.fields if f.name not in fields and wanted & set(f.columns)]
        if not needed:
            break
        for field in needed:
            fields[field.name] = field
            for expression in field.reads:
                wanted |= _read_by(expression, program)
    kept = tuple(f for f in program.fields if f.name in fields)
    return replace(program, fields=kept, rules=())


def _read_by(expression: BoundExpression, program: LoadProgram) -> set[str]:
    """The fields that an expression reads, and those whose parents' columns it reads."""
    takers = {
        field.name
        for field in program.fields
        if field.reference is not None
        for alias, _, _ in field.reference.take
        if f'"take.{alias}' in expression.sql
    }
    return takers | set(expression.fields)


def competing_keys(rows: pa.RecordBatch, program: LoadProgram, partition_id: str) -> pa.RecordBatch:
    """The candidates that compete for their key: not skipped, and with a whole key.

    Columns: key (string), order (string, sorts as the ``order`` of ``duplicates`` does),
    partition (string), ordinal (int32), source_key (string). Where an expression of the
    order raises or reads a lost value, the row has no place in it, as one with NULL.
    Where ``rows`` have hashes of the target (``add_key_hashes``), these are compared.
    """
    types = types_of(program)
    rows = rows.filter(pc.is_null(rows.column(SKIP)))
    names = [(f"out.{column}", types[f"out.{column}"]) for column in program.key]
    text = comparable_key(
        [
            (HASH + column, TEXT) if HASH + column in rows.schema.names else named
            for column, named in zip(program.key, names, strict=True)
        ]
    )

    def query(order: Iterable[str]) -> str:
        # The constant makes the sort key bytes, whatever the types of the order.
        parts = "".join(f"({expression}), 'ASC NULLS FIRST', " for expression in order)
        return select(
            (
                f"{text} AS key",
                f"create_sort_key({parts}'', 'ASC NULLS FIRST') AS ord",
                f"hash({text}) AS hash",
            ),
            expose("batch", rows.schema.names, types),
        )

    order = [_unless_lost(expression, rows) for expression in program.duplicates.order]
    try:
        result = evaluate_each(query(order), rows)
    except RaisedOnRow:
        tried = query(f"try([{expression}])[1]" for expression in order)
        result = evaluate_each(tried, rows, guarded=True)
    whole = pc.is_valid(rows.column(names[0][0]))
    for column, _ in names[1:]:
        whole = pc.and_(whole, pc.is_valid(rows.column(column)))
    return pa.RecordBatch.from_pydict(
        {
            "key": one_array(result.column("key"), pa.string()),
            "order": one_array(result.column("ord"), pa.binary()),
            "hash": one_array(result.column("hash"), pa.uint64()),
            "partition": pa.repeat(partition_id, len(rows)),
            "ordinal": rows.column(ORDINAL),
            "source_key": source_keys(rows, program, partition_id),
        }
    ).filter(whole)


def _unless_lost(expression: BoundExpression, rows: pa.RecordBatch) -> str:
    marks = lost_columns(rows.schema.names, [expression], UNKNOWN)
    unknown = [*map(quote, marks), *(f"({condition})" for condition in expression.inexact)]
    if not unknown:
        return expression.sql
    return f"CASE WHEN NOT coalesce({' OR '.join(unknown)}, false) THEN {expression.sql} END"


_CLAIM = """md5(concat(key, ' ', "order"::varchar))"""


def claims(rows: pa.RecordBatch, program: LoadProgram, partition_id: str) -> Set[tuple[int, str]]:
    """The ordinals of candidates, each with digests of a key that it competes for and its order.

    A candidate of several rows competes for the key of each.
    """
    keys = competing_keys(rows, program, partition_id)
    result = evaluate_each(select(("ordinal", f"{_CLAIM} AS claim")), keys)
    return set(zip(*(result.column(c).to_pylist() for c in ("ordinal", "claim")), strict=True))


def losers_of(keys: pa.RecordBatch, keep: Keep) -> pa.RecordBatch:
    """The candidates that lose their key, as (partition, ordinal, source_key, claim,
    winner_key, key_digest, place).

    ``keys`` as ``competing_keys`` gives them, with all candidates of each key among them.
    The winner is the ``first`` or ``last`` by order, and of equals by place in the source.
    ``claim`` as in ``claims``, ``winner_key`` is the winner's source key, and ``place`` the
    candidate's among those with its key, of which the winner has 1.
    """
    way = "DESC" if keep is Keep.LAST else "ASC"
    query = (
        f'SELECT "partition", ordinal, source_key, {_CLAIM} AS claim, winner_key,'
        " md5(key) AS key_digest, place::int AS place FROM (SELECT *,"
        " row_number() OVER w AS place, first_value(source_key) OVER w AS winner_key FROM batch"
        f' WINDOW w AS (PARTITION BY key ORDER BY "order" {way}, "partition" {way}, ordinal {way}))'
        ' WHERE place > 1 ORDER BY "partition", ordinal'
    )
    return one_batch(evaluate(query, keys))


def together(batches: Callable[[], Iterable[pa.RecordBatch]]) -> pa.RecordBatch:
    """The rows whose ``hash`` others have too; what has a hash of its own needs no comparison.

    ``batches`` gives the same batches each time.
    """
    repeated = repeated_hashes(batches())
    return pa.concat_batches([having_hash(batch, repeated) for batch in batches()])


def reject_losers(
    rows: pa.RecordBatch,
    program: LoadProgram,
    losers: dict[int, str],
    partition_id: str,
    hashed: AddHashes,
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Mark losers (ordinal -> claim): DATA-004, or skipped where the load says so.

    Raises TransfuseError (SYS-005) where a loser doesn't claim the key that it lost: then
    the source doesn't give the same rows twice. ``hashed`` is ``add_key_hashes``.
    """
    ordinals = rows.column(ORDINAL)
    lost = pc.is_in(ordinals, value_set=pa.array(sorted(losers), pa.int32()))
    if not losers.items() <= claims(hashed(rows.filter(lost)), program, partition_id):
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_005,
                "the source gives other rows than when duplicates were searched for",
                program.source_name,
                "let it give the same values whenever it is asked: nothing that depends on"
                " chance, on the clock or on the order of rows",
            )
        )
    if program.duplicates.losers is Losers.SKIP:
        verdict = rows.column(SKIP)
        # A row that has lost by a value that isn't known keeps the violation that says so.
        lost = pc.and_not(lost, unknown_rows(rows, program.duplicates.order))
        skipped = pc.and_(lost, pc.is_null(verdict))
        return with_column(rows, SKIP, pc.if_else(skipped, "duplicates", verdict)), no_violations()
    return rows, violations_of(ordinals.filter(lost), loser_violation(program))


def still_losing(
    rows: pa.RecordBatch,
    program: LoadProgram,
    keys: pa.Array,
    stored: Mapping[str, str],
    hashed: AddHashes,
) -> dict[int, str]:
    """The ordinals, with their claims, of rows that claim what they lost with when the duplicates
    were found: ``stored`` by source key, ``keys`` are those of ``rows``. ``hashed`` is
    ``add_key_hashes``.

    A row that claims another key today, or another place in the order, hasn't lost that.
    """
    lost = {
        ordinal: stored[key]
        for ordinal, key in zip(rows.column(ORDINAL).to_pylist(), keys.to_pylist(), strict=True)
        if key in stored
    }
    if not lost:
        return {}
    of_losers = pc.is_in(rows.column(ORDINAL), value_set=pa.array(sorted(lost), pa.int32()))
    return dict(claims(hashed(rows.filter(of_losers)), program, "") & lost.items())


def loser_violation(program: LoadProgram) -> Violation:
    """What is wrong with a candidate that lost its key."""
    only = program.key[0] if len(program.key) == 1 else None
    return Violation(ErrorCode.DATA_004, DUPLICATE_RULE, only, "duplicate")
