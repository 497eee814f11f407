"""Rows that the target refuses or drops, whatever error it raises: these rows alone, by name."""

from __future__ import annotations

from typing import Any

import psycopg.errors
import pytest

from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL
from tests.support.jobs.small_hospital import run_json
from tests.support.runs.replays import assert_ledger_and_sink_agree

Capsys = pytest.CaptureFixture[str]

CLASSES = [
    "03000", "08006", "09000", "0A000", "0B000", "0F000", "0L000", "0P000", "0Z000", "10608",
    "20000", "21000", "22000", "23000", "24000", "25000", "26000", "27000", "28000", "2B000",
    "2D000", "2F000", "34000", "38000", "39000", "3B000", "3D000", "3F000", "40001", "42501",
    "44000", "53100", "54000", "55000", "57014", "58030", "F0000", "HV000", "P0001", "XX000",
]  # fmt: skip
"""An SQLSTATE of each class of errors that PostgreSQL has."""

FINDINGS = {
    "22000": ("DATA-003", "data_exception"),
    "23000": ("TRANS-004", "integrity_constraint_violation"),
    "54000": ("DATA-003", "program_limit_exceeded"),
    "P0001": ("TRANS-004", "trigger"),
}
"""Code and reason of the classes that say by themselves that a row is at fault; for the others the
reason is the SQLSTATE."""

STATES = [
    "02000", "03000", "08000", "08006", "09000", "0A000", "0B000", "0F000", "0L000",
    "0P000", "0Z000", "20000", "21000", "24000", "25000", "26000", "27000", "28000", "2B000",
    "2D000", "2F000", "34000", "38000", "39000", "3B000", "3D000", "3F000", "40001", "40P01",
    "42000", "42501", "42P01", "44000", "53000", "53100", "53200", "53300", "53400", "55000",
    "55P03", "57014", "57P01", "57P03", "57P04", "58000", "58030", "72000", "F0000", "HV000",
    "XX000", "XX001",
]  # fmt: skip
"""Those that don't say by themselves that a row is at fault: of each such class, and more of those
that a server, a lock or a connection can raise."""

SPACING = 75
"""A row of so many is refused."""

LEGACY = """
CREATE TABLE many (id int PRIMARY KEY, filler text);
INSERT INTO many SELECT i, repeat('n', 60) FROM generate_series(1, 4000) i;
CREATE TABLE typed (id int PRIMARY KEY, ts text, jp text, rc text);
INSERT INTO typed SELECT i, CASE i WHEN 3 THEN '&&' ELSE 'a & b' END,
    CASE i WHEN 5 THEN '$[' ELSE '$.a' END, CASE i WHEN 7 THEN 'nosuch' ELSE 'pg_class' END
FROM generate_series(1, 40) i;
CREATE TABLE ten (id int PRIMARY KEY); INSERT INTO ten SELECT generate_series(1, 10);
"""

TARGET = f"""
CREATE TABLE many (id int PRIMARY KEY, filler text);
CREATE TABLE typed (id int PRIMARY KEY, ts tsquery, jp jsonpath, rc regclass);
CREATE TABLE raised AS SELECT {SPACING} * place AS id, state
FROM unnest('{{{",".join(STATES)}}}'::text[]) WITH ORDINALITY AS s(state, place);
CREATE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE found text; BEGIN
    SELECT state INTO found FROM raised WHERE id = new.id;
    IF found IS NOT NULL THEN RAISE EXCEPTION USING ERRCODE = found, MESSAGE = new.filler; END IF;
    RETURN new; END $$;
CREATE TRIGGER raises BEFORE INSERT ON many FOR EACH ROW EXECUTE FUNCTION raises();
CREATE TABLE dropping (id int PRIMARY KEY);
CREATE TABLE redirecting (id int PRIMARY KEY); CREATE TABLE archive (LIKE redirecting);
CREATE TABLE children (id int PRIMARY KEY, parent int);
CREATE FUNCTION drops() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.id % 3 > 0 THEN RETURN new; END IF;
    IF tg_argv[0] = 'redirects' THEN INSERT INTO archive VALUES (new.id); END IF;
    RETURN NULL; END $$;
CREATE TRIGGER drops BEFORE INSERT ON dropping FOR EACH ROW EXECUTE FUNCTION drops();
CREATE TRIGGER drops BEFORE INSERT ON redirecting FOR EACH ROW
    EXECUTE FUNCTION drops('redirects');
"""

SPECIFICATION = """
tables:
  many: {from: many, key: [id], copy: [id, filler]}
  typed:
    from: typed
    key: [id]
    copy: [id]
    fields: {ts: {from: ts}, jp: {from: jp}, rc: {from: rc}}
  dropping: {from: ten, key: [id], copy: [id]}
  redirecting: {from: ten, key: [id], copy: [id], write: upsert}
  children: {from: ten, key: [id], copy: [id], fields: {parent: {from: id, ref: dropping}}}
"""


