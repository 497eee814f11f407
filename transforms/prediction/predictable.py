"""The part of a load that can be computed while some of its parents aren't there yet."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from schemas.column_types import TEXT
from schemas.sql.expressions import quote
from transforms.model.bound_expression import BoundExpression
from transforms.model.field_program import FieldProgram
from transforms.model.parent_reference import Reference
from transforms.model.program import LoadProgram
from transforms.sql.exposure import visible_name


@dataclass(frozen=True)
class PredictablePart:
    """A program that asks for no absent parent, and what it leaves out.

    ``unchecked`` are the fields whose references it doesn't check, ``left_out`` the fields,
    rules and skips that read something which only the parent's row would give. ``unknown``
    are all fields whose value in the target can't be told; ``knows_keys`` says whether that
    leaves enough to see which rows have the same key, and which of them wins.
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
    unchecked = [f for f in program.fields if f.reference in absent]
    if not unchecked:
        return PredictablePart(program)
    unknown: set[str] = set()
    columns: set[str] = set()
    fields = []
    for field in program.fields:
        reference = field.reference
        if reference is not None and field in unchecked:
            for alias, _, kind in reference.take:
                taken = f"take.{alias}"
                columns |= {quote(taken), quote(visible_name(taken, kind))}
            if reference.by_source_key:
                unknown.add(field.name)
                field = replace(field, target=TEXT)
            field = replace(field, reference=None)
        fields.append(field)

    def depends(expression: BoundExpression) -> bool:
        return bool(unknown & set(expression.fields)) or any(c in expression.sql for c in columns)

    gone: dict[str, FieldProgram] = {}
    while True:
        more = [f for f in fields if f.name not in gone and any(map(depends, f.reads))]
        if not more:
            break
        for field in more:
            gone[field.name] = field
            unknown |= set(field.columns)
    rules = tuple(r for r in program.rules if not depends(r.check))
    skips = tuple(s for s in program.skips if not depends(s.condition))
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
    missing = unknown - {f.name for f in unchecked}
    knows_keys = not missing & set(program.key) and not any(map(depends, program.duplicates.order))
    names = tuple(f.name for f in unchecked)
    return PredictablePart(kept, names, left_out, frozenset(unknown), knows_keys)
