"""SQL expressions bound to the columns of a batch."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.sql.expressions import quote
from schemas.sql.number_precision import Digits


@dataclass(frozen=True)
class BoundExpression:
    """SQL over the columns of a batch.

    ``inexact`` are conditions (SQL) under which a column it reads has no exact value in
    DuckDB, so that the expression can't be evaluated; ``fields`` the target fields it reads.
    ``risky`` says whether evaluating it can raise. ``digits`` are those of a number that it
    gives; ``overlong`` conditions under which a number that it divides would be rounded first.
    """

    sql: str
    inexact: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    risky: bool = False
    digits: Digits = Digits.FIXED
    overlong: tuple[str, ...] = ()

    def reads(self, column: str) -> bool:
        """Whether it reads a column of the batch, as it travels or in its visible form."""
        return any(quote(name) in self.sql for name in (column, f"{column}::value"))
