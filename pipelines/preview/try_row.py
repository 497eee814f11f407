"""``try``: one row through the transformations of a load, printed. Nothing is written."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any, Literal

from pipelines.databases.load_compilation import compile_programs
from pipelines.databases.open_databases import Databases, open_databases
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.ledger.job import stored_job
from pipelines.maps.decided_maps import read_decided_maps
from pipelines.maps.lookup_tables import read_lookups
from pipelines.maps.run_contexts import complete_loads, run_context
from pipelines.rejects.rows_of_violations import find_row
from pipelines.terminal.console import print_json, shown, stdout, table_of
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.messages import message_of
from schemas.remedies import remedy_of
from schemas.specification.root import Specification
from transforms.keys.source_keys import source_keys
from transforms.mapping.loaded_maps import new_maps
from transforms.mapping.stages import types_of
from transforms.model.program import SKIP, LoadProgram
from transforms.model.source_rows import SourceRows
from transforms.prediction.predictable import PredictablePart, predictable_part
from transforms.prediction.predicted_candidates import Candidates, candidates_of
from transforms.references.parent_lookup import Bound
from transforms.references.row_texts import row_texts
from transforms.references.target_parents import ParentIndexes, TargetParents
from transforms.sources.given_row import parse_row

Verdict = Literal["accepted", "rejected", "skipped"]


@dataclass(frozen=True)
class PredictedViolation:
    """A violation or warning of the row."""

    code: str
    severity: str
    rule: str
    field: str | None
    reason: str | None
    warning: bool
    message: str
    remedy: str


@dataclass(frozen=True)
class Trial:
    """What would become of a row. All values are the texts that the server would give.

    ``rows`` are the target rows by field, more than one for a cluster of codes;
    ``not_checked`` says what only a migration finds out.
    """

    load: str
    into: str
    source_key: str | None
    source: dict[str, str | None]
    verdict: Verdict
    skip: str | None
    rows: list[dict[str, str | None]]
    violations: list[PredictedViolation]
    not_checked: list[str]


def show_trial(
    specification: Specification,
    load: str,
    key: str | None,
    row: str | None,
    as_json: bool,
) -> None:
    """Prints what becomes of the source row with the source key ``key``, or of ``row`` (JSON).

    Raises TransfuseError: USER-001 for a load, a key or a row that there isn't, else as
    ``open_databases`` and ``compile_programs`` do.
    """
    if load not in specification.tables:
        known = ", ".join(specification.tables)
        told = f"the specification has no load '{load}'"
        raise TransfuseError(Problem(ErrorCode.USER_001, told, "LOAD", f"known: {known}"))
    given = None if row is None else parse_row(row)
    with open_databases(specification) as databases:
        ensure_current_version(databases.target, specification)
        trial = try_row(databases, load, key, given)
    if as_json:
        print_json(asdict(trial))
    else:
        _print(trial)


def try_row(databases: Databases, load: str, key: str | None, row: dict[str, Any] | None) -> Trial:
    """Takes a row through the stages of a load, as far as that goes for a single row."""
    specification = databases.specification
    known = stored_job(databases.target, specification)
    started_at = known.started_at if known else datetime.now(timezone.utc).isoformat()
    lookups = read_lookups(databases)
    programs = compile_programs(databases, started_at, lookups)
    loaded = complete_loads(databases.target, specification)
    whole = _undeferred(programs[load], loaded)
    if row is not None:
        source = databases.sources[whole.source].given(whole, row)
    else:
        source = _found(databases, whole, key)
    maps = read_decided_maps(databases, programs)
    absent = [
        f.reference
        for f in whole.fields
        if f.reference is not None and not loaded.issuperset(f.reference.parents)
    ]
    part = predictable_part(whole, absent)
    context = run_context(databases, programs, maps, lookups.tables)
    # One row isn't worth an index of all parents.
    parents = TargetParents(context, ParentIndexes(), Bound(0))
    candidates = candidates_of(source, part.program, "try", new_maps(maps, lookups.tables), parents)
    if row is not None:
        key = source_keys(candidates.rows, whole, "")[0].as_py() if whole.source_key else None
    return _trial(whole, part, source, candidates, key)


def _undeferred(program: LoadProgram, loaded: Collection[str]) -> LoadProgram:
    """The program, with references to loaded tables checked at once: all their rows are there."""
    fields = tuple(
        replace(f, reference=replace(f.reference, deferred=False))
        if f.reference is not None and set(f.reference.parents) <= set(loaded)
        else f
        for f in program.fields
    )
    return replace(program, fields=fields)


def _found(databases: Databases, program: LoadProgram, key: str | None) -> SourceRows:
    found = find_row(databases, program, key or "", list(program.columns))
    if found is None:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"the source has no row with the source key {key!r}",
                f"table {program.name}",
                "look at migration_errors.source_key, or give the row as JSON",
            )
        )
    return found


def _trial(
    program: LoadProgram,
    part: PredictablePart,
    source: SourceRows,
    candidates: Candidates,
    source_key: str | None,
) -> Trial:
    rows = candidates.rows
    skip = rows.column(SKIP)[0].as_py()
    # A skipped row has no violations, and the rows of a cluster share theirs.
    kinds = dict.fromkeys(
        (v["code"], v["rule"], v["field"], v["reason"], v["warning"])
        for v in ([] if skip is not None else candidates.violations.to_pylist())
    )
    violations = [_violation(*kind) for kind in kinds]
    rejected = any(not v.warning for v in violations)
    types = types_of(part.program)
    sources = {f"src.{c.name}": c.type for c in program.relations[0].columns}
    targets = {
        f"out.{name}": types[f"out.{name}"]
        for name in part.program.target_columns()
        if name not in part.unknown
    }
    return Trial(
        load=program.name,
        into=str(program.table),
        source_key=source_key,
        source=_unprefixed(row_texts(source.batch, sources, 0)),
        verdict="skipped" if skip is not None else "rejected" if rejected else "accepted",
        skip=skip,
        rows=[_unprefixed(row_texts(rows, targets, i)) for i in range(len(rows))],
        violations=violations,
        not_checked=_not_checked(program, part),
    )


def _violation(
    code: str, rule: str, field: str | None, reason: str | None, warning: bool
) -> PredictedViolation:
    return PredictedViolation(
        code,
        ErrorCode(code).severity.label,
        rule,
        field,
        reason,
        warning,
        message_of(code, rule, field, reason),
        remedy_of(code, rule, field, reason),
    )


def _unprefixed(texts: dict[str, str | None]) -> dict[str, str | None]:
    return {name.partition(".")[2]: text for name, text in texts.items()}


def _not_checked(program: LoadProgram, part: PredictablePart) -> list[str]:
    told = []
    for field in program.fields:
        if field.name in part.unchecked and field.reference is not None:
            parents = ", ".join(field.reference.parents)
            why = "is settled in a second pass" if field.reference.deferred else "is not loaded yet"
            told.append(f"{field.name}: the reference to {parents}, which {why}")
    told += [f"{name}: it depends on such a reference" for name in part.left_out]
    if program.generated is not None:
        told.append(f"{program.generated.name}: the key is made when the row is written")
    if program.finds_duplicates:
        told.append("whether other rows of the source have the same key")
    if program.group_rules:
        names = ", ".join(rule.name for rule in program.group_rules)
        told.append(f"{names}: they compare the row with others")
    told.append("what stands in the target: existing keys, constraints, triggers")
    return told


def _print(trial: Trial) -> None:
    console = stdout()
    source = [(name, shown(value)) for name, value in trial.source.items()]
    console.print(table_of(f"Source row {trial.source_key or ''}", ("column", "value"), (), source))
    names = list(trial.rows[0])
    count = len(trial.rows)
    columns = ["value"] if count == 1 else [f"row {i}" for i in range(1, count + 1)]
    target = [(name, *(shown(row[name]) for row in trial.rows)) for name in names]
    console.print(table_of(f"Into {trial.into}", ("field", *columns), (), target))
    told = trial.verdict if trial.skip is None else f"{trial.verdict}: {trial.skip}"
    console.print(f"The row would be {told}.")
    for violation in trial.violations:
        kind = f"{violation.code} {violation.rule}{' (warning)' if violation.warning else ''}"
        console.print(f"  {kind}: {violation.message}\n    -> {violation.remedy}")
    console.print("Not checked here:")
    for sentence in trial.not_checked:
        console.print(f"  {sentence}")
