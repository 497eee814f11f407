"""Conditions on the rows of a load, compiled: rules, skips, the winner among duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as attribute

import pyarrow as pa

from schemas.errors import ErrorCode
from schemas.specification.policies import Keep, Losers
from transforms.model.bound_expression import BoundExpression


@dataclass(frozen=True)
class Membership:
    """A column ``name`` (bool) that a rule reads: whether the code in ``column``, without its
    dot and in capitals, is one of ``codes`` (string). ``sha256`` is that of their file."""

    name: str
    column: str
    sha256: str
    codes: pa.Array = attribute(compare=False, repr=False)


@dataclass(frozen=True)
class RuleProgram:
    """A rule: boolean SQL over target fields and ``memberships``; only false fails."""

    name: str
    check: BoundExpression
    code: ErrorCode
    warning: bool
    memberships: tuple[Membership, ...] = ()


@dataclass(frozen=True)
class GroupRuleProgram:
    """A rule over several rows (``schemas.ready_rules.rule.Grouped``), bound: ``by`` and
    ``values`` are SQL over target fields."""

    name: str
    by: tuple[BoundExpression, ...]
    values: tuple[BoundExpression, ...]
    fails: str
    reason: str
    with_nulls: bool
    alone: bool
    code: ErrorCode

    @property
    def reads(self) -> tuple[BoundExpression, ...]:
        """All that the rule is computed from."""
        return (*self.by, *self.values)


@dataclass(frozen=True)
class SkipProgram:
    """A condition under which a row isn't a candidate for writing, by name."""

    name: str
    condition: BoundExpression
    late: bool


@dataclass(frozen=True)
class DuplicatesProgram:
    """Which of several candidates with one key wins; ``order`` is SQL, compared column-wise."""

    keep: Keep
    order: tuple[BoundExpression, ...]
    losers: Losers
