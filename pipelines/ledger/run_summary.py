"""Reads the summary of a job from its ledger, so that it is the same on every runner."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from pipelines.ledger.job import control_table, stored_job
from pipelines.ledger.job_lock import is_held
from schemas.specification.root import Specification
from schemas.summary import LoadSummary, State, Summary

_COUNTS = ("read", "empty", "candidates", "accepted", "rejected", "skipped", "written", "expanded")


def read_summary(
    target: psycopg.Connection[Any], specification: Specification, held: bool | None = None
) -> Summary:
    """The summary of the specification's job as its ledger stands now.

    All from one statement's snapshot each; a job that has never run, with control tables
    or without, has loads without partitions and the state ``incomplete``. Whether a process
    holds the job is looked at before, else a run that ends meanwhile would seem to have been
    killed; who reads all under one snapshot has looked before it, and gives what it has seen.
    """
    held = is_held(target, specification) if held is None else held
    if stored_job(target, specification) is None:
        into = {name: specification.target_table(name) for name in specification.tables}
        tables = {name: LoadSummary(into=table) for name, table in into.items()}
        return Summary(job=specification.job, state="incomplete", seconds=0.0, tables=tables)
    # At once, since a run that begins meanwhile would seem to have been killed too.
    state, seconds = _state(target, specification, held)
    partitions = control_table(specification, "migration_partitions")
    sums = ", ".join(f"coalesce(sum({name}), 0)::int8" for name in _COUNTS)
    rows = target.execute(
        sql.SQL(
            "SELECT load, count(*), count(*) FILTER (WHERE state = 'done'),"
            " count(*) FILTER (WHERE state = 'failed'), {sums} FROM {table}"
            " WHERE job_id = %s GROUP BY load"
        ).format(sums=sql.SQL(sums), table=partitions),
        [specification.job],
    ).fetchall()
    found = {row[0]: row[1:] for row in rows}
    skipped = _by_name(target, specification, "skipped_by")
    placeholders = _by_name(target, specification, "placeholders")
    tables = {}
    for name in specification.tables:
        counts = found.get(name, (0, 0, 0, *(0 for _ in _COUNTS)))
        tables[name] = LoadSummary(
            into=specification.target_table(name),
            partitions=counts[0],
            partitions_done=counts[1],
            partitions_failed=counts[2],
            skipped_by=skipped.get(name, {}),
            placeholders=sum(made.get(name, 0) for made in placeholders.values()),
            **dict(zip(_COUNTS, counts[3:], strict=True)),
        )
    return Summary(
        job=specification.job,
        state=state,
        seconds=seconds,
        tables=tables,
        violations=_total(_by_name(target, specification, "violations")),
        warnings=_total(_by_name(target, specification, "warnings")),
    )


def _state(
    target: psycopg.Connection[Any], specification: Specification, held: bool
) -> tuple[State, float]:
    """The job's state, and the seconds of all its runs, the present one included."""
    row = target.execute(
        sql.SQL(
            "SELECT state, wanted, seconds + CASE WHEN state = 'running'"
            " THEN extract(epoch FROM clock_timestamp() - updated_at)::float8 ELSE 0 END"
            " FROM {} WHERE job_id = %s"
        ).format(control_table(specification, "migration_jobs")),
        [specification.job],
    ).fetchone()
    if row is None:
        return "incomplete", 0.0
    state, wanted, seconds = row
    if state == "running":
        if not held:
            state = "incomplete"
        elif wanted == "pause":
            state = "paused"
    return state, round(float(seconds), 3)


def _by_name(
    target: psycopg.Connection[Any], specification: Specification, column: str
) -> dict[str, dict[str, int]]:
    """The sums of a JSON column of counts, by load and name."""
    rows = target.execute(
        sql.SQL(
            "SELECT load, e.key, sum(e.value::int8)::int8 FROM {}, jsonb_each_text({}) AS e"
            " WHERE job_id = %s AND state = 'done' GROUP BY load, e.key ORDER BY load, e.key"
        ).format(control_table(specification, "migration_partitions"), sql.Identifier(column)),
        [specification.job],
    ).fetchall()
    found: dict[str, dict[str, int]] = {}
    for load, name, count in rows:
        found.setdefault(load, {})[name] = count
    return found


def _total(by_load: dict[str, dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in by_load.values():
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))
