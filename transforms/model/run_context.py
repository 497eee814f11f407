"""The data that every step of a run has: the job, its programs, and where its tables are."""

from __future__ import annotations

import pickle
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

from schemas.code_maps.gem import GemMap
from schemas.code_maps.lookup_table import LookupTable
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import Repair
from schemas.code_maps.target_check import TargetCheck
from schemas.code_maps.translation import Notation
from schemas.errors import ErrorCode
from transforms.model.program import LoadProgram
from transforms.model.session_names import session_name
from transforms.model.source_address import SourceAddress


@dataclass(frozen=True)
class GemUse:
    """A GEM map as the specification uses it; ``site`` are source and target codes with the
    count of their decision, later ones higher, and what it is called; ``check`` which of its
    targets are outdated (None: nobody asked)."""

    gem: GemMap
    policy: GemPolicy
    notation: Notation
    repair: Repair = field(default_factory=Repair)
    site: tuple[tuple[str, str | None, int, str | None], ...] = ()
    check: TargetCheck | None = None

    def without_content(self) -> GemUse:
        """The use of the map without the content of its files."""
        check = None if self.check is None else self.check.without_content()
        return replace(self, gem=self.gem.without_content(), check=check)

    @property
    def label(self) -> str:
        """A name that differs for other maps, and for other releases that it is checked by."""
        if self.check is None:
            return self.gem.label
        return f"{self.gem.label} and the release {self.check.label}"


@dataclass(frozen=True)
class ErrorBudget:
    """The error budget of each load: a float is a share, an integer a number of rows."""

    rejected: float | int | None = None
    codes: Mapping[ErrorCode, float | int] = field(default_factory=dict)
    min_rows: int = 1000


@dataclass(frozen=True)
class Retrying:
    """How often a partition's conversation with a database is tried; seconds between."""

    attempts: int = 3
    delay: float = 5.0


_known: WeakValueDictionary[str, RunContext] = WeakValueDictionary()
"""The contexts of this process, by token."""


@dataclass(frozen=True)
class RunContext:
    """Plain data that every step has. URLs are kept out of what is printed.

    ``needs`` are the loads that must be complete before a load starts; ``run`` distinguishes this
    run from earlier ones of the job, and ``begun``, when the job began (ISO 8601 with zone), from
    those of a job of the same name in other control tables.

    Every DoFn carries the context, and Beam compresses each DoFn on its own: with a GEM map
    in it that took 50 ms for each of a hundred. So a context is pickled as a token, and only
    for workers in other processes (not ``in_process``) with its content, packed once. Of
    ``maps`` and ``lookups``, which can have millions of rows, it then holds no more than names
    and digests; ``transforms/mapping/map_store.py`` has the rest.
    """

    job: str
    run: int
    sources: Mapping[str, SourceAddress]
    target: str = field(repr=False)
    control_schema: str | None
    programs: Mapping[str, LoadProgram]
    needs: Mapping[str, tuple[str, ...]]
    maps: Mapping[str, GemUse] = field(repr=False)
    lookups: Mapping[str, LookupTable] = field(default_factory=dict, repr=False)
    budget: ErrorBudget = field(default_factory=ErrorBudget)
    retry: Retrying = field(default_factory=Retrying)
    source_connections: int = 4
    target_connections: int = 4
    in_process: bool = True
    begun: str | None = None
    verb: str = "migrate"

    @cached_property
    def token(self) -> str:
        """Identifies the context in this process: job names repeat between databases."""
        token = uuid.uuid4().hex
        _known[token] = self
        return token

    @cached_property
    def _pickle_content(self) -> bytes:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["maps"] = {name: use.without_content() for name, use in self.maps.items()}
        values["lookups"] = {name: table.without_content() for name, table in self.lookups.items()}
        return zlib.compress(pickle.dumps(values, protocol=5))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.token, b"" if self.in_process else self._pickle_content)

    @property
    def identity(self) -> dict[str, str | int | None]:
        """Identifies the run for ``transforms/ledger/run_fence.py``."""
        return {"job": self.job, "run": self.run, "begun": self.begun}

    @property
    def session_name(self) -> str:
        """The name of the sessions of this run's steps in the target's ``pg_stat_activity``."""
        return session_name(self.verb, self.job, self.run, "writer")

    @property
    def reader_name(self) -> str:
        """The name of the sessions in which this run's steps read whole tables."""
        return session_name(self.verb, self.job, self.run, "reader")


def _restore(token: str, packed: bytes) -> RunContext:
    """The context of a token, unpacked by the first step in a process that needs it."""
    context = _known.get(token)
    if context is None:
        context = RunContext(**pickle.loads(zlib.decompress(packed)))
        _known[token] = context
    return context
