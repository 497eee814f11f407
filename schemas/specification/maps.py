"""Maps: everything that turns one value into another."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import Repair
from schemas.code_maps.target_check import Outdated
from schemas.code_maps.translation import Notation
from schemas.specification.model import Part

GEM_ATTRIBUTES = (
    "category",
    "map",
    "cluster_seq",
    "flags",
    "groups",
    "source_code",
    "map_name",
    "map_version",
    "map_sha256",
)
"""What ``into`` of a field can ask of a translation by a GEM map."""


def _default_value(value: object) -> object:
    return {"action": value} if isinstance(value, str) else value


class OnUnmapped(Part):
    """What becomes of a value that a map lacks."""

    action: Literal["reject", "keep", "set_null"] | None = None
    default: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> OnUnmapped:
        if (self.action is None) == (self.default is None):
            raise ValueError("'on_unmapped' takes reject, keep, set_null or {default: VALUE}")
        return self


_OF_A_GEM = ("policy", "notation", "repair", "release", "outdated")


class CodeMap(Part):
    """One entry of ``maps``: a GEM file, or a table of values."""

    gem: str | None = None
    policy: GemPolicy | None = None
    notation: Notation | None = None
    repair: Repair | None = None
    release: str | None = None
    outdated: Outdated | None = None
    values: dict[str, str | None] | None = None
    csv: str | None = None
    query: Any = None
    from_: Any = Field(default=None, alias="from")
    to: str | None = None
    chain: Any = None
    on_unmapped: Annotated[OnUnmapped, BeforeValidator(_default_value)] | None = None

    @property
    def is_gem(self) -> bool:
        return self.values is None and self.csv is None and self.query is None

    def checks_targets(self, holds_targets: bool) -> Outdated | None:
        """What becomes of targets that a release lacks; None where none is asked.

        One is asked where it or 'outdated' is given, and where the column ``holds_targets``,
        codes of the target's system beside others.
        """
        if self.outdated == "accept" and not holds_targets:
            return None
        asked = holds_targets or self.release is not None
        return self.outdated or ("warn" if asked else None)

    @property
    def unmapped(self) -> OnUnmapped:
        return self.on_unmapped or OnUnmapped(action="reject")

    @model_validator(mode="after")
    def _one_kind(self) -> CodeMap:
        kinds = [k for k in ("gem", "values", "csv", "query") if getattr(self, k) is not None]
        if len(kinds) > 1:
            raise ValueError(f"a map is made of one thing only, not of {' and '.join(kinds)}")
        belong = [k for k in _OF_A_GEM if getattr(self, k) is not None]
        if not self.is_gem and belong:
            raise ValueError(f"'{belong[0]}' belongs to a GEM map")
        if self.is_gem and self.on_unmapped is not None:
            raise ValueError("a GEM map has 'policy', not 'on_unmapped'")
        return self
