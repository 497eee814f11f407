"""What a kind of fault is, and the hospital that faults are put into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from demo.tables import Column, Hospital, Rows, Table

ACCEPTED, REJECTED, SKIPPED = 0, 1, 2


@dataclass(frozen=True)
class Violation:
    """A violation on a row; ``rule`` is None where the specification names no rule."""

    code: str
    rule: str | None
    warning: bool = False


@dataclass
class Ground:
    """The hospital while faults are put into it.

    ``untouched`` marks, for the load at hand, rows that have no fault and that nothing
    else relies on. ``rows_of`` says where each kind of fault was put, ``outcome`` what
    becomes of the rows of the loads before.
    """

    hospital: Hospital
    rng: np.random.Generator
    untouched: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    rows_of: dict[str, Rows] = field(default_factory=dict)
    outcome: dict[str, npt.NDArray[np.int8]] = field(default_factory=dict)

    def one_of(self, values: tuple[object, ...], rows: Rows) -> Column:
        """One of the values for each row; the first row gets the first value."""
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        chosen = self.rng.integers(0, len(values), len(rows))
        chosen[:1] = 0
        return texts[chosen]


@dataclass(frozen=True)
class Fault:
    """A kind of fault: how often it is put where, and what must be found of it.

    ``put`` changes the rows that it is given and returns the rows on which ``violations``
    stand. ``among`` are the rows to choose from, if not all that are untouched.
    """

    name: str
    load: str
    per_10_000: float
    violations: tuple[Violation, ...]
    put: Callable[[Ground, Rows], Rows | None]
    among: Callable[[Ground], Rows] | None


def fault(
    faults: list[Fault],
    load: str,
    per_10_000: float,
    *violations: Violation,
    among: Callable[[Ground], Rows] | None = None,
) -> Callable[[Callable[[Ground, Rows], Rows | None]], Callable[[Ground, Rows], Rows | None]]:
    """Adds the decorated function to ``faults``, under its own name."""

    def register(
        put: Callable[[Ground, Rows], Rows | None],
    ) -> Callable[[Ground, Rows], Rows | None]:
        faults.append(Fault(put.__name__, load, per_10_000, violations, put, among))
        return put

    return register


def table_of(hospital: Hospital, load: str) -> Table:
    """The legacy table that a load reads."""
    tables = {
        "facilities": hospital.facilities,
        "patients": hospital.patients,
        "encounters": hospital.visits,
        "conditions": hospital.diagnoses,
        "allergies": hospital.allergies,
    }
    return tables[load]
