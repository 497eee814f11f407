"""Compiles the map of a field: pairs, a lookup table, or a GEM."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.blanks import BLANKS
from schemas.column_types import ColumnType
from schemas.errors import ErrorCode
from schemas.specification.maps import CodeMap
from schemas.specification.policies import UnmappedAction
from schemas.specification.table import Field
from schemas.sql.transformations import is_python_function
from transforms.compiling.coding import named_revision, revision_in_force
from transforms.compiling.field_origin import source_column, to_text
from transforms.compiling.load_facts import FieldProblem, LoadFacts
from transforms.compiling.scope import Scope
from transforms.model.bound_expression import BoundExpression
from transforms.model.field_maps import (
    MOST_IN_SQL,
    CodeTranslation,
    FieldMap,
    MapAttribute,
    PairsInSql,
    PairsLookup,
    TableLookup,
    Unmapped,
)


def compile_map(
    facts: LoadFacts, scope: Scope, field: Field, types: Mapping[str, ColumnType]
) -> FieldMap | None:
    """Compiles the map that a field names.

    Args:
        facts: the load.
        scope: the columns that expressions may read.
        field: the field's entry in the specification.
        types: the types of all target fields.

    Returns:
        The map; None where the field names none.

    Raises:
        FieldProblem: TRANS-001 for a column that isn't there, TRANS-004 for a type that doesn't
            fit.
    """
    used = None if field.map is None else facts.specification.maps.get(field.map)
    if used is None or field.map is None:
        return None
    if used.is_gem:
        return CodeTranslation(
            field.map,
            named_revision(scope, field.coded_in),
            revision_in_force(scope, field.coded_on),
            _attributes(facts, field, types),
        )
    unmapped = _unmapped_policy(facts, used)
    if used.is_lookup:
        parts = _key_parts(facts, scope, field)
        return TableLookup(field.map, unmapped, parts, _attributes(facts, field, types))
    pairs = tuple((key, _unless_blank(facts, to)) for key, to in (used.values or {}).items())
    return (PairsInSql if len(pairs) <= MOST_IN_SQL else PairsLookup)(pairs, unmapped)


def check_key(facts: LoadFacts, field: Field) -> None:
    """Refuse a field that gives more or fewer values than the key of its lookup table has parts.

    Raises:
        FieldProblem: SYS-004.
    """
    if not facts.specification.looks_up(field):
        return
    table = facts.lookups.get(field.map or "")
    count = len(field.from_ or (field.origin,))
    if table is not None and count != len(table.keys):
        raise FieldProblem(
            ErrorCode.SYS_004,
            f"a key of the map '{field.map}' has {len(table.keys)} columns, of which this"
            f" gives {count}",
            "from" if field.from_ else "map",
            remedy="name as many columns in 'from', in the order of the map's",
        )


def _key_parts(facts: LoadFacts, scope: Scope, field: Field) -> tuple[BoundExpression, ...]:
    """The further parts of the key that a field looks up, as text unless a Python function
    transforms them first."""
    steps = [step for step in field.transform if step != "direct"]
    is_transformed = bool(steps) and is_python_function(steps[0])
    origins = [source_column(facts, scope, name) for name in (field.from_ or [])[1:]]
    return tuple(
        origin.value if is_transformed else to_text(origin.value, origin.type) for origin in origins
    )


def _unmapped_policy(facts: LoadFacts, used: CodeMap) -> Unmapped:
    policy = used.unmapped
    return Unmapped(policy.action or UnmappedAction.DEFAULT, _unless_blank(facts, policy.default))


def _unless_blank(facts: LoadFacts, text: str | None) -> str | None:
    """A value of a map: blank text is missing there as it is in a source."""
    is_blank = facts.blank_is_missing and text is not None and not text.strip(BLANKS)
    return None if is_blank else text


def _attributes(
    facts: LoadFacts, field: Field, types: Mapping[str, ColumnType]
) -> tuple[MapAttribute, ...]:
    """The columns of ``into`` that the target has."""
    attributes = []
    for column, attribute in field.into.items():
        kind = types.get(column)
        if kind is None:
            continue
        fits = kind.is_integer if attribute == "cluster_seq" else kind.is_textual
        if not fits:
            needed = "an integer" if attribute == "cluster_seq" else "text"
            raise FieldProblem(
                ErrorCode.TRANS_004,
                f"'{attribute}' is {needed}, the target's column '{column}' is {kind}",
                "into",
                column,
            )
        written = facts.table.column(column)
        required = written is not None and not written.nullable
        attributes.append(MapAttribute(column, attribute, kind, required))
    return tuple(attributes)
