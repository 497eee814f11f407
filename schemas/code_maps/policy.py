"""What becomes of a code by the category in which a map has it: the specification's ``policy``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from schemas.code_maps.gem import GemCategory

Action = Literal["accept", "expand", "no_target", "reject"]

_Open = Literal["reject", "no_target", "expand"]


class GemPolicy(BaseModel):
    """What becomes of the codes of each category; exact ones are always accepted.

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
    def _renamed(cls, value: object) -> object:
        return "no_target" if value == "keep_source" else value

    approximate: Literal["accept", "reject", "no_target"] = "accept"
    cluster: Literal["expand", "accept", "reject", "no_target"] = "expand"
    choice: _Open = "reject"
    cluster_choice: _Open | None = None
    scenarios: _Open | None = None
    mixed: _Open | None = None
    no_map: Literal["reject", "no_target"] = "reject"
    unknown_code: Literal["reject", "no_target"] = "reject"

    def action(self, category: GemCategory) -> Action:
        """What is done with codes of a category."""
        if category is GemCategory.EXACT:
            return "accept"
        own: Action | None = getattr(self, category.value)
        return self.choice if own is None else own
