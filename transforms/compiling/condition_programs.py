"""Compiles the conditions of a load: skips, rules, and the order of its duplicates."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from schemas.errors import ErrorCode
from schemas.ready_rules import READY_RULES
from schemas.ready_rules.rule import Grouped, GroupRule
from schemas.specification.row_rule import Rule
from schemas.sql.expressions import ExpressionError, parse_expression
from transforms.compiling.load_facts import LoadFacts
from transforms.compiling.ready_rule_programs import WrittenOut, write_out
from transforms.compiling.scope import Scope, UnboundExpression, UnknownName
from transforms.model.bound_expression import BoundExpression
from transforms.model.row_conditions import (
    DuplicatesProgram,
    GroupRuleProgram,
    Membership,
    RuleProgram,
    SkipProgram,
)


@dataclass(frozen=True)
class ConditionCompiler:
    """Compiles conditions within a scope.

    ``untaken`` are columns of parents that aren't there, which is a problem already: what
    reads them is left out. ``folder`` is that of the specification, where files lie.
    """

    facts: LoadFacts
    scope: Scope
    untaken: Collection[str]
    folder: Path

    def skips(self) -> tuple[SkipProgram, ...]:
        """Compiles the skips, early ones first."""
        programs = []
        for name, condition in self.facts.load.skip.items():
            bound = self._condition(condition, "src", "skip", name)
            if bound is not None:
                late = '"out.' in bound.sql or '"take.' in bound.sql
                programs.append(SkipProgram(name, bound, late))
        return tuple(sorted(programs, key=lambda s: s.late))

    def rules(self) -> tuple[RuleProgram, ...]:
        """Compiles the rules on single rows."""
        programs = []
        for name, rule in self.facts.load.rules.items():
            if isinstance(READY_RULES.get(rule.use or ""), GroupRule):
                continue
            memberships: tuple[Membership, ...] = ()
            if rule.use is not None:
                written = self._ready(name, rule)
                if written is None:
                    continue
                assert isinstance(written.sql, str)
                memberships = written.memberships
                named = frozenset(m.name for m in memberships)
                within = replace(self, scope=replace(self.scope, memberships=named))
                bound = within._condition(written.sql, "out", "rules", name)
            else:
                bound = self._condition(rule.check or "true", "out", "rules", name, "check")
            if bound is not None:
                programs.append(RuleProgram(name, bound, rule.code, rule.warns, memberships))
        return tuple(programs)

    def group_rules(self) -> tuple[GroupRuleProgram, ...]:
        """Compiles the rules over several rows."""
        programs = []
        for name, rule in self.facts.load.rules.items():
            if not isinstance(READY_RULES.get(rule.use or ""), GroupRule):
                continue
            written = self._ready(name, rule)
            if written is None or not isinstance(written.sql, Grouped):
                continue
            grouped = written.sql
            by, values = (
                tuple(self.scope.bind(text, "out")[0] for text in texts)
                for texts in (grouped.by, grouped.values)
            )
            programs.append(
                GroupRuleProgram(
                    name,
                    by,
                    values,
                    grouped.fails,
                    grouped.reason,
                    grouped.with_nulls,
                    grouped.alone,
                    rule.code,
                )
            )
        return tuple(programs)

    def _ready(self, name: str, rule: Rule) -> WrittenOut | None:
        """A ready rule as SQL; None where its problems are noted or it reads ``untaken``."""
        ready = READY_RULES[rule.use or ""]
        return write_out(self.facts, self.scope, self.untaken, self.folder, name, ready)

    def duplicates(self) -> DuplicatesProgram:
        """Compiles the policy for candidates with one key."""
        wanted = self.facts.load.duplicates
        order = [self._order(text, position) for position, text in enumerate(wanted.order)]
        return DuplicatesProgram(
            wanted.keep, tuple(bound for bound in order if bound is not None), wanted.losers
        )

    def reads_untaken(self, text: str) -> bool:
        """Whether an expression reads a column of ``untaken``."""
        try:
            names = parse_expression(text).names
        except ExpressionError:
            return False
        return any(name[-1] in self.untaken for name in names)

    def _condition(self, text: str, default: str, *below: str | int) -> BoundExpression | None:
        if self.reads_untaken(text):
            return None
        try:
            bound, described = self.scope.bind(text, default)
        except UnboundExpression as unbound:
            for code, problem, remedy in unbound.problems:
                self.facts.problem(problem, *below, code=code, remedy=remedy)
            return None
        if described not in ("BOOLEAN", '"NULL"'):
            self.facts.problem(
                f"this gives {described}, not true or false",
                *below,
                code=ErrorCode.SYS_004,
                remedy="write a condition",
            )
        return bound

    def _order(self, text: str, position: int) -> BoundExpression | None:
        """An expression over source columns, or where it names none of them over fields."""
        try:
            return self.scope.bind(text, "src")[0]
        except UnboundExpression as unbound:
            problems = unbound.problems
            has_unknown = any(isinstance(error, UnknownName) for error in unbound.errors)
        if has_unknown:
            try:
                return self.scope.bind(text, "out")[0]
            except UnboundExpression as unbound:
                problems = unbound.problems
        for code, problem, remedy in problems:
            place = ("duplicates", "order", position)
            self.facts.problem(problem, *place, code=code, remedy=remedy)
        return None
