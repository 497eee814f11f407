"""A load: one source relation into one target table, field by field."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, field_validator, model_validator
from pydantic import Field as Attribute

from schemas.allowed_members import allow
from schemas.conversions.text_readings import OnAmbiguous
from schemas.specification.model import Part
from schemas.specification.named_relation import NamedRelation, NamedRelations
from schemas.specification.parent_policy import Missing, Placeholder
from schemas.specification.policies import (
    Keep,
    KeyGenerator,
    Losers,
    OnBlank,
    OnError,
    OnMissing,
    OnSkipped,
    SystemValue,
    WriteMode,
)
from schemas.specification.row_rule import RowRule


def _read_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_read_list)]


def _read_century(value: object) -> object:
    if value is None or value == "past":
        return value
    if re.fullmatch("[1-9][0-9]{3}", str(value)) and int(str(value)) <= _LAST_PIVOT:
        return int(str(value))
    raise ValueError(
        "'century' is 'past', or the first of the hundred years that are meant, such as 1930"
    )


_LAST_PIVOT = 9900

Century = Annotated[Literal["past"] | int, BeforeValidator(_read_century)]
"""``past``, or the first of the hundred years that two digits may mean."""

STEPS = ("from", "sql", "const", "system", "generate")


class Field(Part):
    """A field of the target; its steps run in the order in which they stand here."""

    from_: Names | None = Attribute(default=None, alias="from")
    sql: str | None = None
    const: str | None = None
    system: SystemValue | None = None
    generate: KeyGenerator | None = None
    transform: Names = []
    map: str | None = None
    coded_in: str | None = None
    coded_on: str | None = None
    into: dict[str, str] = {}
    type: str | None = None
    format: Names = []
    century: Century | None = None
    zone: str | None = None
    on_ambiguous: OnAmbiguous | None = None
    on_error: OnError | None = None
    default: str | None = None
    required: bool = False
    rule: str | None = None
    ref: str | None = None
    take: dict[str, str] = {}
    deferred: bool = False
    on_missing: Missing = OnMissing.REJECT
    on_skipped: Annotated[OnSkipped, allow(OnSkipped.SKIP, OnSkipped.REJECT)] | None = None

    @property
    def origin(self) -> str:
        """The one of the five first steps with which the field begins."""
        for step in STEPS:
            if step.rstrip("_") in self._value_keys:
                return step
        return ""

    @property
    def skipped_parent(self) -> OnSkipped:
        """The policy for a child of a skipped parent.

        By default the child is skipped as well; but a field that keeps rows without a parent
        keeps a row whose parent was skipped in the same way.
        """
        if self.on_skipped is not None:
            return self.on_skipped
        return OnSkipped.SKIP if self.on_missing is OnMissing.REJECT else OnSkipped.AS_MISSING

    @property
    def missing_parent(self) -> OnMissing:
        """The policy for a child without its parent."""
        if isinstance(self.on_missing, Placeholder):
            return OnMissing.PLACEHOLDER
        return self.on_missing

    @property
    def placeholder_values(self) -> dict[str, str]:
        """The values of the columns of its placeholders, as texts."""
        return self.on_missing.placeholder if isinstance(self.on_missing, Placeholder) else {}

    @property
    def _value_keys(self) -> set[str]:
        return {"from" if name == "from_" else name for name in self.model_fields_set}

    @model_validator(mode="after")
    def _fits(self) -> Field:
        origins = [step for step in STEPS if step in self._value_keys]
        if len(origins) != 1:
            reason = f"not with {' and '.join(origins)}" if origins else "none is given"
            raise ValueError(f"a field begins with one of {', '.join(STEPS)}; {reason}")
        if self.from_ is not None and not self.from_:
            raise ValueError("'from' names at least one source column")
        if len(self.from_ or ()) > 1 and self.ref is None and self.map is None:
            raise ValueError("'from' takes several columns only with 'ref', or with 'map'")
        if self.ref is None:
            orphans = {"take", "deferred", "on_missing", "on_skipped"} & self._value_keys
            if orphans:
                raise ValueError(f"'{min(orphans)}' needs 'ref'")
        if self.map is None:
            without = {"into", "coded_in", "coded_on"} & self._value_keys
            if without:
                raise ValueError(f"'{min(without)}' needs 'map'")
        if any("%" in pattern for pattern in self.format) and self.type is None:
            raise ValueError("'format' needs 'type'")
        if self.on_error is OnError.SET_NULL and self.required:
            raise ValueError("'on_error: set_null' writes NULL, which 'required' forbids")
        if self.rule is not None and not self.required:
            raise ValueError("'rule' names the check of 'required: true'")
        if self.generate is not None and self._value_keys - {"generate"}:
            raise ValueError("a generated field takes no further step")
        return self


class Duplicates(Part):
    """The policy for several candidates with one key, of which one is written."""

    keep: Keep = Keep.FIRST
    order: Names = []
    losers: Losers = Losers.REJECT


class Blank(Part):
    """Whether blank text counts as missing before the steps of a field."""

    blank: OnBlank = OnBlank.MISSING


class Load(Part):
    """One entry of ``tables``."""

    into: str | None = None
    from_: NamedRelations = Attribute(alias="from")
    partition: Names | None = None
    source_key: Names | None = None
    key: Names = []
    write: WriteMode = WriteMode.INSERT
    skip: dict[str, str] = {}
    duplicates: Duplicates = Duplicates()
    defaults: Blank | None = None
    copy_: Names = Attribute(default=[], alias="copy")
    fields: dict[str, Field] = {}
    rules: dict[str, RowRule] = {}

    @field_validator("from_")
    @classmethod
    def _not_empty(cls, value: list[NamedRelation]) -> list[NamedRelation]:
        if not value:
            raise ValueError("'from' names no table")
        return value

    @model_validator(mode="after")
    def _some_field(self) -> Load:
        if not self.fields and not self.copy_:
            raise ValueError("this load writes no field: give 'fields' or 'copy'")
        return self

    @property
    def generated_reference(self) -> str | None:
        """The generated field that references read, by the source key of the row.

        It is part of the key, or stands beside a key that isn't a single column.
        """
        generated = [name for name, field in self.fields.items() if field.generate is not None]
        in_key = [name for name in generated if name in self.key]
        taken = in_key or (generated if len(self.key) != 1 else [])
        return min(taken, default=None)
