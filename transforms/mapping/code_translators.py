"""The GEM maps of a run, ready for use: built once in each process."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pyarrow as pa

from schemas.code_maps.by_system import SystemTranslator
from schemas.code_maps.translation import GemTranslator
from transforms.mapping.stages import CodeTranslator
from transforms.run_context import GemUse, RunContext

_lock = threading.Lock()
_known: dict[str, dict[str, CodeTranslator]] = {}


def translators(context: RunContext) -> dict[str, CodeTranslator]:
    """The translators of the run's maps by name; threads share them."""
    run = context.token
    with _lock:
        if run not in _known:
            _known.clear()
            _known[run] = new_translators(context.maps)
        return _known[run]


def new_translators(maps: Mapping[str, GemUse]) -> dict[str, CodeTranslator]:
    """The translators of maps by name, for this caller alone."""
    return {name: _translator(use) for name, use in maps.items()}


def _translator(use: GemUse) -> CodeTranslator:
    site = pa.table(
        {
            "source_code": pa.array([source for source, _, _ in use.site], pa.string()),
            "target_code": pa.array([target for _, target, _ in use.site], pa.string()),
            "decision": pa.array([decision for _, _, decision in use.site], pa.int64()),
        }
    )
    translator = GemTranslator(use.gem, use.policy, use.notation, site, use.repair, use.check)
    by_system = None
    if use.check is not None:
        options = (use.policy, use.notation, use.repair)
        by_system = SystemTranslator(use.gem, translator, use.check, *options)
    return CodeTranslator(use.gem, translator, by_system)
