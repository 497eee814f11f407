"""From a source row to its candidates: columns that are unpivoted, cells that are split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.blanks import BLANKS
from schemas.errors import ErrorCode
from schemas.violations import ORDINAL
from transforms.keys.key_text import key_text
from transforms.model.program import LoadProgram
from transforms.model.source_rows import UNREAD_SCHEMA, SourceRows
from transforms.model.spread_program import SpreadProgram
from transforms.sql.duckdb_engine import evaluate_each, one_array, select

EMPTY = (ErrorCode.DATA_001, "row.empty", "empty")
"""The violation of a row that holds no candidate."""

Places = np.ndarray[Any, np.dtype[np.int64]]


def spread_rows(rows: SourceRows, program: LoadProgram, columns: Sequence[str]) -> SourceRows:
    """Make candidates of source rows, in the order of rows and positions.

    Blank places hold no candidate. A row that can't be read is a candidate without a row, as
    before.

    Args:
        rows: source rows with ``program.source_columns(columns)``.
        program: a load with ``spread``.
        columns: source columns of a candidate that are wanted.

    Returns:
        The candidates, with ``columns`` and the source key.
    """
    spread = program.spread
    assert spread is not None
    parents, numbers, values, lost = (
        _unpivot(rows, spread) if spread.separator is None else _split_cells(rows, spread)
    )
    each = np.bincount(parents, minlength=rows.batch.num_rows)
    empty = np.flatnonzero(each == 0)
    places, firsts = _number_candidates(rows, spread, each, empty)
    within = np.arange(len(parents)) - np.concatenate([[0], np.cumsum(each)[:-1]])[parents]
    unread = _renumber(rows.unread, firsts)
    if spread.rejects_empty and len(empty):
        unread = pa.concat_batches(
            [unread, _of_empty(rows.batch.take(pa.array(empty)), program, firsts[places[empty]])]
        )
    taken = pa.array(parents)
    wanted = dict.fromkeys([*columns, *program.source_key])
    if spread.position in wanted:
        values = {spread.position: pa.array(numbers, pa.int32()), **values}
    arrays = {
        name: values[name] if name in values else rows.batch.column(f"src.{name}").take(taken)
        for name in wanted
    }
    masks = {
        name: mask.take(taken)
        for name, mask in rows.unrepresentable.items()
        if name.removeprefix("src.") in arrays
    }
    return SourceRows(
        pa.RecordBatch.from_arrays(list(arrays.values()), names=[f"src.{name}" for name in arrays]),
        masks | {f"src.{name}": mask for name, mask in lost.items() if name in arrays},
        unread,
        pa.array((firsts[places[parents]] + within).astype(np.int32)),
        read=rows.count,
        empty=0 if spread.rejects_empty else len(empty),
        oversized=rows.oversized,
    )


def _number_candidates(
    rows: SourceRows, spread: SpreadProgram, each: Places, empty: Places
) -> tuple[Places, Places]:
    """The place of each row of the batch, and of each place the ordinal of its first candidate.

    ``each`` is the number of candidates of each row of the batch, ``empty`` are those without any.
    """
    count = rows.batch.num_rows
    places = np.arange(count) if rows.ordinals is None else rows.ordinals.to_numpy()
    # How many candidates there are of each row of the source, those that can't be read among them.
    of_place = np.zeros(rows.count, np.int64)
    of_place[places] = each
    of_place[rows.unread.column(ORDINAL).to_numpy()] = 1
    if spread.rejects_empty:
        of_place[places[empty]] = 1
    return places, np.concatenate([[0], np.cumsum(of_place)[:-1]])[: rows.count]


def position_of(program: LoadProgram, source_key: str) -> tuple[str | None, int | None]:
    """The row's own key in a candidate's source key (None: NULL), and the candidate's position.

    The key of a row without a candidate has no position.
    """
    try:
        *parts, position = json.loads(source_key)
    except (TypeError, ValueError):
        return source_key, None
    if len(parts) != len(program.row_key) or not str(position).isdigit():
        return source_key, None
    row_key = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    if len(parts) == 1:
        return None if parts[0] is None else str(parts[0]), int(position)
    return row_key, int(position)


def _unpivot(
    rows: SourceRows, spread: SpreadProgram
) -> tuple[Places, Places, dict[str, pa.Array], dict[str, pa.Array]]:
    """The row and the number of each candidate, its new columns, and masks of what is lost."""
    count, width = rows.batch.num_rows, len(spread.numbers)
    # The index of each place of each row in columns that are laid one behind the other.
    order = np.arange(count * width).reshape(width, count).T.ravel()
    laid = {name: _laid(rows, kind.arrow, of) for name, kind, of in spread.groups}
    first, first_lost = laid[spread.groups[0][0]]
    present = pc.is_valid(first) if first_lost is None else pc.or_(pc.is_valid(first), first_lost)
    if pa.types.is_string(first.type):
        filled = pc.not_equal(pc.utf8_trim(first, BLANKS), "")
        present = pc.and_(present, pc.fill_null(filled, True))
    kept = order[present.to_numpy(zero_copy_only=False)[order]]
    taken = pa.array(kept)
    values = {name: array.take(taken) for name, (array, _) in laid.items()}
    lost = {name: mask.take(taken) for name, (_, mask) in laid.items() if mask is not None}
    return kept % max(count, 1), np.array(spread.numbers)[kept // max(count, 1)], values, lost


def _laid(
    rows: SourceRows, kind: pa.DataType, columns: Sequence[str | None]
) -> tuple[pa.Array, pa.BooleanArray | None]:
    """Columns of one group one behind the other, and their masks."""
    count = rows.batch.num_rows
    arrays = [
        pa.nulls(count, kind) if name is None else rows.batch.column(f"src.{name}").cast(kind)
        for name in columns
    ]
    masks = [rows.unrepresentable.get(f"src.{name}") for name in columns]
    if not any(mask is not None for mask in masks):
        return pa.concat_arrays(arrays), None
    complete = [pa.repeat(False, count) if mask is None else mask for mask in masks]
    return pa.concat_arrays(arrays), pa.concat_arrays(complete)


def _split_cells(
    rows: SourceRows, spread: SpreadProgram
) -> tuple[Places, Places, dict[str, pa.Array], dict[str, pa.Array]]:
    """As ``_unpivot``, of the parts of a cell; blank parts are none, and aren't counted."""
    name, _, (column,) = spread.groups[0]
    cells = rows.batch.column(f"src.{column}")
    lost = rows.unrepresentable.get(f"src.{column}")
    if lost is not None:
        # A cell that can't be read is one part, which is lost.
        cells = pc.if_else(lost, "?", cells)
    lists = pc.split_pattern(cells, spread.separator)
    parts = pc.utf8_trim(pc.list_flatten(lists), BLANKS)
    present = pc.not_equal(parts, "")
    parents = pc.list_parent_indices(lists).filter(present).to_numpy().astype(np.int64)
    parts = parts.filter(present)
    masks = {}
    if lost is not None:
        masks[name] = lost.take(pa.array(parents))
        parts = pc.if_else(masks[name], pa.scalar(None, pa.string()), parts)
    numbers = np.arange(len(parents)) - np.searchsorted(parents, parents) + 1
    return parents, numbers, {name: parts}, masks


def _renumber(unread: pa.RecordBatch, firsts: Places) -> pa.RecordBatch:
    ordinals = pa.array(firsts[unread.column(ORDINAL).to_numpy()].astype(np.int32))
    return pa.RecordBatch.from_arrays([ordinals, *unread.columns[1:]], schema=UNREAD_SCHEMA)


def _of_empty(batch: pa.RecordBatch, program: LoadProgram, ordinals: Places) -> pa.RecordBatch:
    """Rows without a candidate, as such that can't be read; their key has no position."""
    code, rule, reason = EMPTY
    types = {c.name: c.type for c in program.relations[0].columns}
    text = key_text([(f"src.{name}", types[name]) for name in program.row_key])
    keys = one_array(evaluate_each(select([f"{text} AS k"]), batch).column("k"), pa.string())
    count = batch.num_rows
    return pa.RecordBatch.from_arrays(
        [
            pa.array(ordinals.astype(np.int32)),
            pc.fill_null(keys, ""),
            *(pa.repeat(text, count) for text in (code.value, rule, reason)),
        ],
        schema=UNREAD_SCHEMA,
    )
