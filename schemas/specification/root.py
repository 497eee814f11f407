"""The specification of a migration: where from, where to, how, and what."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, PrivateAttr, field_validator, model_validator
from pydantic import Field as Attribute

from schemas.errors import ErrorCode, Problem
from schemas.specification.database_url import for_writing
from schemas.specification.escalation import Escalation
from schemas.specification.file_types import ErrorFileType
from schemas.specification.maps import CodeMap
from schemas.specification.model import Part
from schemas.specification.monitoring import Monitoring
from schemas.specification.notifying import Channel
from schemas.specification.policies import Indexes, OnBlank
from schemas.specification.quantities import Bytes, Seconds, Share
from schemas.specification.source import NamedSource
from schemas.specification.table import Blank, Field, Load


class Target(Part):
    """The target database, and the schema of the control tables."""

    url: str = Attribute(repr=False)
    control_schema: str | None = None
    indexes: Indexes = Indexes.KEEP

    @field_validator("url")
    @classmethod
    def _for_writing(cls, value: str) -> str:
        return for_writing(value)

    @field_validator("control_schema")
    @classmethod
    def _identifier(cls, value: str | None) -> str | None:
        if value is not None and not 1 <= len(value.encode()) <= 63:
            raise ValueError("a schema's name has 1 to 63 bytes")
        if value is not None and value.startswith("pg_"):
            raise ValueError("PostgreSQL keeps names with pg_ for itself")
        return value


class Connections(Part):
    """How many connections a run may hold at once."""

    source: int = Attribute(default=4, ge=1)
    target: int = Attribute(default=4, ge=1)


class Retry(Part):
    """How often a conversation with a database is tried, and the first delay, in seconds."""

    attempts: int = Attribute(default=3, ge=1)
    delay: Seconds = 5.0


class Limits(Part):
    """What a run may use; ``memory`` is in bytes."""

    connections: Connections = Connections()
    memory: Bytes = 2 * 10**9
    retry: Retry = Retry()


def _split_budget(value: object) -> object:
    if not isinstance(value, dict):
        return value
    known = {name: value[name] for name in ("rejected", "min_rows") if name in value}
    codes = {name: share for name, share in value.items() if name not in known}
    return {**known, "codes": codes}


class Budget(Part):
    """How many rejected rows a load may have before the run stops.

    A float is a share of the candidates that aren't skipped, an integer a number of rows;
    shares count from ``min_rows`` candidates on.
    """

    rejected: Share | None = None
    codes: dict[ErrorCode, Share] = {}
    min_rows: int = Attribute(default=1000, ge=0)


class Errors(Part):
    """The error budget, and files beside the tables of the error sink."""

    budget: Annotated[Budget, BeforeValidator(_split_budget)] = Budget()
    path: str | None = None
    format: ErrorFileType | None = None


class Specification(Part):
    """What the user wrote; ``tables`` are the loads in their order."""

    job: str
    source: NamedSource | None = None
    sources: dict[str, NamedSource] = {}
    target: Target
    limits: Limits = Limits()
    errors: Errors = Errors()
    monitor: Monitoring = Monitoring()
    notify: tuple[Channel, ...] = ()
    escalation: Escalation = Escalation()
    defaults: Blank = Blank()
    maps: dict[str, CodeMap] = {}
    tables: dict[str, Load]

    _deferred: tuple[Problem, ...] = PrivateAttr(default=())
    _is_job_replaced: bool = PrivateAttr(default=False)

    @property
    def file(self) -> Path:
        """The file that it was read from."""
        return Path(self.at().file)

    @property
    def folder(self) -> Path:
        """The folder of its file, which the paths of its sources and maps start from."""
        return self.file.parent

    @property
    def is_job_replaced(self) -> bool:
        """Whether the job's name isn't the one that is written in the file."""
        return self._is_job_replaced

    def replace_job(self) -> None:
        """Remembers that the job's name isn't that of the file."""
        self._is_job_replaced = True

    @property
    def deferred_problems(self) -> tuple[Problem, ...]:
        """Problems that are known, and are still to be reported together with others."""
        return self._deferred

    def defer(self, problems: Sequence[Problem]) -> None:
        """Leave problems to the caller, which reports them with others."""
        self._deferred = tuple(problems)

    @property
    def migrated_content(self) -> str:
        """What decides about rows, as JSON with its variables filled in.

        URLs are no part of it, nor is how a run is watched: it may change between runs.
        """
        url = {"url"}
        return self.model_dump_json(
            exclude={
                "source": url,
                "target": url,
                "sources": {"__all__": url},
                "monitor": True,
                "notify": True,
                "escalation": True,
            }
        )

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of ``migrated_content``."""
        return hashlib.sha256(self.migrated_content.encode()).hexdigest()

    @field_validator("job")
    @classmethod
    def _name(cls, value: str) -> str:
        if not re.fullmatch(r"[\w.\-]{1,100}", value):
            raise ValueError(
                "a job's name is made of letters, digits, '-', '_' and '.', 100 at most"
            )
        return value

    @field_validator("tables")
    @classmethod
    def _some(cls, value: dict[str, Load]) -> dict[str, Load]:
        if not value:
            raise ValueError("no table to load is named here")
        return value

    @model_validator(mode="after")
    def _source_given(self) -> Specification:
        if (self.source is None) == (not self.sources):
            raise ValueError("a specification has one of 'source' and 'sources'")
        return self

    @property
    def named_sources(self) -> dict[str, NamedSource]:
        """The sources by name; the single one is called ``source``."""
        return {"source": self.source} if self.source is not None else self.sources

    def blank_is_missing(self, load: Load) -> bool:
        """Whether blank text of a load's source counts as missing."""
        return (load.defaults or self.defaults).blank is OnBlank.MISSING

    def looks_up(self, field: Field) -> bool:
        """Whether a field's value goes through a lookup table."""
        used = None if field.map is None else self.maps.get(field.map)
        return used is not None and used.is_lookup

    def referring_columns(self, field: Field) -> int:
        """How many columns a field refers with: those of ``from``, of which a lookup table
        makes one value."""
        return 1 if self.looks_up(field) else len(field.from_ or ("sql",))

    def target_table(self, name: str) -> str:
        """The name of the table that a load writes to."""
        return self.tables[name].into or name
