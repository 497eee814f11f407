"""A load: one source relation into one target table, field by field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, field_validator, model_validator
from pydantic import Field as Attribute
from pydantic_core import PydanticKnownError

from schemas.errors import Category, ErrorCode
from schemas.ready_rules import READY_RULES
from schemas.specification.model import Part


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_as_list)]


def _century(value: object) -> object:
    if value is None or value == "past":
        return value
    if re.fullmatch("[1-9][0-9]{3}", str(value)) and int(str(value)) <= _LAST_PIVOT:
        return int(str(value))
    raise ValueError(
        "'century' is 'past', or the first of the hundred years that are meant, such as 1930"
    )


_LAST_PIVOT = 9900

Century = Annotated[Literal["past"] | int, BeforeValidator(_century)]
"""``past``, or the first of the hundred years that two digits may mean."""

_MISSING = ("reject", "set_null", "allow", "placeholder")


class Placeholder(Part):
    """A stand-in for a missing parent, with the values of its columns by name."""

    placeholder: dict[str, str]


def _missing(value: object) -> object:
    if value in _MISSING or isinstance(value, Placeholder):
        return value
    if not isinstance(value, Mapping):
        expected = f"{', '.join(map(repr, _MISSING[:-1]))} or {_MISSING[-1]!r}"
        raise PydanticKnownError("literal_error", {"expected": expected})
    values = value.get("placeholder")
    if set(value) != {"placeholder"} or not isinstance(values, Mapping) or not values:
        raise ValueError("values of a placeholder are written as 'placeholder: {COLUMN: VALUE}'")
    nothing = [name for name, given in values.items() if not isinstance(given, str | int | float)]
    if nothing:
        raise ValueError(f"a placeholder's '{nothing[0]}' is given no value")
    return Placeholder(
        placeholder={
            str(name): str(given).lower() if isinstance(given, bool) else str(given)
            for name, given in values.items()
        }
    )


Missing = Annotated[
    Literal["reject", "set_null", "allow", "placeholder"] | Placeholder, BeforeValidator(_missing)
]

STEPS = ("from", "sql", "const", "system", "generate")


POSITION = "_position"
"""The column of a candidate's position in its row, unless it has a name."""


