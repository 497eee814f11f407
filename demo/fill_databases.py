"""Fills the databases of the demo: the legacy hospital with its truth, and the target."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql

from demo.tables import Hospital
from demo.truth import Truth

HERE = Path(__file__).parent

_MADE_OF = (
    "legacy_schema.sql",
    "target_schema.sql",
    "names.py",
    "diagnosis_codes.py",
    "tables.py",
    "drawing.py",
    "people.py",
    "care.py",
    "generate.py",
    "faults/fault.py",
    "faults/__init__.py",
    "faults/patient_faults.py",
    "faults/visit_faults.py",
    "faults/diagnosis_faults.py",
    "faults/allergy_faults.py",
    "truth.py",
)


@dataclass(frozen=True)
class Identity:
    """Which hospital a legacy database holds: ``version`` is a digest of what makes it."""

    patients: int
    seed: int
    version: str

    @classmethod
    def of(cls, patients: int, seed: int) -> Identity:
        digest = hashlib.sha256()
        for name in _MADE_OF:
            digest.update((HERE / name).read_bytes())
        return cls(patients, seed, digest.hexdigest()[:12])


def identity_in(url: str) -> Identity | None:
    """The hospital that a legacy database holds, None where there is none.

    Raises psycopg.Error.
    """
    with psycopg.connect(url) as connection:
        exists = connection.execute("SELECT to_regclass('truth.hospital') IS NOT NULL").fetchone()
        if exists != (True,):
            return None
        row = connection.execute("SELECT patients, seed, version FROM truth.hospital").fetchone()
    return None if row is None else Identity(*row)


def fill_legacy(url: str, hospital: Hospital, truth: Truth, identity: Identity) -> None:
    """Creates the legacy tables and the truth in an empty database, all or nothing.

    Raises psycopg.Error.
    """
    with psycopg.connect(url) as connection:
        _run_script(connection, "legacy_schema.sql")
        for table in hospital.legacy_tables:
            _copy(connection, sql.Identifier(table.name), table.to_arrow())
        _copy(connection, sql.Identifier("truth", "violations"), truth.violations)
        _copy(connection, sql.Identifier("truth", "counts"), truth.counts)
        connection.execute(
            "INSERT INTO truth.hospital VALUES (%s, %s, %s)",
            [identity.patients, identity.seed, identity.version],
        )
        connection.execute("ANALYZE")


def fill_target(url: str, hospital: Hospital) -> None:
    """Creates the target's tables, with the patients that were there before.

    Raises psycopg.Error.
    """
    with psycopg.connect(url) as connection:
        _run_script(connection, "target_schema.sql")
        earlier = hospital.earlier.to_arrow()
        _copy(connection, sql.Identifier(hospital.earlier.name), earlier)


def _run_script(connection: psycopg.Connection, name: str) -> None:
    connection.execute((HERE / name).read_bytes())


def _copy(connection: psycopg.Connection, table: sql.Identifier, rows: pa.Table) -> None:
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(rows, buffer, pyarrow.csv.WriteOptions(include_header=False))
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, columns)
    with connection.cursor().copy(statement) as copy:
        copy.write(buffer.getbuffer())
