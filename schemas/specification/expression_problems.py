"""What is wrong with the expressions of a specification, whatever the databases look like."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.errors import Problem
from schemas.specification.model import Part
from schemas.specification.root import Specification
from schemas.sql.expressions import FIX, ExpressionError, parse_expression


def expression_problems(specification: Specification) -> Iterator[Problem]:
    """All problems of expressions that can be seen without a database."""
    for load in specification.tables.values():
        for field in load.fields.values():
            if field.sql is not None:
                yield from _problems(field, field.sql, "sql")
        for label, condition in load.skip.items():
            yield from _problems(load, condition, "skip", label)
        for rule in load.rules.values():
            if rule.check is not None:
                yield from _problems(rule, rule.check, "check")
        for position, text in enumerate(load.duplicates.order):
            yield from _problems(load, text, "duplicates", "order", position)


def _problems(part: Part, text: str, *below: str | int) -> Iterator[Problem]:
    try:
        problems = parse_expression(text).problems
    except ExpressionError as error:
        problems = (str(error),)
    for problem in problems:
        yield part.problem(problem, *below, remedy=FIX)
