"""Compiles what makes several candidates of one source row: ``unpivot`` and ``split``."""

from __future__ import annotations

import re
from dataclasses import replace

from schemas.catalog import Column, Relation
from schemas.column_types import TEXT, ColumnType
from schemas.errors import ErrorCode
from schemas.specification.named_relation import Split, Unpivot
from schemas.specification.policies import OnEmpty
from schemas.wider_types import widest_type
from transforms.compiling.known_columns import known_columns
from transforms.compiling.load_facts import LoadFacts
from transforms.model.spread_program import SpreadProgram


def compile_spread(facts: LoadFacts, source: Relation) -> SpreadProgram | None:
    """How the rows of a load are spread; None where they aren't.

    Problems: TRANS-001 for columns that aren't there, TRANS-004 for such of different types,
    SYS-004 for a new column that has the name of another one.
    """
    wanted = facts.load.from_[0].spread
    if wanted is None:
        return None
    spread = (
        _unpivot_program(facts, source, wanted)
        if isinstance(wanted, Unpivot)
        else (_split_program(facts, source, wanted))
    )
    names = [column.name for column in source.columns]
    new = [*(name for name, _, _ in spread.groups), spread.position]
    for name in new:
        if name in names or new.count(name) > 1:
            message = f"there is a column '{name}' already"
            facts.problem(
                message, *_place(wanted), code=ErrorCode.SYS_004, remedy="name another one"
            )
    return spread


def spread_relation(source: Relation, spread: SpreadProgram | None) -> Relation:
    """The source as the load's expressions see it: with the new columns."""
    if spread is None:
        return source
    new = tuple(Column(name, kind) for name, kind in spread.columns.items())
    return replace(source, columns=(*source.columns, *new), _by_name={})


def _unpivot_program(facts: LoadFacts, source: Relation, wanted: Unpivot) -> SpreadProgram:
    numbered = {
        name: _columns_by_number(facts, source, pattern, *_place(wanted), "columns", name)
        for name, pattern in wanted.columns.items()
    }
    numbers = sorted({number for by_number in numbered.values() for number in by_number})
    groups = []
    for name, by_number in numbered.items():
        kinds = list(dict.fromkeys(by_number[number].type for number in sorted(by_number)))
        kind = widest_type(kinds) if kinds else TEXT
        if kind is None:
            message = f"its columns are of different types: {', '.join(map(str, kinds))}"
            below = (*_place(wanted), "columns", name)
            facts.problem(message, *below, remedy="cast them in a query")
            kind = TEXT
        if kind.name in _BASES:
            # Lengths may differ, and every value is held against the target's.
            kind = ColumnType(kind.name, kind.name)
        of = tuple(by_number[n].name if n in by_number else None for n in numbers)
        groups.append((name, kind, of))
    empty = wanted.empty is OnEmpty.REJECT
    return SpreadProgram(wanted.position, tuple(groups), tuple(numbers), empty)


_BASES = ("varchar", "bpchar", "numeric")


def _columns_by_number(
    facts: LoadFacts, source: Relation, pattern: str | list[str], *below: str | int
) -> dict[int, Column]:
    """The columns that a pattern or a list means, by their numbers."""
    if isinstance(pattern, list):
        by_number = {}
        for position, name in enumerate(pattern):
            column = source.column(name)
            if column is None:
                _unknown(facts, source, f"{source} has no column '{name}'", *below, position)
            else:
                by_number[position + 1] = column
        return by_number
    shape = re.compile(re.escape(pattern).replace(r"\{n\}", "([0-9]{1,9})"), re.IGNORECASE)
    matches = ((shape.fullmatch(column.name), column) for column in source.columns)
    by_number = {int(match[1]): column for match, column in matches if match is not None}
    if not by_number:
        _unknown(facts, source, f"{source} has no column that '{pattern}' means", *below)
    return by_number


def _split_program(facts: LoadFacts, source: Relation, wanted: Split) -> SpreadProgram:
    column = source.column(wanted.column)
    below = (*_place(wanted), "column")
    if column is None:
        _unknown(facts, source, f"{source} has no column '{wanted.column}'", *below)
    elif not column.type.is_textual:
        facts.problem(f"'{column.name}' is {column.type}, and only text is split", *below)
    name = column.name if column is not None else wanted.column
    groups = ((wanted.into, TEXT, (name,)),)
    return SpreadProgram(wanted.position, groups, (), wanted.empty is OnEmpty.REJECT, wanted.by)


def _unknown(facts: LoadFacts, source: Relation, message: str, *below: str | int) -> None:
    remedy = known_columns(source, facts.load)
    facts.problem(message, *below, code=ErrorCode.TRANS_001, remedy=remedy)


def _place(wanted: Unpivot | Split) -> tuple[str | int, ...]:
    return "from", 0, "unpivot" if isinstance(wanted, Unpivot) else "split"
