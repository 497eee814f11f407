"""A GEM map in use, and how its rows are labelled."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.by_system import SystemTranslator
from schemas.code_maps.gem import GemMap
from schemas.code_maps.outcomes import SITE
from schemas.code_maps.target_codes import SAME
from schemas.code_maps.translation import GemTranslator, Translation

_DECISIONS = "code_mappings"
"""The table of the site's decisions, which stands in place of a map's name."""


class CodeTranslator:
    """A GEM map in use, and how its rows are labelled; ``by_system`` for columns with codes of
    both systems."""

    def __init__(
        self,
        gem: GemMap,
        translator: GemTranslator,
        by_system: SystemTranslator | None = None,
    ) -> None:
        self.gem = gem
        self.translator = translator
        self.by_system = by_system

    def attribute(self, name: str, translation: Translation) -> pa.Array:
        """A column of ``into`` for the rows of a translation; NULL where nothing was translated."""
        constants = {
            "map": self.gem.label,
            "map_name": self.gem.name,
            "map_version": self.gem.version,
            "map_sha256": self.gem.sha256,
        }
        if name not in constants:
            return translation.column(name)
        category = translation.column("category")
        by_map = pa.scalar(constants[name])
        is_decided = pc.equal(category, SITE)
        if pc.any(is_decided).as_py():
            by_map = pc.if_else(is_decided, self._decision_label(name, translation), by_map)
        by_map = pc.if_else(pc.equal(category, SAME), SAME, by_map)
        return pc.if_else(pc.is_valid(category), by_map, pa.scalar(None, pa.string()))

    @staticmethod
    def _decision_label(name: str, translation: Translation) -> pa.Array | str:
        """The label in place of the map's where the site has decided: ``code_mappings/17``."""
        decision = translation.column("decision")
        if name == "map_version":
            return pc.coalesce(decision, _DECISIONS)
        if name != "map":
            return _DECISIONS
        return pc.coalesce(pc.binary_join_element_wise(_DECISIONS, decision, "/"), _DECISIONS)
