"""What the loads do to each table of the target, and which rights that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.catalog import Column, Relation
from schemas.specification.policies import KeyGenerator, OnMissing, WriteMode
from transforms.model.parent_reference import Reference
from transforms.model.program import LoadProgram


@dataclass
class TargetUse:
    """A table of the target: the columns that are inserted, updated and read there.

    ``loads`` write rows to it. ``whole``: the server asks for the right to read the whole table,
    because system columns are read too. ``upserts`` are the loads that update existing rows.
    """

    table: Relation
    loads: list[str] = field(default_factory=list)
    inserted: dict[str, None] = field(default_factory=dict)
    updated: dict[str, None] = field(default_factory=dict)
    read: dict[str, None] = field(default_factory=dict)
    whole: bool = False
    upserts: list[str] = field(default_factory=list)

    @property
    def where(self) -> str:
        """The table as problems name it."""
        return f"target, {self.table}"

    def numbered(self) -> list[Column]:
        """The columns that a row of ours gets a number in by the table's own sequence."""
        return [
            column
            for column in self.table.columns
            if column.sequence is not None
            and column.has_default
            and column.identity is None
            and column.name not in self.inserted
        ]


def target_uses(programs: Mapping[str, LoadProgram]) -> dict[tuple[str, str], TargetUse]:
    """The tables of the target that the programs write or refer to, by schema and name."""
    uses: dict[tuple[str, str], TargetUse] = {}

    def use_of(table: Relation) -> TargetUse:
        return uses.setdefault((table.schema, table.name), TargetUse(table))

    for program in programs.values():
        use = use_of(program.table)
        use.loads.append(program.name)
        _add_writing(use, program)
        for field_ in program.fields:
            if field_.reference is None:
                continue
            _add_parent(use_of(field_.reference.table), field_.reference)
            if field_.reference.deferred:
                use.updated[field_.name] = None
                use.read |= dict.fromkeys([field_.name, *program.key])
    return uses


def _add_writing(use: TargetUse, program: LoadProgram) -> None:
    written = dict.fromkeys(program.target_columns())
    use.inserted |= written
    key = dict.fromkeys(program.key)
    if program.write is WriteMode.UPSERT:
        use.upserts.append(program.name)
        changed = {name: None for name in written if name not in key} or written
        use.updated |= changed
        use.read |= key | changed
        use.whole |= use.table.kind != "p"
    elif program.write is WriteMode.SKIP_EXISTING or not _is_unique(program):
        use.read |= key
    for name in written:
        column = use.table.column(name)
        if column is not None and column.sequence is not None:
            use.read[name] = None
    if program.generated is not None and program.generated.kind is KeyGenerator.SEQUENCE:
        use.read[program.generated.name] = None


def _is_unique(program: LoadProgram) -> bool:
    return any({*unique} <= {*program.key} for unique in program.table.unique_keys)


def _add_parent(use: TargetUse, reference: Reference) -> None:
    taken = [column for _, column, _ in reference.take]
    use.read |= dict.fromkeys([reference.column, *taken])
    if reference.on_missing is OnMissing.PLACEHOLDER:
        needed = [c.name for c in use.table.columns if c.must_be_given]
        given = [name for name, _ in reference.placeholder]
        use.inserted |= dict.fromkeys([reference.column, *needed, *given])
