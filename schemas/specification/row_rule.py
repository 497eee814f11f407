"""The rules of a load (``rules``): SQL on the target fields of a row, or ready rules."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, model_validator

from schemas.errors import Category, ErrorCode
from schemas.ready_rules import READY_RULES
from schemas.specification.model import Part
from schemas.specification.policies import OnFail

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
    on_fail: OnFail | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The other keys of the entry, with their values as they are written."""
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
        return self.on_fail is OnFail.WARN

    @model_validator(mode="after")
    def _one_of(self) -> Rule:
        if (self.check is None) == (self.use is None):
            raise ValueError("a rule is an expression, or {check: ...}, or {use: READY_RULE}")
        if self.error is not None and self.error not in RULE_CODES:
            raise ValueError(f"'error' is a DATA or TRANS code, not {self.error.value}")
        return self


def _read_rule(value: object) -> object:
    return {"check": value} if isinstance(value, str) else value


RowRule = Annotated[Rule, BeforeValidator(_read_rule)]
"""An entry of ``rules``; a text is its ``check``."""
