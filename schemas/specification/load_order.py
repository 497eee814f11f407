"""In which order the loads run: levels, of which each needs only the ones above it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from schemas.specification.policies import KeyGenerator
from schemas.specification.root import Specification


class CircularReferences(ValueError):
    """Loads that refer to each other in a circle; ``circle`` names them in order."""

    def __init__(self, circle: Sequence[str]) -> None:
        self.circle = tuple(circle)
        super().__init__(" -> ".join(circle))


def parents_of(specification: Specification, reference: str) -> list[str]:
    """The loads that a ``ref`` means: the load of that name, else all into that table."""
    if reference in specification.tables:
        return [reference]
    return [name for name in specification.tables if specification.target_table(name) == reference]


ForeignKey = tuple[str, str]
"""The load of a table with a foreign key, and one of the table that it refers to."""


def prerequisites(
    specification: Specification, foreign_keys: Collection[ForeignKey] = ()
) -> dict[str, set[str]]:
    """For each load, the loads that must be complete before it starts.

    Those are its parents; and of several loads that could write the same key into one
    table the earlier ones, so that which of them wins doesn't depend on timing. Nor may it
    depend on timing what a child finds in its parents' table: of the child and any load into
    that table the one that comes first in the specification goes first, unless one needs
    the other anyway. And what a foreign key of the target lets in mustn't either, whether the
    specification knows of it or not: the rows that it refers to come first, unless they need
    the others themselves.
    """
    needed = _dependences(specification)
    order = _in_order(needed)
    for position, later in enumerate(order):
        for earlier in order[:position]:
            if _reads_what(specification, earlier, later):
                needed[later].add(earlier)
    # Of keys in a circle the specification's order decides.
    place = list(specification.tables).index
    for child, parent in sorted(foreign_keys, key=lambda key: (place(key[1]), place(key[0]))):
        if child != parent and child not in _all_needed(needed, parent):
            needed[child].add(parent)
    return needed


def _all_needed(needed: dict[str, set[str]], name: str) -> set[str]:
    """The load, what it needs, what that needs, and so on."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += needed[one]
    return found


def _dependences(specification: Specification) -> dict[str, set[str]]:
    """For each load its parents, and those that could have written its keys before it."""
    needed: dict[str, set[str]] = {}
    names = list(specification.tables)
    for position, name in enumerate(names):
        load = specification.tables[name]
        needed[name] = {
            parent
            for field in load.fields.values()
            if field.ref is not None
            for parent in parents_of(specification, field.ref)
            if parent != name and not field.deferred
        }
        needed[name] |= {
            earlier
            for earlier in names[:position]
            if specification.target_table(earlier) == specification.target_table(name)
            and _may_collide(specification, earlier, name)
        }
    return needed


def _in_order(needed: dict[str, set[str]]) -> list[str]:
    """The loads, each after those it needs, else as in the specification; nothing in a circle."""
    order: list[str] = []
    while ready := [name for name in needed if name not in order and needed[name] <= {*order}]:
        order.append(ready[0])
    return order if len(order) == len(needed) else []


def _reads_what(specification: Specification, one: str, other: str) -> bool:
    """Whether one of two loads refers to a table of others that the other writes to."""
    return any(
        specification.target_table(writer) == specification.target_table(parent)
        and specification.target_table(reader) != specification.target_table(writer)
        for reader, writer in ((one, other), (other, one))
        for field in specification.tables[reader].fields.values()
        if field.ref is not None
        for parent in parents_of(specification, field.ref)[:1]
    )


def levels(
    specification: Specification, foreign_keys: Collection[ForeignKey] = ()
) -> list[list[str]]:
    """The loads in levels, in the order of the specification within each.

    Raises CircularReferences.
    """
    needed = prerequisites(specification, foreign_keys)
    done: set[str] = set()
    found: list[list[str]] = []
    while len(done) < len(needed):
        level = [name for name in needed if name not in done and needed[name] <= done]
        if not level:
            raise CircularReferences(_circle({n: p - done for n, p in needed.items()}, done))
        found.append(level)
        done.update(level)
    return found


def _may_collide(specification: Specification, one: str, other: str) -> bool:
    first, second = specification.tables[one], specification.tables[other]
    for column in set(first.key) & set(second.key):
        here, there = first.fields.get(column), second.fields.get(column)
        if here is None or there is None:
            continue
        if here.generate is there.generate is KeyGenerator.SEQUENCE:
            return False
        if here.const is not None and there.const is not None and here.const != there.const:
            return False
    return True


def _circle(needed: dict[str, set[str]], done: set[str]) -> list[str]:
    name = next(n for n in needed if n not in done)
    seen: list[str] = []
    while name not in seen:
        seen.append(name)
        name = min(p for p in needed[name] if p not in done)
    return [*seen[seen.index(name) :], name]
