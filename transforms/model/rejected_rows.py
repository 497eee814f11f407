"""The element of a replay: the rejected rows of one partition that a person means."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.model.partition import Partition

PORTION = 10_000
"""Rejected rows that are checked and committed together: their keys are in one statement."""


@dataclass(frozen=True)
class RejectedRows:
    """Rows to read and check again: those of a partition that have an open violation,
    no warning, with this code and rule (None: with any).

    Which rows these are is asked when they are read; the keys of millions would have to be carried
    there.
    """

    partition: Partition
    code: str | None = None
    rule: str | None = None


@dataclass(frozen=True)
class RejectedLevel:
    """The rejected rows of one level, and the loads whose rows they are."""

    number: int
    loads: tuple[str, ...]
    rows: tuple[RejectedRows, ...]
