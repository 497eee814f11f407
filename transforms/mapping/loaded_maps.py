"""The maps of a run, ready for use: built once in each process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from schemas.code_maps.by_system import SystemTranslator
from schemas.code_maps.lookup_table import LookupTable
from schemas.code_maps.translation import GemTranslator
from transforms.mapping.code_translator import CodeTranslator
from transforms.mapping.lookup import Lookup
from transforms.mapping.map_store import stored_gem, stored_lookup
from transforms.model.run_context import GemUse, RunContext


@dataclass(frozen=True)
class Maps:
    """The translators of GEM maps, and the lookup tables, each by its name."""

    translators: Mapping[str, CodeTranslator] = field(default_factory=dict)
    lookups: Mapping[str, Lookup] = field(default_factory=dict)


_lock = threading.Lock()
_known: dict[str, Maps] = {}
"""Those of the context that asked last, by its token."""
_built: dict[str, tuple[GemUse, CodeTranslator]] = {}
"""The translators of the last run by name: its contexts share their maps."""
_indexed: dict[LookupTable, Lookup] = {}
"""By name and digest, since the contexts of one run share their tables."""


def maps_of(context: RunContext) -> Maps:
    """The maps of the run; threads share them.

    In a process other than the launcher's their content is read from the target.

    Raises:
        TransfuseError: SYS-005 where the target doesn't have the content.
    """
    token = context.token
    with _lock:
        if token not in _known:
            lookups = {}
            for name, table in context.lookups.items():
                if table not in _indexed:
                    _indexed[table] = Lookup(_lookup_with_content(context, table))
                lookups[name] = _indexed[table]
            for gone in _indexed.keys() - set(context.lookups.values()):
                del _indexed[gone]
            for name, use in context.maps.items():
                if name not in _built or _built[name][0] != use:
                    _built[name] = use, _translator(_gem_with_content(context, name, use))
            for unused in _built.keys() - context.maps.keys():
                del _built[unused]
            _known.clear()
            translators = {name: translator for name, (_, translator) in _built.items()}
            _known[token] = Maps(translators, lookups)
        return _known[token]


def _lookup_with_content(context: RunContext, table: LookupTable) -> LookupTable:
    return table if table.has_content else stored_lookup(context, table)


def _gem_with_content(context: RunContext, name: str, use: GemUse) -> GemUse:
    return use if use.gem.has_content else stored_gem(context, name, use)


def new_maps(maps: Mapping[str, GemUse], lookups: Mapping[str, LookupTable]) -> Maps:
    """The maps for this caller alone."""
    return Maps(_translators(maps), {name: Lookup(table) for name, table in lookups.items()})


def _translators(maps: Mapping[str, GemUse]) -> dict[str, CodeTranslator]:
    return {name: _translator(use) for name, use in maps.items()}


def site_table(site: Sequence[tuple[str, str | None, int, str | None]]) -> pa.Table:
    """The decisions of a site (``GemUse.site``) as translators take them."""
    return pa.table(
        {
            "source_code": pa.array([source for source, _, _, _ in site], pa.string()),
            "target_code": pa.array([target for _, target, _, _ in site], pa.string()),
            "decision": pa.array([decision for _, _, decision, _ in site], pa.int64()),
            "name": pa.array([name for _, _, _, name in site], pa.string()),
        }
    )


def _translator(use: GemUse) -> CodeTranslator:
    site = site_table(use.site)
    translator = GemTranslator(use.gem, use.policy, use.notation, site, use.repair, use.check)
    by_system = None
    if use.check is not None:
        options = (use.policy, use.notation, use.repair)
        by_system = SystemTranslator(use.gem, translator, use.check, *options)
    return CodeTranslator(use.gem, translator, by_system)
