"""Runs a generated migration on a real server, and holds what came of it against the oracle."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import yaml

from pipelines.run.outcome import RunOutcome
from tests.oracle.loads_in_batches import write_lookup_file
from tests.oracle.migration import Migration, Row, SourceTable, TargetTable
from tests.oracle.rows import LookupRow, Made, Violation
from tests.oracle.values import Type, Value, written
from tests.support.databases.two_databases import TwoDatabases

_jobs = itertools.count(1)


def carry_out(databases: TwoDatabases, migration: Migration) -> tuple[str, RunOutcome]:
    """Makes the tables afresh and migrates: the job's name, and how it ended."""
    legacy = ["DROP SCHEMA public CASCADE; CREATE SCHEMA public"]
    legacy += [_source_script(name, table) for name, table in migration.sources.items()]
    for name, rows in migration.lookups.items():
        entry = migration.spec["maps"][name]
        if "csv" in entry:
            write_lookup_file(databases.folder / entry["csv"], entry, rows)
        else:
            legacy += _lookup_script(name, rows)
    databases.legacy.run(";\n".join(legacy))
    target = ["DROP SCHEMA public CASCADE; CREATE SCHEMA public"]
    target += [_target_script(name, table) for name, table in migration.targets.items()]
    databases.target.run(";\n".join(target))
    job = f"job{next(_jobs)}"
    text = yaml.safe_dump(dict(migration.spec), allow_unicode=True, sort_keys=False)
    return job, databases.migrate(text, job=job)


def _source_script(name: str, table: SourceTable) -> str:
    # A page holds a few rows only, so that a small table has partitions of its own.
    lines = [
        f"CREATE TABLE {name} ({_columns(table.columns)}, PRIMARY KEY ({', '.join(table.key)}))"
        " WITH (fillfactor = 10)"
    ]
    return ";\n".join([*lines, *_inserts(name, table.columns, table.rows)])


def _lookup_script(name: str, rows: Sequence[LookupRow]) -> list[str]:
    width = len(rows[0]) if rows else 2
    columns = {f"c{number}": Type("text") for number in range(width)}
    inserts: list[Row] = [dict(zip(columns, row, strict=True)) for row in rows]
    return [f"CREATE TABLE {name} ({_columns(columns)})", *_inserts(name, columns, inserts)]


def _target_script(name: str, table: TargetTable) -> str:
    parts = [_columns(table.columns), f"PRIMARY KEY ({', '.join(table.key)})"]
    parts += [f"CONSTRAINT {c} CHECK ({check})" for c, (_, check, _) in table.checks.items()]
    parts += [f"CONSTRAINT {c} UNIQUE ({', '.join(u)})" for c, u in table.unique.items()]
    script = [f"CREATE TABLE {name} ({', '.join(parts)})"]
    script += [
        f"ALTER TABLE {name} ALTER COLUMN {column} SET NOT NULL" for column in table.not_null
    ]
    return ";\n".join([*script, *_inserts(name, table.columns, table.before)])


def _columns(columns: dict[str, Type]) -> str:
    return ", ".join(f"{name} {type_}" for name, type_ in columns.items())


def _inserts(name: str, columns: dict[str, Type], rows: list[Row]) -> list[str]:
    return [
        f"INSERT INTO {name} VALUES ({', '.join(_literal(row[c], t) for c, t in columns.items())})"
        for row in rows
    ]


def _literal(value: Value, type_: Type) -> str:
    text = written(value, type_)
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def disagreements(
    databases: TwoDatabases, migration: Migration, job: str, outcome: RunOutcome
) -> list[str]:
    """Everything in which the run differs from the oracle's migration, in words."""
    return [
        *_different_rows(databases, migration, job),
        *_different_violations(databases, migration, job),
        *_different_counts(migration, outcome),
    ]


def _different_rows(databases: TwoDatabases, migration: Migration, job: str) -> list[str]:
    made: dict[str, dict[str, str]] = {}
    for load, source, target in databases.target.rows(
        f"SELECT load, source_key, target_key FROM migration.migration_keys WHERE job_id = '{job}'"
    ):
        made.setdefault(load, {})[target] = str(Made(load, source))
    found = []
    for name, table in migration.targets.items():
        keys = {
            column: {text: key for load in loads for text, key in made.get(load, {}).items()}
            for column, loads in _loads_by_column(migration, name).items()
        }
        select = ", ".join(f"{column}::text" for column in table.columns)
        got = Counter(
            tuple(
                keys.get(column, {}).get(text, text)
                for column, text in zip(table.columns, row, strict=True)
            )
            for row in databases.target.rows(f"SELECT {select} FROM {name}")
        )
        expected = Counter(
            tuple(_shown(row[column], type_) for column, type_ in table.columns.items())
            for row in [*table.there, *table.held]
        )
        found += [f"{name} lacks the row {row}" for row in (expected - got).elements()]
        found += [f"{name} has the row {row}" for row in (got - expected).elements()]
    return found


