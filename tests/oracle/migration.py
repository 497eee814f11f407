"""A whole migration, one row after the other: every load, in order, into target tables.

Everything is kept in plain lists and searched from front to back. Tables are small here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.key_differences import difference_of
from tests.oracle.rows import (
    Candidate,
    LoadRules,
    LookupRow,
    Made,
    Reference,
    Violation,
    key_text,
    run_row,
)
from tests.oracle.sql_meanings import Expression
from tests.oracle.values import Type, Value, written

Row = dict[str, Value]


@dataclass
class SourceTable:
    """Columns in order, rows in the order in which they are stored, and the primary key."""

    columns: dict[str, Type]
    rows: list[Row]
    key: tuple[str, ...] = ("id",)


@dataclass
class TargetTable:
    """``checks`` (on which column, SQL and what it means) and ``unique`` by the constraint's
    name; ``before`` stood there already."""

    columns: dict[str, Type]
    key: tuple[str, ...]
    not_null: frozenset[str] = frozenset()
    checks: dict[str, tuple[str, str, Callable[[Row], bool]]] = field(default_factory=dict)
    unique: dict[str, tuple[str, ...]] = field(default_factory=dict)
    before: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    held: list[Row] = field(default_factory=list)
    """Placeholders that children of the level at work have made."""
    placeholders: list[Row] = field(default_factory=list)
    """Those of earlier levels, which are rows like any other."""

    @property
    def there(self) -> list[Row]:
        return [*self.before, *self.rows, *self.placeholders]


@dataclass
class Counts:
    read: int = 0
    candidates: int = 0
    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    written: int = 0
    expanded: int = 0
    placeholders: int = 0
    skipped_by: dict[str, int] = field(default_factory=dict)


@dataclass
class Migration:
    """``run`` fills the target tables, the candidates of each load, and the counts.

    ``levels`` are the loads, each after those that it refers to and those before it into
    the same table.
    """

    spec: Mapping[str, Any]
    sources: Mapping[str, SourceTable]
    targets: Mapping[str, TargetTable]
    expressions: Mapping[str, Expression]
    constants: Mapping[str, Value]
    levels: Sequence[Sequence[str]]
    lookups: Mapping[str, Sequence[LookupRow]] = field(default_factory=dict)
    candidates: dict[str, list[Candidate]] = field(default_factory=dict)
    written: dict[str, list[tuple[Candidate, Row]]] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)

    def run(self) -> None:
        for level in self.levels:
            for name in level:
                self.load(name)
            for target in self.targets.values():
                target.placeholders += target.held
                target.held = []

    # -- one load ------------------------------------------------------------------------

    def load(self, name: str) -> None:
        self.candidates[name] = found = self.read(name)
        self.written[name] = []
        self.counts[name] = Counts()
        self.reject_duplicates(name)
        for candidate in found:
            if candidate.accepted:
                self.write(name, candidate)
        self.settle(name)
        self.count(name)

    def spec_of(self, name: str) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.spec["tables"][name]
        return spec

    def target_of(self, name: str) -> TargetTable:
        return self.targets[self.spec_of(name).get("into", name)]

    def fields_of(self, name: str) -> Mapping[str, Any]:
        fields: Mapping[str, Any] = self.spec_of(name).get("fields", {})
        return fields

    def key_of(self, name: str) -> list[str]:
        return _list(self.spec_of(name)["key"])

    def read(self, name: str) -> list[Candidate]:
        spec, found = self.spec_of(name), []
        for number, relation in enumerate(_list(spec["from"])):
            source = self.sources[relation]
            rules = self.rules_of(name, source)
            key = _list(spec.get("source_key")) or source.key
            for position, row in enumerate(source.rows):
                texts = [str(written(row[column], source.columns[column])) for column in key]
                candidate = run_row(
                    rules, row, key_text(texts), lambda field_name, value: self.refer(
                        name, field_name, value
                    )
                )  # fmt: skip
                candidate.place = (number, position)
                found.append(candidate)
        return found

    def rules_of(self, name: str, source: SourceTable) -> LoadRules:
        target, spec = self.target_of(name), self.spec_of(name)
        blank = {**self.spec.get("defaults", {}), **spec.get("defaults", {})}.get("blank")
        return LoadRules(
            name=name,
            spec=spec,
            source=source.columns,
            target=target.columns,
            not_null=target.not_null,
            maps=self.spec.get("maps", {}),
            lookups=self.lookups,
            expressions=self.expressions,
            constants=self.constants,
            keep_blank=blank == "keep",
            by_source_key=frozenset(
                f
                for f, one in self.fields_of(name).items()
                if "ref" in one and self.by_source_key(one)
            ),
        )

    # -- references ----------------------------------------------------------------------

    def parents_of(self, ref: str) -> list[str]:
        tables = self.spec["tables"]
        return [ref] if ref in tables else [n for n in tables if tables[n].get("into", n) == ref]

    def generated_field(self, name: str) -> str | None:
        made = [f for f, one in self.fields_of(name).items() if "generate" in one]
        return made[0] if made and made[0] in self.key_of(name) else None

    def key_column(self, parents: Sequence[str]) -> str:
        """The parent's column that a reference is about."""
        generated = [made for p in parents if (made := self.generated_field(p)) is not None]
        return generated[0] if generated else self.key_of(parents[0])[0]

    def by_source_key(self, one: Mapping[str, Any]) -> bool:
        parents = self.parents_of(one["ref"])
        generated = any(self.generated_field(p) is not None for p in parents)
        several = len(_list(one["from"])) > 1 and one.get("map") not in self.lookups
        return generated or several

    def meant(self, one: Mapping[str, Any], value: Value) -> list[tuple[str, Candidate]]:
        """The candidates, with their loads, that a reference with this value is about."""
        found = []
        parents = self.parents_of(one["ref"])
        column = self.key_column(parents)
        for parent in parents:
            for candidate in self.candidates.get(parent, []):
                own = (
                    candidate.source_key
                    if self.by_source_key(one)
                    else next(iter(candidate.rows), {}).get(column)
                )
                if own == value:
                    found.append((parent, candidate))
        return found

    def rejected(self, one: Mapping[str, Any], value: Value) -> list[tuple[str, str]]:
        """The rejected candidates that would have been the parent; loads and source keys.

        A source key is one of the loads that are referred to, a target key one of the table.
        """
        found = [(p, c.source_key) for p, c in self.meant(one, value) if c.rejected]
        if not self.by_source_key(one):
            table = self.target_of(self.parents_of(one["ref"])[0])
            column = self.key_column(self.parents_of(one["ref"]))
            for load, candidates in self.candidates.items():
                if self.target_of(load) is table:
                    found += [
                        (load, c.source_key)
                        for c in candidates
                        if c.rejected and c.rows[0].get(column) == value
                    ]
        return found

    def parent_row(self, one: Mapping[str, Any], value: Value) -> Row | None:
        """The parent's row in the target."""
        parents = self.parents_of(one["ref"])
        target = self.target_of(parents[0])
        if not self.by_source_key(one):
            column = self.key_column(parents)
            return next((row for row in target.there if row[column] == value), None)
        for parent, candidate in self.meant(one, value):
            for who, row in self.written[parent]:
                if who is candidate:
                    return row
        made = Made(parents[0], str(value))
        return next((row for row in target.placeholders if made in row.values()), None)

    def refer(self, name: str, field_name: str, value: Value) -> Reference:
        one = self.fields_of(name)[field_name]
        nothing = dict.fromkeys(one.get("take", {}))
        if value is None:
            return Reference(None, nothing)
        column = self.key_column(self.parents_of(one["ref"]))
        row = self.parent_row(one, value)
        if row is not None:
            taken = {alias: row.get(what) for alias, what in one.get("take", {}).items()}
            return Reference(row[column], taken)
        meant = self.meant(one, value)
        rejected = frozenset(self.rejected(one, value))
        skipped = any(c.skipped_by is not None for _, c in meant)
        kept = None if self.by_source_key(one) else value
        action = one.get("on_missing", "reject")
        if skipped and not rejected:
            on_skipped = one.get("on_skipped", "skip" if action == "reject" else "as_missing")
            if on_skipped == "skip":
                return Reference(kept, nothing, skip=True)
            if on_skipped == "reject":
                return Reference(kept, nothing, _orphan(field_name, "parent_skipped"))
        if action == "set_null":
            return Reference(None, nothing, _orphan(field_name, "set_null", warning=True))
        if action == "placeholder":
            return Reference(kept, nothing, _orphan(field_name, "placeholder", warning=True))
        if action == "allow":
            return Reference(kept, nothing)
        reason = "parent_rejected" if rejected else self.difference(one, value)
        return Reference(kept, nothing, _orphan(field_name, reason, causes=rejected))

    def difference(self, one: Mapping[str, Any], value: Value) -> str:
        """The reason for a parent that isn't there: whether one has a similar key."""
        parents = self.parents_of(one["ref"])
        target = self.target_of(parents[0])
        if one.get("deferred") or not isinstance(value, str):
            return "missing_parent"
        if self.by_source_key(one):
            keys = [who.source_key for parent in parents for who, _ in self.written[parent]]
            made = [key for row in target.placeholders for key in row.values()]
            keys += [key.source_key for key in made if isinstance(key, Made)]
        else:
            column = self.key_column(parents)
            keys = [key for row in target.there if isinstance(key := row[column], str)]
        return difference_of(value, keys)

    # -- keys ----------------------------------------------------------------------------

    def reject_duplicates(self, name: str) -> None:
        """Of candidates with one key the first or last wins, valid or not."""
        spec, key = self.spec_of(name), self.key_of(name)
        duplicates = spec.get("duplicates", {})
        alive = [c for c in self.candidates[name] if c.skipped_by is None]
        ordered = sorted(alive, key=lambda c: _rank(_list(duplicates.get("order")), c))
        if duplicates.get("keep") == "last":
            ordered.reverse()
        winners: dict[tuple[Value, ...], Candidate] = {}
        lost: list[tuple[Candidate, Candidate]] = []
        for candidate in ordered:
            keys = [tuple(row[column] for column in key) for row in candidate.rows]
            beaten = [winners.setdefault(k, candidate) for k in keys if None not in k]
            better = [winner for winner in beaten if winner is not candidate]
            if better:
                lost.append((candidate, better[0]))
        for candidate, _ in lost:
            if duplicates.get("losers") == "skip":
                candidate.skipped_by, candidate.violations = "duplicates", set()
        for candidate, winner in lost:
            if duplicates.get("losers") != "skip":
                # The winner may yet be refused by the target: the cause is filled in at the end.
                candidate.lost_to = winner
                candidate.violations.add(
                    Violation("DATA-004", "key.duplicate", _only(key), "duplicate")
                )

    def row_with_key(self, name: str, row: Row) -> Row | None:
        """The target's row that has the key of ``row``."""
        key = self.key_of(name)
        for there in [*self.target_of(name).there, *self.target_of(name).held]:
            if all(row.get(c) is not None and row.get(c) == there.get(c) for c in key):
                return there
        return None

    # -- writing -------------------------------------------------------------------------

    def write(self, name: str, candidate: Candidate) -> None:
        """Writes the rows of an accepted candidate, all or none."""
        spec, target = self.spec_of(name), self.target_of(name)
        columns = self.columns_of(name)
        rows = [{column: row.get(column) for column in columns} for row in candidate.rows]
        mode = spec.get("write", "insert")
        self.hold_places(name, candidate, rows)
        if mode == "skip_existing" and any(self.row_with_key(name, row) for row in rows):
            candidate.skipped_by, candidate.violations = "existing", set()
            return
        for row in rows:
            candidate.violations |= set(self.refusals(name, target, row, mode))
        if candidate.rejected:
            return
        for row in rows:
            there = self.row_with_key(name, row) if mode == "upsert" else None
            if there is None:
                there = dict.fromkeys(target.columns)
                target.rows.append(there)
            there.update(row)
            self.written[name].append((candidate, there))

    def refusals(self, name: str, target: TargetTable, row: Row, mode: str) -> Iterator[Violation]:
        """What the target has against a row: its CHECK constraints, its unique keys."""
        for constraint, (column, _, holds) in target.checks.items():
            if not holds(row):
                yield Violation("TRANS-004", constraint, column, "check_violation")
        there = self.row_with_key(name, row)
        if there is not None and mode == "insert":
            rule = f"{self.spec_of(name).get('into', name)}_pkey"
            yield Violation("DATA-004", rule, _only(self.key_of(name)), "existing_key")
        for constraint, columns in target.unique.items():
            value = [row.get(c) for c in columns]
            same = [r for r in target.there if [r.get(c) for c in columns] == value]
            if None not in value and any(r is not there or mode == "insert" for r in same):
                # An upsert frees and takes keys as it goes, so what the server says then counts.
                reason = "unique_violation" if mode == "upsert" else "existing_key"
                yield Violation("DATA-004", constraint, _only(columns), reason)

    def hold_places(self, name: str, candidate: Candidate, rows: list[Row]) -> None:
        """Makes the parents that the candidate's references are to have placeholders for."""
        for field_name, one in self.fields_of(name).items():
            wanted = any(
                v.reason == "placeholder" and v.rule == f"{field_name}.ref"
                for v in candidate.violations
            )
            if not wanted:
                continue
            parents = self.parents_of(one["ref"])
            target, column = self.target_of(parents[0]), self.key_column(parents)
            key: Value = candidate.rows[0][field_name]
            if self.by_source_key(one):
                key = Made(parents[0], str(candidate.referred[field_name]))
                for row in [*rows, *candidate.rows]:
                    row[field_name] = key
            if all(row[column] != key for row in [*target.there, *target.held]):
                held = {c: "Unknown" for c in target.not_null if target.columns[c].name == "text"}
                target.held.append({**dict.fromkeys(target.columns), **held, column: key})
                self.counts[parents[0]].placeholders += 1

    def columns_of(self, name: str) -> list[str]:
        into = [c for one in self.fields_of(name).values() for c in one.get("into", {})]
        return [*_list(self.spec_of(name).get("copy")), *self.fields_of(name), *into]

    # -- the second pass -----------------------------------------------------------------

    def settle(self, name: str) -> None:
        """References of the table to itself, again and again until nothing more falls.

        First come the skips: what is skipped is so because of skipped parents alone, whatever
        else is wrong with it.
        """
        deferred = [f for f, one in self.fields_of(name).items() if one.get("deferred")]
        for candidate in self.candidates[name]:
            for field_name in deferred:
                candidate.referred[field_name] = candidate.rows[0].get(field_name)
        while sum(self.skip_orphans(name, field_name) for field_name in deferred):
            pass
        while sum(self.reject_orphans(name, field_name) for field_name in deferred):
            pass

    def referring(self, name: str, field_name: str) -> list[tuple[Candidate, Reference]]:
        """What has become of a deferred reference of each candidate so far."""
        return [
            (candidate, self.refer(name, field_name, candidate.referred[field_name]))
            for candidate in self.candidates[name]
            if candidate.skipped_by is None
        ]

    def skip_orphans(self, name: str, field_name: str) -> bool:
        fallen = [c for c, found in self.referring(name, field_name) if found.skip]
        for candidate in fallen:
            candidate.skipped_by, candidate.violations = f"{field_name}.ref", set()
            self.take_out(name, candidate)
        return bool(fallen)

    def reject_orphans(self, name: str, field_name: str) -> bool:
        """Says whether anything has changed by which others could fall."""
        changed = False
        for candidate, found in self.referring(name, field_name):
            before = {v for v in candidate.violations if v.rule == f"{field_name}.ref"}
            after = {found.violation} if found.violation is not None else set()
            candidate.violations = candidate.violations - before | after
            for who, row in self.written[name]:
                if who is candidate:
                    row[field_name] = found.value
            if candidate.rejected:
                self.take_out(name, candidate)
            changed = changed or before != after
        return changed

    def take_out(self, name: str, candidate: Candidate) -> None:
        target = self.target_of(name)
        gone = [row for who, row in self.written[name] if who is candidate]
        target.rows = [row for row in target.rows if all(row is not g for g in gone)]
        self.written[name] = [(w, r) for w, r in self.written[name] if w is not candidate]

    # -- the books -----------------------------------------------------------------------

    def count(self, name: str) -> None:
        found, counts = self.candidates[name], self.counts[name]
        for candidate in found:
            winner = candidate.lost_to
            if candidate.rejected and winner is not None and winner.rejected:
                candidate.violations = {
                    Violation(v.code, v.rule, v.field, "winner_rejected", v.warning,
                              frozenset({(name, winner.source_key)}))
                    if v.reason == "duplicate" else v
                    for v in candidate.violations
                }  # fmt: skip
        counts.read = counts.candidates = len(found)
        counts.accepted = sum(c.accepted for c in found)
        counts.rejected = sum(c.rejected for c in found)
        counts.skipped = sum(c.skipped_by is not None for c in found)
        counts.written = len(self.written[name])
        counts.expanded = counts.written - counts.accepted
        for candidate in found:
            if candidate.skipped_by is not None:
                by = counts.skipped_by
                by[candidate.skipped_by] = by.get(candidate.skipped_by, 0) + 1


def _orphan(
    field_name: str,
    reason: str,
    warning: bool = False,
    causes: frozenset[tuple[str, str]] = frozenset(),
) -> Violation:
    return Violation("DATA-002", f"{field_name}.ref", field_name, reason, warning, causes)


def _rank(order: Sequence[str], candidate: Candidate) -> tuple[Any, ...]:
    """Where a candidate stands among those of its key; NULL comes before any value."""
    parts: list[Any] = []
    for column in order:
        value = candidate.source.get(column, candidate.rows[0].get(column))
        parts.append((value is not None, 0 if value is None else value))
    return (*parts, candidate.place)


def _only(columns: Sequence[str]) -> str | None:
    return columns[0] if len(columns) == 1 else None


def _list(value: Any) -> list[Any]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)
