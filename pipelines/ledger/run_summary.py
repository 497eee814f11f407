"""The summary of a job, read from its ledger, so that it is the same with every runner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.ledger_counts import LoadCounts
from schemas.summary import LoadSummary, State, Summary


def read_summary(ledger: JobLedger, held: bool | None = None) -> Summary:
    """Read the summary of a job.

    Args:
        ledger: The job's.
        held: Whether a process holds the job; None to look. A caller that reads everything under
            one snapshot looks before it: otherwise a run that ends meanwhile would seem to have
            been killed.

    Returns:
        The summary; of a job that has never run, ``incomplete`` with loads without partitions.
    """
    specification = ledger.specification
    held = ledger.lock.is_held() if held is None else held
    if ledger.job.read() is None:
        into = {name: specification.target_table(name) for name in specification.tables}
        tables = {name: LoadSummary(into=table) for name, table in into.items()}
        return Summary(job=specification.job, state="incomplete", seconds=0.0, tables=tables)
    # At once, since a run that begins meanwhile would seem to have been killed too.
    state, seconds = _read_state(ledger, held)
    return summarize(ledger, state, seconds, ledger.counts.read_loads())


def summarize(
    ledger: JobLedger, state: State, seconds: float, counts: Mapping[str, LoadCounts]
) -> Summary:
    """The summary that counts of a job's loads give."""
    specification = ledger.specification
    placeholders = _total(load.placeholders for load in counts.values())
    tables = {}
    for name in specification.tables:
        load = counts.get(name, LoadCounts())
        tables[name] = LoadSummary(
            into=specification.target_table(name),
            read=load.read,
            empty=load.empty,
            candidates=load.candidates,
            accepted=load.accepted,
            rejected=load.rejected,
            skipped=load.skipped,
            written=load.written,
            expanded=load.expanded,
            placeholders=placeholders.get(name, 0),
            partitions=load.partitions,
            partitions_done=load.partitions_done,
            partitions_failed=load.partitions_failed,
            skipped_by=dict(load.skipped_by),
        )
    return Summary(
        job=specification.job,
        state=state,
        seconds=seconds,
        tables=tables,
        violations=_total(load.violations for load in counts.values()),
        warnings=_total(load.warnings for load in counts.values()),
    )


def _read_state(ledger: JobLedger, held: bool) -> tuple[State, float]:
    """The job's state, and the seconds of all its runs, the present one included."""
    row = ledger.job.read_state()
    if row is None:
        return "incomplete", 0.0
    stored, wanted, seconds = row
    state: State = stored
    if state == "running":
        if not held:
            state = "incomplete"
        elif wanted == "pause":
            state = "paused"
    return state, round(seconds, 3)


def _total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))