class Unpivot(Part):
    """Columns of one row (``dx1`` to ``dx10``) that become candidates of their own.

    ``columns`` are patterns with ``{n}``, or lists of names; those of several stay together. The
    first of them says which places hold a candidate: those that aren't blank.
    """

    columns: dict[str, str | list[str]]
    position: str = POSITION
    empty: Literal["skip", "reject"] = "skip"

    @field_validator("columns")
    @classmethod
    def _some_with_places(cls, value: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
        if not value:
            raise ValueError("no column is named here")
        for pattern in value.values():
            if isinstance(pattern, str) and pattern.count("{n}") != 1:
                raise ValueError("a pattern of columns has {n} once, where their numbers stand")
            if isinstance(pattern, list) and not pattern:
                raise ValueError("no column is named here")
        return value


class Split(Part):
    """Parts of one cell (``253.2, E23.0``) that become candidates of their own."""

    column: str
    into: str
    by: str = ","
    position: str = POSITION
    empty: Literal["skip", "reject"] = "skip"

    @field_validator("by")
    @classmethod
    def _some(cls, value: str) -> str:
        if not value:
            raise ValueError("text is needed that stands between the parts")
        return value


class Relation(Part):
    """What a load reads: a table, a query or files, of the source or of one named source."""

    table: str | None = None
    query: str | None = None
    file: str | None = None
    source: str | None = None
    unpivot: Unpivot | None = None
    split: Split | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Relation:
        given = [k for k in ("table", "query", "file") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError("a relation is one of 'table', 'query' and 'file'")
        if self.unpivot is not None and self.split is not None:
            raise ValueError("a relation has 'unpivot' or 'split', not both")
        return self

    @property
    def spread(self) -> Unpivot | Split | None:
        """What makes several candidates of one row, if anything does."""
        return self.unpivot or self.split


class Field(Part):
    """A field of the target; its steps run in the order in which they stand here."""

    from_: Names | None = Attribute(default=None, alias="from")
    sql: str | None = None
    const: str | None = None
    system: Literal["started_at", "job", "source_key"] | None = None
    generate: Literal["sequence", "uuid5"] | None = None
    transform: Names = []
    map: str | None = None
    coded_in: str | None = None
    coded_on: str | None = None
    into: dict[str, str] = {}
    type: str | None = None
    format: Names = []
    century: Century | None = None
    zone: str | None = None
    on_ambiguous: Literal["reject", "earlier", "later"] | None = None
    on_error: Literal["reject", "set_null"] | None = None
    default: str | None = None
    required: bool = False
    rule: str | None = None
    ref: str | None = None
    take: dict[str, str] = {}
    deferred: bool = False
    on_missing: Missing = "reject"
    on_skipped: Literal["skip", "reject"] | None = None

    @property
    def origin(self) -> str:
        """Which of the five first steps the field begins with."""
        for step in STEPS:
            if step.rstrip("_") in self._given:
                return step
        return ""

    @property
    def skipped_parent(self) -> Literal["skip", "reject", "as_missing"]:
        """What becomes of a child of a skipped parent.

        Unless it is said, the child is skipped as well; but where rows without a parent
        are to be kept, one whose parent was skipped is kept in the same way.
        """
        if self.on_skipped is not None:
            return self.on_skipped
        return "skip" if self.on_missing == "reject" else "as_missing"

    @property
    def missing_parent(self) -> Literal["reject", "set_null", "allow", "placeholder"]:
        """What becomes of a child without its parent."""
        return "placeholder" if isinstance(self.on_missing, Placeholder) else self.on_missing

    @property
    def placeholder_values(self) -> dict[str, str]:
        """The values of the columns of its placeholders, as texts."""
        return self.on_missing.placeholder if isinstance(self.on_missing, Placeholder) else {}

    @property
    def _given(self) -> set[str]:
        return {"from" if name == "from_" else name for name in self.model_fields_set}

    @model_validator(mode="after")
    def _fits(self) -> Field:
        origins = [step for step in STEPS if step in self._given]
        if len(origins) != 1:
            told = f"not with {' and '.join(origins)}" if origins else "none is given"
            raise ValueError(f"a field begins with one of {', '.join(STEPS)}; {told}")
        if self.from_ is not None and not self.from_:
            raise ValueError("'from' names at least one source column")
        if len(self.from_ or ()) > 1 and self.ref is None and self.map is None:
            raise ValueError("'from' takes several columns only with 'ref', or with 'map'")
        if self.ref is None:
            orphans = {"take", "deferred", "on_missing", "on_skipped"} & self._given
            if orphans:
                raise ValueError(f"'{min(orphans)}' needs 'ref'")
        if self.map is None:
            without = {"into", "coded_in", "coded_on"} & self._given
            if without:
                raise ValueError(f"'{min(without)}' needs 'map'")
        if any("%" in pattern for pattern in self.format) and self.type is None:
            raise ValueError("'format' needs 'type'")
        if self.on_error == "set_null" and self.required:
            raise ValueError("'on_error: set_null' writes NULL, which 'required' forbids")
        if self.rule is not None and not self.required:
            raise ValueError("'rule' names the check of 'required: true'")
        if self.generate is not None and self._given - {"generate"}:
            raise ValueError("a generated field takes no further step")
        return self


def _check_of(value: object) -> object:
    return {"check": value} if isinstance(value, str) else value


RULE_CODES = {
    code for code in ErrorCode if code.category in (Category.DATA, Category.TRANSFORMATION)
}


class Rule(Part):
    """A check on the target fields of a row: SQL, or a ready rule by name.

    All other keys are parameters of the ready rule (``parameters``).
    """

    model_config = ConfigDict(extra="allow")

    check: str | None = None
    use: str | None = None
    error: ErrorCode | None = None
    on_fail: Literal["reject", "warn"] | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What is given beside the keys of every rule, as it is written."""
        return self.model_extra or {}

    @property
    def code(self) -> ErrorCode:
        """The code of its violations; of a ready rule that rule's, unless another is given."""
        ready = READY_RULES.get(self.use or "")
        return self.error or (ready.error if ready is not None else ErrorCode.DATA_001)

    @property
    def warns(self) -> bool:
        """Whether a row on which it fails is written all the same."""
        ready = READY_RULES.get(self.use or "")
        if self.on_fail is None and ready is not None:
            return ready.warns
        return self.on_fail == "warn"

    @model_validator(mode="after")
    def _one_of(self) -> Rule:
        if (self.check is None) == (self.use is None):
            raise ValueError("a rule is an expression, or {check: ...}, or {use: READY_RULE}")
        if self.error is not None and self.error not in RULE_CODES:
            raise ValueError(f"'error' is a DATA or TRANS code, not {self.error.value}")
        return self


class Duplicates(Part):
    """Which of several candidates with one key is written."""

    keep: Literal["first", "last"] = "first"
    order: Names = []
    losers: Literal["reject", "skip"] = "reject"


class Blank(Part):
    """How values are taken before their steps: whether blank text is missing."""

    blank: Literal["missing", "keep"] = "missing"


def _relations(value: object) -> object:
    found = value if isinstance(value, list) else [value]
    return [{"table": one} if isinstance(one, str) else one for one in found]


class Load(Part):
    """One entry of ``tables``."""

    into: str | None = None
    from_: Annotated[list[Relation], BeforeValidator(_relations)] = Attribute(alias="from")
    partition: Names | None = None
    source_key: Names | None = None
    key: Names = []
    write: Literal["insert", "skip_existing", "upsert"] = "insert"
    skip: dict[str, str] = {}
    duplicates: Duplicates = Duplicates()
    defaults: Blank | None = None
    copy_: Names = Attribute(default=[], alias="copy")
    fields: dict[str, Field] = {}
    rules: dict[str, Annotated[Rule, BeforeValidator(_check_of)]] = {}

    @field_validator("from_")
    @classmethod
    def _not_empty(cls, value: list[Relation]) -> list[Relation]:
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
        """The generated field that references take, found by the source key of the row.

        That is one in the key, or one beside a key that isn't a single column.
        """
        generated = [name for name, field in self.fields.items() if field.generate is not None]
        in_key = [name for name in generated if name in self.key]
        taken = in_key or (generated if len(self.key) != 1 else [])
        return min(taken, default=None)
