"""``try``: one row through the transformations of a load. Nothing is written."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Literal

from pipelines.databases.load_compilation import compile_programs
from pipelines.databases.open_databases import Databases, open_databases
from pipelines.ledger.control_schema import ensure_current_version
from pipelines.maps.decided_maps import read_decided_maps
from pipelines.maps.lookup_tables import read_lookups
from pipelines.maps.run_contexts import run_context
from pipelines.rejects.rows_of_violations import find_row
from schemas.errors import ErrorCode, Problem, TransfuseError
from schemas.messages import message_of
from schemas.remedies import remedy_of
from schemas.specification.root import Specification
from transforms.keys.source_keys import source_keys
from transforms.mapping.loaded_maps import new_maps
from transforms.mapping.stages import types_of
from transforms.model.log_event import EventPlace, log_event
from transforms.model.program import SKIP, LoadProgram
from transforms.model.source_rows import SourceRows
from transforms.prediction.predictable import PredictablePart, predictable_part
from transforms.prediction.predicted_candidates import Candidates, candidates_of
from transforms.references.parent_lookup import Bound
from transforms.references.row_texts import row_texts
from transforms.references.target_parents import ParentIndexes, TargetParents
from transforms.sources.entered_row import parse_row

logger = logging.getLogger("transfuse.try")

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

    Attributes:
        load: The load.
        into: Its target table.
        source_key: The key of the row, if the load has one.
        source: The source row by column.
        verdict: Whether it would be accepted, rejected or skipped.
        skip: The name of the skip.
        rows: The target rows by field, more than one for a cluster of codes.
        violations: The violations and warnings.
        not_checked: The checks that only a migration makes.
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


def try_row(
    specification: Specification,
    load: str,
    key: str | None = None,
    row: Mapping[str, Any] | str | None = None,
) -> Trial:
    """Take one row through the transformations of a load; nothing is written.

    Args:
        specification: That of the job.
        load: The load.
        key: The source key of a row of the source.
        row: The values of a row by source column, or such an object as JSON, instead of a key.

    Returns:
        What would become of the row, as far as that can be said of a single one.

    Raises:
        TransfuseError: USER-001 for a load, a key or a row that doesn't exist, or if both or none
            of ``key`` and ``row`` are given; the codes of the databases and of compiling.
    """
    if load not in specification.tables:
        listed = ", ".join(specification.tables)
        message = f"the specification has no load '{load}'"
        raise TransfuseError(Problem(ErrorCode.USER_001, message, "LOAD", f"known: {listed}"))
    if (key is None) is (row is None):
        raise TransfuseError(Problem(ErrorCode.USER_001, "give either --key or a row, not both"))
    values = None
    if row is not None:
        values = parse_row(row if isinstance(row, str) else json.dumps(row, default=str))
    with open_databases(specification) as databases:
        ensure_current_version(databases.ledger)
        return _try(databases, load, key, values)


def _try(databases: Databases, load: str, key: str | None, row: Mapping[str, Any] | None) -> Trial:
    job = databases.ledger.job.read()
    started_at = job.started_at if job else datetime.now(timezone.utc).isoformat()
    lookups = read_lookups(databases)
    programs = compile_programs(databases, started_at, lookups)
    loaded = databases.ledger.loads.read_complete()
    whole = _check_references_at_once(programs[load], loaded)
    if row is not None:
        source = databases.sources[whole.source].entered_row(whole, row)
    else:
        _record_view(databases, load)
        source = _read_row(databases, whole, key)
    maps = read_decided_maps(databases, programs)
    absent = [
        f.reference
        for f in whole.fields
        if f.reference is not None and not loaded.issuperset(f.reference.parents)
    ]
    part = predictable_part(whole, absent)
    context = replace(run_context(databases, programs, maps, lookups.tables), verb="try")
    # One row isn't worth an index of all parents.
    parents = TargetParents(context, ParentIndexes(), Bound(0))
    candidates = candidates_of(source, part.program, "try", new_maps(maps, lookups.tables), parents)
    if row is not None:
        key = source_keys(candidates.rows, whole, "")[0].as_py() if whole.source_key else None
    return _trial(whole, part, source, candidates, key)


def _record_view(databases: Databases, load: str) -> None:
    """Records that somebody looks at values of a load, or warns that it isn't on record."""
    if not databases.ledger.audit.record_if_possible("view_values", f"load {load}"):
        text = "who looks at this row is not recorded: migration_audit can't be written"
        log_event(logger, logging.WARNING, text, EventPlace(databases.specification.job, load=load))


def _check_references_at_once(program: LoadProgram, loaded: Collection[str]) -> LoadProgram:
    """The program, with references to loaded tables checked at once: all their rows are there."""
    fields = tuple(
        replace(f, reference=replace(f.reference, deferred=False))
        if f.reference is not None and set(f.reference.parents) <= set(loaded)
        else f
        for f in program.fields
    )
    return replace(program, fields=fields)


def _read_row(databases: Databases, program: LoadProgram, key: str | None) -> SourceRows:
    row = find_row(databases, program, key or "", list(program.columns))
    if row is None:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"the source has no row with the source key {key!r}",
                f"table {program.name}",
                "look at migration_errors.source_key, or give the row as JSON",
            )
        )
    return row


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
        source=_without_prefixes(row_texts(source.batch, sources, 0)),
        verdict="skipped" if skip is not None else "rejected" if rejected else "accepted",
        skip=skip,
        rows=[_without_prefixes(row_texts(rows, targets, i)) for i in range(len(rows))],
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


def _without_prefixes(texts: dict[str, str | None]) -> dict[str, str | None]:
    return {name.partition(".")[2]: text for name, text in texts.items()}


def _not_checked(program: LoadProgram, part: PredictablePart) -> list[str]:
    checks = []
    for field in program.fields:
        if field.name in part.unchecked and field.reference is not None:
            parents = ", ".join(field.reference.parents)
            why = "is settled in a second pass" if field.reference.deferred else "is not loaded yet"
            checks.append(f"{field.name}: the reference to {parents}, which {why}")
    checks += [f"{name}: it depends on such a reference" for name in part.left_out]
    if program.generated is not None:
        checks.append(f"{program.generated.name}: the key is made when the row is written")
    if program.finds_duplicates:
        checks.append("whether other rows of the source have the same key")
    if program.group_rules:
        names = ", ".join(rule.name for rule in program.group_rules)
        checks.append(f"{names}: they compare the row with others")
    checks.append("the target: existing keys, constraints, triggers")
    return checks
