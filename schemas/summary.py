"""The summary of a job: what ``migrate --json`` and ``status --json`` print."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

State = Literal["complete", "incomplete", "running", "paused", "stopped"]


class LoadSummary(BaseModel):
    """The counts of one load, in rows.

    ``candidates`` = ``accepted`` + ``rejected`` + ``skipped``, and ``written`` = ``accepted`` +
    ``expanded``. ``placeholders`` are rows that were made for this load's children.
    """

    into: str
    read: int = 0
    empty: int = 0
    candidates: int = 0
    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    written: int = 0
    expanded: int = 0
    placeholders: int = 0
    partitions: int = 0
    partitions_done: int = 0
    partitions_failed: int = 0
    skipped_by: dict[str, int] = Field(default_factory=dict)


class Summary(BaseModel):
    """A job by its ledger; ``seconds`` is the duration of all its runs together."""

    job: str
    state: State
    seconds: float
    tables: dict[str, LoadSummary]
    violations: dict[str, int] = Field(default_factory=dict)
    warnings: dict[str, int] = Field(default_factory=dict)
