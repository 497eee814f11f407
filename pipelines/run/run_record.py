"""Opens runs, and records those that end by an error; others record their end themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg

from pipelines.databases.open_databases import Databases, open_databases
from pipelines.ledger.control_schema import hold_current_job
from pipelines.ledger.job_ledger import JobLedger
from pipelines.ledger.run_rows import RunRequestRecord
from schemas.errors import TransfuseError
from schemas.specification.root import Specification
from schemas.specification.stored_text import text_without_passwords


def record_request(
    verb: str, specification: Specification, flags: Sequence[str]
) -> RunRequestRecord:
    """What a run is asked for, as the ledger records it: without passwords.

    Args:
        verb: The verb, such as ``migrate``.
        specification: The job's.
        flags: The flags for Beam.
    """
    text = text_without_passwords(specification.file.read_text(encoding="utf-8-sig"))
    return RunRequestRecord(verb, tuple(flags), specification.digest, text)


@contextmanager
def open_run(specification: Specification, request: RunRequestRecord) -> Iterator[Databases]:
    """Open the databases for a run, hold the job, and record how the run ends.

    Args:
        specification: The job's.
        request: What the run was asked for.

    Yields:
        The open databases.

    Raises:
        TransfuseError: As ``open_databases`` and ``hold_current_job``.
    """
    with (
        open_databases(specification) as databases,
        hold_current_job(databases.ledger),
        _record_run(databases.ledger, request),
    ):
        yield databases


@contextmanager
def _record_run(ledger: JobLedger, request: RunRequestRecord) -> Iterator[None]:
    """Record that a run was refused, or how it ended, if an error ends the context.

    Where the target can't be asked any more, the next run records it as interrupted.
    """
    ledger.runs.end_interrupted()
    try:
        yield
    except TransfuseError as error:
        with suppress(psycopg.Error):
            status = int(error.status)
            if not ledger.runs.end("incomplete", status, error.problems):
                ledger.runs.refuse(request, status, error.problems)
        raise
    except KeyboardInterrupt:
        with suppress(psycopg.Error):
            ledger.runs.end("stopped")
        raise
    except BaseException:
        with suppress(psycopg.Error):
            ledger.runs.end("crashed")
        raise
