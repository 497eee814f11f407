"""A GEM map in use, and how its rows are labelled."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.gem import GemMap
from schemas.code_maps.translation import SITE, GemTranslator, Translation


class CodeTranslator:
    """A GEM map in use, and how its rows are labelled."""

    def __init__(self, gem: GemMap, translator: GemTranslator) -> None:
        self.gem = gem
        self.translator = translator

    def attribute(self, name: str, translation: Translation) -> pa.Array:
        """A column of ``into`` for the rows of a translation; NULL where nothing was translated."""
        if name in ("category", "flags", "source_code", "cluster_seq"):
            return translation.column(name)
        constants = {
            "map": self.gem.label,
            "map_name": self.gem.name,
            "map_version": self.gem.version,
            "map_sha256": self.gem.sha256,
        }
        category = translation.column("category")
        by_map = pc.if_else(pc.equal(category, SITE), "code_mappings", constants[name])
        return pc.if_else(pc.is_valid(category), by_map, pa.scalar(None, pa.string()))
