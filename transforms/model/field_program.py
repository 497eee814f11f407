"""A field of a load, compiled: the steps from its origin to a value of the target's type.

The steps are independent of each other (a reference may look its key up in a map), so there is no
union of fields; instead each step that comes in kinds is one: ``FieldOrigin`` and ``FieldMap``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from schemas.column_types import TEXT, ColumnType
from schemas.conversions import AS_WRITTEN, Reading
from transforms.model.bound_expression import BoundExpression
from transforms.model.field_maps import (
    CodeTranslation,
    FieldMap,
    LookedUpMap,
    MapAttribute,
    PairsInSql,
    TableLookup,
    ValueMap,
)
from transforms.model.field_origins import FieldOrigin
from transforms.model.parent_reference import Reference
from transforms.model.python_function import PythonFunction


class FieldStage(IntEnum):
    """When a field is computed: each stage sees the fields of the stages before."""

    MAP = 0
    TRANSLATE = 1
    DERIVE = 2
    AFTER_REFERENCES = 3


@dataclass(frozen=True)
class FieldProgram:
    """A field's steps, in their order.

    Attributes:
        name: the target column.
        stage: when it is computed.
        origin: where its value comes from.
        target: the type of the target column.
        transforms: SQL templates over ``{}``, or Python functions.
        blank_is_missing: blank text is NULL after the transformations.
        map: the map that replaces the value.
        declared: the type that the specification names, where it isn't ``target``.
        reading: how text becomes a value.
        nulls_errors: a value that can't be computed or converted is NULL, with a warning.
        default: SQL for the value in place of NULL.
        required: NULL is a violation, of the rule ``required_rule``.
        reference: the reference to parents.
    """

    name: str
    stage: FieldStage
    origin: FieldOrigin
    target: ColumnType
    transforms: tuple[str | PythonFunction, ...] = ()
    blank_is_missing: bool = True
    map: FieldMap | None = None
    declared: ColumnType | None = None
    reading: Reading = AS_WRITTEN
    nulls_errors: bool = False
    default: str | None = None
    required: bool = False
    required_rule: str = ""
    reference: Reference | None = None

    @property
    def calls_python(self) -> bool:
        """Whether one of its transformations is a Python function."""
        return any(isinstance(step, PythonFunction) for step in self.transforms)

    @property
    def value_map(self) -> ValueMap | None:
        """The map, unless it is a GEM."""
        return None if isinstance(self.map, CodeTranslation) else self.map

    @property
    def lookup(self) -> LookedUpMap | None:
        """The map, if it is looked up in Arrow, between two queries."""
        return None if isinstance(self.map, CodeTranslation | PairsInSql) else self.map

    @property
    def translation(self) -> CodeTranslation | None:
        """The map, if it is a GEM."""
        return self.map if isinstance(self.map, CodeTranslation) else None

    @property
    def key_parts(self) -> tuple[BoundExpression, ...]:
        """The further parts of the key that is looked up."""
        return self.map.key_parts if isinstance(self.map, TableLookup) else ()

    @property
    def transformed_type(self) -> ColumnType:
        """The type of its value after the transformations."""
        return TEXT if self.transforms else self.origin.type

    @property
    def mapped_type(self) -> ColumnType:
        """The type of its value after a map that is no GEM."""
        return TEXT if self.value_map is not None else self.transformed_type

    @property
    def attributes(self) -> tuple[MapAttribute, ...]:
        """The target columns that get an attribute of the map."""
        return self.map.attributes if isinstance(self.map, TableLookup | CodeTranslation) else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All target columns that it fills, its own first."""
        return (self.name, *(attribute.column for attribute in self.attributes))

    @property
    def reads(self) -> tuple[BoundExpression, ...]:
        """The expressions that it is computed from, without further parts of a key."""
        revisions = () if self.translation is None else self.translation.revisions
        return (self.origin.value, *revisions)

    @property
    def fields_read(self) -> tuple[str, ...]:
        """The target fields that it is computed from, without duplicates."""
        return tuple(dict.fromkeys(name for e in self.reads for name in e.fields))

    @property
    def is_raw(self) -> bool:
        """Whether a later step (translation, reference by source key) makes the value."""
        by_source_key = self.reference is not None and self.reference.by_source_key
        return by_source_key or self.translation is not None
