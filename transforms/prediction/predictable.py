"""The part of a load that can be computed while some of its parents aren't there yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from schemas.column_types import TEXT
from schemas.sql.expressions import quote
from transforms.model.bound_expression import BoundExpression
from transforms.model.field_program import FieldProgram
from transforms.model.parent_reference import Reference
from transforms.model.program import LoadProgram
from transforms.sql.exposure import visible_name


@dataclass(frozen=True)
class PredictablePart:
    """A program that asks for no absent parent, and the parts that it leaves out.

    Attributes:
        program: the program.
        unchecked: the fields whose references it doesn't check.
        left_out: the fields, rules and skips that read a column which only the parent's row
            would give.
        unknown: all fields whose value in the target can't be predicted.
        knows_keys: that leaves enough to see which rows have the same key, and which of them wins.
    """

    program: LoadProgram
    unchecked: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    unknown: frozenset[str] = frozenset()
    knows_keys: bool = True


def predictable_part(program: LoadProgram, absent: Collection[Reference]) -> PredictablePart:
    """Takes the ``absent`` references out of a program, and everything that depends on them.

    The value of such a reference is still converted and required. One by source key becomes
    text, since the target's key isn't known.
    """
    unchecked = tuple(f.name for f in program.fields if f.reference in absent)
    if not unchecked:
        return PredictablePart(program)
    fields, unknown = _without_references(program, unchecked)
    gone = _dependent_fields(fields, unknown)
    rules = tuple(r for r in program.rules if not unknown.are_read_by(r.check))
    skips = tuple(s for s in program.skips if not unknown.are_read_by(s.condition))
    kept = replace(
        program,
        fields=tuple(f for f in fields if f.name not in gone),
        rules=rules,
        skips=skips,
    )
    left_out = (
        *gone,
        *(r.name for r in program.rules if r not in rules),
        *(s.name for s in program.skips if s not in skips),
    )
    # Of a key that stands in the target under another name, the source's name is as good.
    missing = unknown.fields - set(unchecked)
    orders = any(map(unknown.are_read_by, program.duplicates.order))
    knows_keys = not missing & set(program.key) and not orders
    return PredictablePart(kept, unchecked, left_out, frozenset(unknown.fields), knows_keys)


@dataclass
class _UnknownColumns:
    """Fields, and columns of parents (quoted, as SQL has them), without a value."""

    fields: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)

    def are_read_by(self, expression: BoundExpression) -> bool:
        """Whether the expression reads any of them."""
        return bool(self.fields & set(expression.fields)) or any(
            column in expression.sql for column in self.taken
        )


def _without_references(
    program: LoadProgram, unchecked: Collection[str]
) -> tuple[list[FieldProgram], _UnknownColumns]:
    """The fields, those of ``unchecked`` without their reference; and what that leaves unknown."""
    unknown = _UnknownColumns()
    fields = []
    for one in program.fields:
        reference = one.reference
        if reference is None or one.name not in unchecked:
            fields.append(one)
            continue
        for alias, _, kind in reference.take:
            column = f"take.{alias}"
            unknown.taken |= {quote(column), quote(visible_name(column, kind))}
        if reference.by_source_key:
            unknown.fields.add(one.name)
        target = TEXT if reference.by_source_key else one.target
        fields.append(replace(one, target=target, reference=None))
    return fields, unknown


def _dependent_fields(fields: Sequence[FieldProgram], unknown: _UnknownColumns) -> list[str]:
    """The fields that depend on unknown columns, which become unknown themselves."""
    gone: list[str] = []
    while True:
        dependent = [
            f for f in fields if f.name not in gone and any(map(unknown.are_read_by, f.reads))
        ]
        if not dependent:
            return gone
        for one in dependent:
            gone.append(one.name)
            unknown.fields |= set(one.columns)
