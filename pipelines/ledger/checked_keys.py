"""Which foreign keys of the target the specification's own references stand for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from schemas.specification.policies import OnMissing
from transforms.model.program import LoadProgram


class CheckedKey(NamedTuple):
    """A column that is written with keys of ``parent`` alone: names as they stand in SQL,
    the columns' plain."""

    field: str
    parent: str
    column: str


def find_checked_keys(programs: Iterable[LoadProgram]) -> dict[str, list[CheckedKey]]:
    """For each target table the references that let in what has a parent, in all of its loads.

    None for a table in which placeholders are made: they have more columns than their key, and
    these are filled without a look at any parent.
    """
    by_table: dict[str, list[set[CheckedKey]]] = defaultdict(list)
    filled = set()
    for program in programs:
        references = [(f.name, f.reference) for f in program.fields if f.reference is not None]
        by_table[program.table.sql.as_string()].append(
            {
                CheckedKey(name, reference.table.sql.as_string(), reference.column)
                for name, reference in references
                if reference.on_missing is not OnMissing.ALLOW
            }
        )
        filled |= {
            reference.table.sql.as_string()
            for _, reference in references
            if reference.on_missing is OnMissing.PLACEHOLDER
        }
    return {
        table: [] if table in filled else sorted(set.intersection(*checked))
        for table, checked in by_table.items()
    }