def violations(databases: TwoDatabases, load: str) -> list[tuple[Any, ...]]:
    return databases.target.rows(
        "SELECT source_key::int, error_code, reason, field FROM migration.migration_errors"
        f" WHERE load = '{load}' AND status = 'open' ORDER BY 1"
    )


@pytest.mark.slow
def test_rows_that_the_target_refuses_or_drops(databases: TwoDatabases, capsys: Capsys) -> None:
    """Each is rejected by name and the others are written; what has changed lets them in later."""
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    databases.write(SPECIFICATION, SMALL)
    summary = run_json(databases, capsys, ["migrate", "SPEC"])
    assert summary["tables"]["many"]["partitions"] >= 4
    assert summary["tables"]["many"]["written"] == 4000 - len(STATES)
    assert violations(databases, "many") == [
        (SPACING * (place + 1), "TRANS-004", state, None) for place, state in enumerate(STATES)
    ]
    assert summary["tables"]["typed"]["written"] == 37
    assert violations(databases, "typed") == [
        (3, "TRANS-004", "42601", "ts"),
        (5, "TRANS-004", "42601", "jp"),
        (7, "TRANS-004", "42P01", "rc"),
    ]
    for load in ("dropping", "redirecting"):
        assert summary["tables"][load]["written"] == summary["tables"][load]["accepted"] == 7
        assert violations(databases, load) == [
            (i, "TRANS-004", "dropped_by_target", None) for i in (3, 6, 9)
        ]
    assert databases.target.row("SELECT count(*) FROM archive") == (0,)
    assert [key for key, *_ in violations(databases, "children")] == [3, 6, 9]
    assert not databases.target.rows(
        "SELECT FROM migration.migration_errors WHERE message LIKE '%nnnn%'"
    )

    # As long as the target does as before, a replay changes nothing, and isn't incomplete.
    document = run_json(databases, capsys, ["rejects", "replay", "SPEC", "--table", "many"])
    assert document["tables"]["many"]["rejected"] == len(STATES)
    # Without statistics the server would compare each violation with all others.
    assert databases.target.values(
        "SELECT last_analyze IS NOT NULL FROM pg_stat_user_tables"
        " WHERE relname = 'migration_errors'"
    ) == [True]
    databases.target.run(
        "DROP TRIGGER raises ON many; DROP TRIGGER drops ON dropping;"
        "DROP TRIGGER drops ON redirecting; ALTER TABLE typed ALTER ts TYPE text,"
        " ALTER jp TYPE text, ALTER rc TYPE text"
    )
    document = run_json(databases, capsys, ["rejects", "replay", "SPEC"])
    assert sum(told["accepted"] for told in document["tables"].values()) == len(STATES) + 12
    assert databases.target.rows(
        "SELECT status, count(*) FROM migration.migration_errors GROUP BY 1"
    ) == [("replayed", len(STATES) + 12)]
    assert databases.target.row("SELECT count(*) FROM many") == (4000,)
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_one_refused_row_in_each_of_four_partitions(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    """Of each class of errors an SQLSTATE, raised for a row of each partition of a thousand."""
    states = [getattr(each, "sqlstate", None) for each in vars(psycopg.errors).values()]
    classes = {state[:2] for state in states if isinstance(state, str)}
    # No data is no error, and a snapshot that is too old was one until PostgreSQL 16.
    assert {state[:2] for state in CLASSES} == classes - {"02", "72"}
    databases.legacy.run(
        "CREATE TABLE many (id int PRIMARY KEY, part int, filler text);"
        "INSERT INTO many SELECT i, i / 1000, repeat('n', 44) FROM generate_series(0, 3999) i"
    )
    databases.target.run(
        "CREATE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION USING ERRCODE = tg_argv[0]; END $$"
    )
    loads = {state: f"t_{state.lower()}" for state in CLASSES}
    assert len(loads) == 40
    for state, table in loads.items():
        databases.target.run(
            f"CREATE TABLE {table} (id int PRIMARY KEY, filler text);"
            f"CREATE TRIGGER raises BEFORE INSERT ON {table} FOR EACH ROW"
            f" WHEN (new.id % 1000 = 500) EXECUTE FUNCTION raises('{state}')"
        )
    # Two parts together would be too large for a partition.
    written = "{from: many, partition: part, key: [id], copy: [id, filler]}"
    databases.write(
        "tables:\n" + "".join(f"  {table}: {written}\n" for table in loads.values()), SMALL
    )
    summary = run_json(databases, capsys, ["migrate", "SPEC"])
    partitions = databases.target.rows(
        "SELECT DISTINCT load, candidates, count(*) OVER (PARTITION BY load, candidates)"
        " FROM migration.migration_partitions ORDER BY 1"
    )
    assert partitions == [(table, 1000, 4) for table in sorted(loads.values())]
    for state, table in loads.items():
        load = summary["tables"][table]
        assert (load["written"], load["rejected"]) == (3996, 4), state
        assert violations(databases, table) == [
            (1000 * place + 500, *FINDINGS.get(state, ("TRANS-004", state)), None)
            for place in range(4)
        ]
