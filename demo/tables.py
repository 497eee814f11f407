"""The tables of the legacy hospital while they are made: columns of Python values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Column = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]
"""Positions of rows in a table."""


@dataclass
class Table:
    """A legacy table: ``columns`` as they are loaded, ``facts`` what its maker knows beside.

    All of them are of one length. ``key`` is the column that identifies a row.
    """

    name: str
    key: str
    columns: dict[str, Column]
    facts: dict[str, Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns[self.key])

    def __getitem__(self, column: str) -> Column:
        return self.columns[column]

    def append_copies(self, rows: Rows, **changed: Sequence[Any] | Column) -> Rows:
        """Appends copies of ``rows``, with the columns of ``changed``; gives their positions."""
        start = len(self)
        for values in (self.columns, self.facts):
            for name, column in values.items():
                more = np.asarray(changed.get(name, column[rows]), dtype=column.dtype)
                values[name] = np.concatenate([column, more])
        return np.arange(start, start + len(rows))

    def to_arrow(self) -> pa.Table:
        """The columns as a table, in which None is null."""
        return pa.table({name: pa.array(values) for name, values in self.columns.items()})


@dataclass
class Hospital:
    """The legacy hospital, and the patients that stood in the target before (``earlier``)."""

    facilities: Table
    patients: Table
    visits: Table
    diagnoses: Table
    allergies: Table
    earlier: Table

    @property
    def legacy_tables(self) -> tuple[Table, ...]:
        return (self.facilities, self.patients, self.visits, self.diagnoses, self.allergies)
