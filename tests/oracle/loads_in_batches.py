"""Runs the columnar engine on what the oracle works with: one batch, without any server."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from schemas.catalog import Column, Relation
from schemas.code_maps.by_system import SystemTranslator
from schemas.code_maps.gem_file import packaged_gem
from schemas.code_maps.lookup_table import LookupTable
from schemas.code_maps.policy import GemPolicy
from schemas.code_maps.spelling import Repair
from schemas.code_maps.target_check import Outdated, target_check
from schemas.code_maps.translation import GemTranslator, Notation
from schemas.column_types import ColumnType, parse_type
from schemas.errors import TransfuseError
from schemas.specification.reading import read_specification
from schemas.violations import ORDINAL
from tests.oracle.calendar import timestamp_text
from tests.oracle.rows import Candidate, LoadRules, LookupRow, Violation, _list
from tests.oracle.values import Type, Value, written
from transforms.compiling.load import compile_load, sql_constants
from transforms.compiling.load_facts import LoadCatalog, LoadFacts
from transforms.mapping.code_translator import CodeTranslator
from transforms.mapping.loaded_maps import Maps
from transforms.mapping.lookup import Lookup
from transforms.model.field_maps import TableLookup
from transforms.model.program import SKIP, LoadProgram
from transforms.model.source_rows import SourceRows
from transforms.prediction.predicted_candidates import candidates_of
from transforms.sources.files.lookup_file import read_lookup_file

NO_PARENTS: Any = None
"""Whom the loads of a single batch refer to."""

HEADER = {
    "job": "moved",
    "source": {"url": "postgresql://a/b"},
    "target": {"url": "postgresql://a/c"},
}


@dataclass
class Outcome:
    """What became of a row: its target rows, the distinct violations, and who skipped it."""

    rows: list[dict[str, Value]]
    violations: set[Violation]
    skipped_by: str | None


def compiled(load: LoadRules, key: Sequence[str] = ("id",)) -> LoadProgram:
    """The program of a load against relations as the oracle knows them.

    Raises TransfuseError with the compiler's problems.
    """
    document = {**HEADER, "maps": load.maps, "tables": {load.name: load.spec}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "specification.yaml"
        path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")
        specification = read_specification(path, {})
    source = relation("legacy", load.source, key, frozenset(key))
    target = relation("modern", load.target, (), load.not_null)
    started_at = load.constants["started_at"]
    assert isinstance(started_at, int)
    constants = sql_constants("moved", timestamp_text(started_at, "+00"))
    catalogs = {load.name: LoadCatalog("source", (source,), target)}
    tables = {name: lookup_table(load, name) for name in load.lookups}
    facts = LoadFacts(specification, load.name, catalogs, lookups=tables)
    program = compile_load(facts, constants)
    if program is None:
        raise TransfuseError(facts.problems)
    return program


def lookup_table(load: LoadRules, name: str) -> LookupTable:
    """The table of a map: of its file, or as a query would give it."""
    entry, rows = load.maps[name], load.lookups[name]
    if "query" in entry:
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        return LookupTable.build(name, columns[:-1], columns[-1], entry.get("chain", False))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / entry["csv"]
        write_lookup_file(path, entry, rows)
        return read_lookup_file(
            name, path, _list(entry.get("from")), entry.get("to"), entry.get("chain", False)
        )


def write_lookup_file(path: Path, entry: Mapping[str, Any], rows: Sequence[LookupRow]) -> None:
    """The rows as the CSV file that a map names, with its columns among others."""
    keys = _list(entry.get("from")) or ["key"]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow([*keys, entry.get("to", "meaning"), "remark"])
        writer.writerows([*row, "n/a"] for row in rows)


def relation(
    name: str, columns: Mapping[str, Type], key: Sequence[str], not_null: frozenset[str]
) -> Relation:
    return Relation(
        schema="public",
        name=name,
        kind="r",
        columns=tuple(
            Column(c, column_type(t), nullable=c not in not_null) for c, t in columns.items()
        ),
        primary_key=tuple(key),
        unique_keys=(tuple(key),) if key else (),
    )


def column_type(type_: Type) -> ColumnType:
    return parse_type(str(type_))


def run_batch(
    load: LoadRules, program: LoadProgram, rows: Sequence[Mapping[str, Value]]
) -> list[Outcome]:
    """The outcome of each row, in order."""
    source = pa.RecordBatch.from_arrays(
        [arrow_of([row[c] for row in rows], load.source[c]) for c in program.columns],
        [f"src.{c}" for c in program.columns],
    )
    gems = {f.translation.gem for f in program.fields if f.translation is not None}
    tables = {f.map.table for f in program.fields if isinstance(f.map, TableLookup)}
    maps = Maps(
        {name: translator(load, name) for name in gems},
        {name: Lookup(lookup_table(load, name)) for name in tables},
    )
    found = candidates_of(SourceRows(source, {}), program, "1", maps, NO_PARENTS)
    assert found.count == len(rows)
    return outcomes(found.rows, found.violations, program, load, len(rows))


def outcomes(
    batch: pa.RecordBatch,
    violations: pa.RecordBatch,
    program: LoadProgram,
    load: LoadRules,
    count: int,
) -> list[Outcome]:
    made = [Outcome([], set(), None) for _ in range(count)]
    ordinals = batch.column(ORDINAL).to_pylist()
    assert ordinals == sorted(ordinals), "the candidates are not in their order"
    columns = {
        name: values_of(batch.column(f"out.{name}"), load.target[name])
        for name in program.target_columns()
    }
    for place, (ordinal, skip) in enumerate(
        zip(ordinals, batch.column(SKIP).to_pylist(), strict=True)
    ):
        made[ordinal].rows.append({name: values[place] for name, values in columns.items()})
        made[ordinal].skipped_by = made[ordinal].skipped_by or skip
    for one in violations.to_pylist():
        assert one["root_cause"] is None
        made[one[ORDINAL]].violations.add(
            Violation(one["code"], one["rule"], one["field"], one["reason"], one["warning"])
        )
    for outcome in made:
        if outcome.skipped_by is not None:
            outcome.violations = set()
    return made


def arrow_of(values: Sequence[Value], type_: Type) -> pa.Array:
    """Values of the oracle as a column of a batch."""
    kind = column_type(type_).arrow
    if type_.name == "numeric":
        return pa.array([written(v, type_) for v in values], pa.string())
    if pa.types.is_temporal(kind):
        storage = pa.int32() if type_.name == "date" else pa.int64()
        return pa.array(values, storage).view(kind)
    return pa.array(values, kind)


def values_of(column: pa.Array, type_: Type) -> list[Value]:
    """A column of a batch as values of the oracle."""
    assert column.type == column_type(type_).arrow, f"{column.type} for {type_}"
    if type_.name == "numeric":
        return [None if v is None else Decimal(v) for v in column.to_pylist()]
    if pa.types.is_temporal(column.type):
        column = column.view(pa.int32() if type_.name == "date" else pa.int64())
    values: list[Value] = column.to_pylist()
    return values


@lru_cache(maxsize=64)
def _translator(
    name: str,
    policy: tuple[tuple[str, str], ...],
    notation: Any,
    repair: tuple[tuple[str, bool], ...],
    outdated: Any,
    by_row: bool,
    site: tuple[tuple[str, str | None], ...],
) -> CodeTranslator:
    gem = _packaged()
    table = pa.table(
        {
            "source_code": pa.array([s for s, _ in site], pa.string()),
            "target_code": pa.array([t for _, t in site], pa.string()),
        }
    )
    gem_policy, mending = (
        GemPolicy.model_validate(dict(policy)),
        Repair.model_validate(dict(repair)),
    )
    check = target_check(gem, Outdated(outdated), None)
    made = GemTranslator(gem, gem_policy, notation, table, mending, check)
    by_system = None
    if by_row:
        by_system = SystemTranslator(gem, made, check, gem_policy, notation, mending)
    named = type(gem)(name, gem.version, gem.sha256, gem.entries, gem.codes)
    return CodeTranslator(named, made, by_system)


@lru_cache(maxsize=1)
def _packaged() -> Any:
    return packaged_gem("packaged")


def translator(load: LoadRules, name: str) -> CodeTranslator:
    entry = load.maps[name]
    site = tuple((code, target) for code, targets in load.site.items() for target in targets)
    policy = tuple(sorted(entry.get("policy", {}).items()))
    repair = tuple(sorted(entry.get("repair", {}).items()))
    by_row = any("coded_in" in f or "coded_on" in f for f in load.fields.values())
    outdated = entry.get("outdated", "warn")
    notation = Notation(entry.get("notation", "as_source"))
    return _translator(name, policy, notation, repair, outdated, by_row, site)


def same_value(one: Value, other: Value, type_: Type) -> bool:
    """Whether the target would show the same; a numeric of fixed scale by its number alone."""
    if type_.name == "numeric" and type_.size is not None and one is not None and other is not None:
        return one == other or written(one, type_) == written(other, type_)
    return type(one) is type(other) and written(one, type_) == written(other, type_)


def differences(load: LoadRules, expected: Candidate, got: Outcome) -> list[str]:
    """How the engine's outcome of a row differs from the oracle's; empty where it doesn't.

    The values of a skipped row and of fields that failed don't matter.
    """
    found = []
    if expected.skipped_by != got.skipped_by:
        found.append(f"skipped by {got.skipped_by}, not {expected.skipped_by}")
    found += [f"lacks {violation}" for violation in expected.violations - got.violations]
    found += [f"should not have {violation}" for violation in got.violations - expected.violations]
    if found or expected.skipped_by is not None:
        return found
    if len(expected.rows) != len(got.rows):
        return [f"{len(got.rows)} target rows, not {len(expected.rows)}"]
    for number, (right, failed, seen) in enumerate(
        zip(expected.rows, expected.failed, got.rows, strict=True)
    ):
        for name, value in seen.items():
            if name not in failed and not same_value(right[name], value, load.target[name]):
                found.append(f"row {number}, {name}: {value!r}, not {right[name]!r}")
    return found
