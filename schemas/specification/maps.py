"""Maps: everything that turns one value into another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from schemas.allowed_members import allow
from schemas.code_maps.packaged_codes import FIRST_YEAR, LAST_YEAR
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import Repair
from schemas.code_maps.target_check import Outdated
from schemas.code_maps.translation import Notation
from schemas.specification.model import Part
from schemas.specification.policies import UnmappedAction
from schemas.specification.table import Names

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

LOOKUP_ATTRIBUTES = ("map", "map_name", "map_sha256")
"""What it can ask of a value that a lookup table has given."""


Packaged = Literal["icd9_to_icd10", "icd10_to_icd9", "icd9proc_to_icd10pcs", "icd10pcs_to_icd9proc"]
"""The GEMs of CMS: those of ``GEM_FILES`` are packaged, and of the other a file is needed."""


def _default_value(value: object) -> object:
    return {"action": value} if isinstance(value, str) else value


class OnUnmapped(Part):
    """What becomes of a value that a map lacks."""

    action: (
        Annotated[
            UnmappedAction,
            allow(UnmappedAction.REJECT, UnmappedAction.KEEP, UnmappedAction.SET_NULL),
        ]
        | None
    ) = None
    default: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> OnUnmapped:
        if (self.action is None) == (self.default is None):
            raise ValueError("'on_unmapped' takes reject, keep, set_null or {default: VALUE}")
        return self


_OF_A_GEM = ("packaged", "policy", "notation", "repair", "release", "outdated")

_FISCAL_YEAR = re.compile("FY([0-9]{4})")


def _query_of(value: object) -> object:
    return {"query": value} if isinstance(value, str) else value


class MapQuery(Part):
    """Where a map is read with a query: in the source, or one of several, or in the target."""

    query: str | None = None
    source: str | None = None
    target: str | None = None

    @property
    def text(self) -> str:
        return self.query or self.target or ""

    @model_validator(mode="after")
    def _one_of(self) -> MapQuery:
        if (self.query is None) == (self.target is None):
            raise ValueError(
                "a map's query is SQL for the source, {source: NAME, query: SQL} or {target: SQL}"
            )
        if self.target is not None and self.source is not None:
            raise ValueError("a map's query reads a source or the target, not both")
        return self


class CodeMap(Part):
    """One entry of ``maps``: a GEM (of a file, or ``packaged``), pairs of values, or a lookup table
    (CSV or query). ``release`` is the path of a file, or a packaged fiscal year such as FY2024.

    ``from_`` are the key columns of the CSV file, ``to`` the column of what they stand for.
    """

    gem: str | None = None
    packaged: Packaged | None = None
    policy: GemPolicy | None = None
    notation: Notation | None = None
    repair: Repair | None = None
    release: str | None = None
    outdated: Outdated | None = None
    values: dict[str, str | None] | None = None
    csv: str | None = None
    query: Annotated[MapQuery, BeforeValidator(_query_of)] | None = None
    from_: Names | None = Field(default=None, alias="from")
    to: str | None = None
    chain: bool = False
    on_unmapped: Annotated[OnUnmapped, BeforeValidator(_default_value)] | None = None

    @property
    def is_gem(self) -> bool:
        return self.values is None and not self.is_lookup

    @property
    def is_lookup(self) -> bool:
        """Whether it is a table that stands elsewhere and is looked up."""
        return self.csv is not None or self.query is not None

    @property
    def attributes(self) -> tuple[str, ...]:
        """What ``into`` of a field can ask of it."""
        if self.is_gem:
            return GEM_ATTRIBUTES
        return LOOKUP_ATTRIBUTES if self.is_lookup else ()

    def checks_targets(self, holds_targets: bool) -> Outdated | None:
        """What becomes of targets that the release lacks; None where no release is needed, as the
        column doesn't hold codes of the target's system beside others (``holds_targets``)."""
        if self.outdated is Outdated.ACCEPT and not holds_targets:
            return None
        return self.outdated or Outdated.WARN

    @property
    def direction(self) -> Packaged:
        """The packaged GEM that is meant where no file is named."""
        return self.packaged or "icd9_to_icd10"

    def release_in(self, folder: Path) -> Path | int | None:
        """The release that is named: a packaged fiscal year, or a file relative to ``folder``."""
        if self.release is None:
            return None
        year = _FISCAL_YEAR.fullmatch(self.release)
        return folder / self.release if year is None else int(year[1])

    @property
    def unmapped(self) -> OnUnmapped:
        return self.on_unmapped or OnUnmapped(action=UnmappedAction.REJECT)

    @model_validator(mode="after")
    def _one_kind(self) -> CodeMap:
        kinds = [k for k in ("gem", "values", "csv", "query") if getattr(self, k) is not None]
        if len(kinds) > 1:
            raise ValueError(f"a map is made of one thing only, not of {' and '.join(kinds)}")
        belong = [k for k in _OF_A_GEM if getattr(self, k) is not None]
        if not self.is_gem and belong:
            raise ValueError(f"'{belong[0]}' belongs to a GEM map")
        if self.gem is not None and self.packaged is not None:
            raise ValueError("a GEM is that of a file ('gem') or a packaged one ('packaged')")
        year = _FISCAL_YEAR.fullmatch(self.release or "")
        if year is not None and not FIRST_YEAR <= int(year[1]) <= LAST_YEAR:
            raise ValueError(
                f"FY{FIRST_YEAR} to FY{LAST_YEAR} are packaged; for another release name a file"
            )
        if self.is_gem and self.on_unmapped is not None:
            raise ValueError("a GEM map has 'policy', not 'on_unmapped'")
        if self.csv is None and (self.from_ is not None or self.to is not None):
            raise ValueError("'from' and 'to' name the columns of a CSV file")
        if self.from_ is not None and not self.from_:
            raise ValueError("'from' names at least one column of the file")
        if self.chain and not self.is_lookup:
            raise ValueError("'chain' belongs to a map of a CSV file or a query")
        return self