def _loads_by_column(migration: Migration, table: str) -> dict[str, list[str]]:
    """The columns of a table that hold keys made by the migration, and for which loads."""
    found: dict[str, list[str]] = {}
    for load, spec in migration.spec["tables"].items():
        if spec.get("into", load) != table:
            continue
        for name, one in migration.fields_of(load).items():
            parents = [load] if "generate" in one else migration.parents_of(one.get("ref", ""))
            makers = [
                parent
                for parent in parents
                if migration.generated_field(parent) or "generate" in one
            ]
            found.setdefault(name, []).extend(makers)
    return found


def _shown(value: Value, type_: Type) -> str | None:
    return str(value) if isinstance(value, Made) else written(value, type_)


def _different_violations(databases: TwoDatabases, migration: Migration, job: str) -> list[str]:
    got: Counter[tuple[Any, ...]] = Counter()
    causes: dict[tuple[Any, ...], set[Any]] = {}
    for *values, cause_load, cause_key in databases.target.rows(
        "SELECT e.load, e.source_key, e.error_code, e.rule_id, e.field, e.reason, e.warning,"
        " c.load, c.source_key FROM migration.migration_errors e"
        " LEFT JOIN migration.migration_errors c ON c.id = e.root_cause_id"
        f" WHERE e.job_id = '{job}'"
    ):
        one = tuple(values)
        got[one] += 1
        causes.setdefault(one, set()).add((cause_load, cause_key))
    expected: Counter[tuple[Any, ...]] = Counter()
    right: dict[tuple[Any, ...], frozenset[tuple[str, str]]] = {}
    for load, candidates in migration.candidates.items():
        for candidate in candidates:
            for violation in candidate.violations:
                one = _flat(load, candidate.source_key, violation)
                expected[one] += 1
                right[one] = violation.causes
    found = [f"lacks {one}" for one in (expected - got).elements()]
    found += [f"should not have {one}" for one in (got - expected).elements()]
    for one, seen in causes.items():
        if one in right and not seen <= (right[one] or {(None, None)}):
            found.append(f"{one} follows from {seen}, not {set(right[one])}")
    return found


def described(migration: Migration, found: list[str]) -> str:
    """The specification and tables of those hospitals that the disagreements are about."""
    prefixes = tuple(f"{p}_" for p in ("h1", "h2", "h3", "h4", "h5", "h6") if f"{p}_" in str(found))
    about = {
        part: {name: one for name, one in entries.items() if name.startswith(prefixes)}
        for part, entries in migration.spec.items()
    }
    lines = [yaml.safe_dump(about, allow_unicode=True, sort_keys=False)]
    for name, table in migration.sources.items():
        if name.startswith(prefixes):
            lines += [name, *(f"    {row}" for row in table.rows)]
    for name, target in migration.targets.items():
        if name.startswith(prefixes) and target.before:
            lines += [f"{name} before", *(f"    {row}" for row in target.before)]
    return "\n".join(lines)


def _flat(load: str, source_key: str, violation: Violation) -> tuple[Any, ...]:
    return (
        load,
        source_key,
        violation.code,
        violation.rule,
        violation.field,
        violation.reason,
        violation.warning,
    )


def _different_counts(migration: Migration, outcome: RunOutcome) -> list[str]:
    found = []
    for load, counts in migration.counts.items():
        summary = outcome.summary.tables[load]
        for name, expected in vars(counts).items():
            got = getattr(summary, name)
            if got != expected:
                found.append(f"{load}.{name} is {got}, not {expected}")
    for kind, warning in (("violations", False), ("warnings", True)):
        every = [
            v.code
            for candidates in migration.candidates.values()
            for candidate in candidates
            for v in candidate.violations
            if v.warning is warning
        ]
        if getattr(outcome.summary, kind) != dict(Counter(every)):
            found.append(f"{kind} are {getattr(outcome.summary, kind)}, not {dict(Counter(every))}")
    return found
