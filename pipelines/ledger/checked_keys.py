"""Foreign keys of the target that the references of the specification check as well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from schemas.specification.policies import OnMissing
from transforms.model.program import LoadProgram


class CheckedKey(NamedTuple):
    """A column that gets keys of a parent only.

    Attributes:
        field: The column's plain name.
        parent: The parent's table as SQL writes it.
        column: The plain name of the parent's key.
    """

    field: str
    parent: str
    column: str


def find_checked_keys(programs: Iterable[LoadProgram]) -> dict[str, list[CheckedKey]]:
    """Find the references that stand for foreign keys, in all loads of each target table.

    Args:
        programs: The loads, compiled.

    Returns:
        The references by table. None for a table in which placeholders are made: they have more
        columns than their key, which are filled without a look at any parent.
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
