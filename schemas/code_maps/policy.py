"""The policy for the codes of a map, by the category of each."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, field_validator

from schemas.allowed_members import allow
from schemas.code_maps.gem import GemCategory


class CodeAction(str, Enum):
    """The action for codes of a category; ``NO_TARGET`` writes the row without a code."""

    ACCEPT = "accept"
    EXPAND = "expand"
    NO_TARGET = "no_target"
    REJECT = "reject"


_Open = Annotated[CodeAction, allow(CodeAction.REJECT, CodeAction.NO_TARGET, CodeAction.EXPAND)]

_Closed = Annotated[CodeAction, allow(CodeAction.REJECT, CodeAction.NO_TARGET)]


class GemPolicy(BaseModel):
    """The action for the codes of each category; exact ones are always accepted.

    ``accept`` and ``expand`` write a row for each target, and mean the same for a cluster,
    whose codes belong together. Of alternatives none may be taken by itself, so they are
    never accepted: ``expand`` writes all of them, for a person to choose from.
    ``no_target`` writes the row without a code, with a warning; its earlier name ``keep_source`` is
    taken as well. ``reject`` rejects it.

    ``choice`` holds for ``cluster_choice``, ``scenarios`` and ``mixed`` as well, unless these
    have an action of their own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _read_earlier_name(cls, value: object) -> object:
        return CodeAction.NO_TARGET if value == "keep_source" else value

    approximate: Annotated[
        CodeAction, allow(CodeAction.ACCEPT, CodeAction.REJECT, CodeAction.NO_TARGET)
    ] = CodeAction.ACCEPT
    cluster: Annotated[
        CodeAction,
        allow(CodeAction.EXPAND, CodeAction.ACCEPT, CodeAction.REJECT, CodeAction.NO_TARGET),
    ] = CodeAction.EXPAND
    choice: _Open = CodeAction.REJECT
    cluster_choice: _Open | None = None
    scenarios: _Open | None = None
    mixed: _Open | None = None
    no_map: _Closed = CodeAction.REJECT
    unknown_code: _Closed = CodeAction.REJECT

    def action(self, category: GemCategory) -> CodeAction:
        """The action for codes of a category."""
        if category is GemCategory.EXACT:
            return CodeAction.ACCEPT
        own: CodeAction | None = getattr(self, category.value)
        return self.choice if own is None else own
