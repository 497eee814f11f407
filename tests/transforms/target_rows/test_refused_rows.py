"""What the server refuses is traced to its rows, each with its causes, and only those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from schemas.catalog_reader import read_relation
from schemas.specification.policies import WriteMode
from transforms.target_rows.write import TargetWriter, WriteOutcome

Load = Callable[..., WriteOutcome]


def _found(outcome: WriteOutcome) -> list[tuple[Any, ...]]:
    names = ["_ordinal", "code", "rule", "field", "reason"]
    return [tuple(row[n] for n in names) for row in outcome.refused.to_pylist()]


def _keys(connection: psycopg.Connection) -> list[Any]:
    return [row[0] for row in connection.execute("SELECT a FROM t ORDER BY 1").fetchall()]


@pytest.fixture(
    params=["traced", "by halves in the stage", "without temporary tables", "by halves with COPY"]
)
def role(connection: psycopg.Connection, request: pytest.FixtureRequest) -> str:
    """Each way of tracing, as the rights of the session choose it: its name."""
    connection.execute("CREATE ROLE writer; CREATE SCHEMA work AUTHORIZATION writer")
    database = sql.Identifier(connection.info.dbname)
    if request.param != "traced":
        connection.execute("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC")
    if request.param in ("without temporary tables", "by halves with COPY"):
        connection.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(database))
    if request.param == "by halves with COPY":
        connection.execute("REVOKE CREATE ON SCHEMA work FROM writer")
    connection.execute("SET search_path = work")
    return str(request.param)


def _as_writer(connection: psycopg.Connection) -> None:
    connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA work TO writer; SET ROLE writer")


_CASES: dict[str, tuple[str, Any, tuple[Any, ...]]] = {
    "check": (
        "CREATE TABLE t (a int, b int CONSTRAINT low CHECK (b < 10))",
        (11,),
        ("TRANS-004", "low", "b", "check_violation"),
    ),
    "check of two columns": (
        "CREATE TABLE t (a int, b int, CONSTRAINT low CHECK (b < 10 OR a < 0))",
        (11,),
        ("TRANS-004", "low", None, "check_violation"),
    ),
    "check with a column that isn't given": (
        "CREATE TABLE t (a int, b int, c int DEFAULT 10, CONSTRAINT low CHECK (b < c))",
        (11,),
        ("TRANS-004", "low", None, "check_violation"),
    ),
    "check that fails": (
        "CREATE TABLE t (a int, b int CONSTRAINT low CHECK (1 / b > -1))",
        (0,),
        ("DATA-003", "target.division_by_zero", None, "division_by_zero"),
    ),
    "not null": (
        "CREATE TABLE t (a int, b int NOT NULL)",
        (None,),
        ("DATA-001", "b.not_null_violation", "b", "not_null_violation"),
    ),
    "foreign key": (
        "CREATE TABLE p (a int PRIMARY KEY); INSERT INTO p VALUES (1);"
        "CREATE TABLE t (a int, b int CONSTRAINT parent REFERENCES p)",
        (2,),
        ("DATA-002", "parent", "b", "foreign_key_violation"),
    ),
    "deferred foreign key": (
        "CREATE TABLE p (a int PRIMARY KEY); INSERT INTO p VALUES (1); CREATE TABLE t"
        " (a int, b int CONSTRAINT parent REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        (2,),
        ("DATA-002", "parent", "b", "foreign_key_violation"),
    ),
    "exclusion": (
        "CREATE TABLE t (a int, b int4range, CONSTRAINT room EXCLUDE USING gist (b WITH &&));"
        "INSERT INTO t VALUES (0, '[5,9)')",
        ("[8,10)",),
        ("DATA-004", "room", "b", "exclusion_violation"),
    ),
    "too long": (
        "CREATE TABLE t (a int, b varchar(3))",
        ("abcd",),
        ("DATA-003", "b.string_data_right_truncation", "b", "string_data_right_truncation"),
    ),
    "too long for a domain": (
        "CREATE DOMAIN short AS varchar(3); CREATE TABLE t (a int, b short)",
        ("abcd",),
        ("DATA-003", "b.string_data_right_truncation", "b", "string_data_right_truncation"),
    ),
    "too many bits": (
        "CREATE TABLE t (a int, b bit(2))",
        ("101",),
        ("DATA-003", "b.string_data_length_mismatch", "b", "string_data_length_mismatch"),
    ),
    "numeric overflow": (
        "CREATE TABLE t (a int, b numeric(3,1))",
        ("100",),
        ("DATA-003", "b.numeric_value_out_of_range", "b", "numeric_value_out_of_range"),
    ),
    "uuid": (
        "CREATE TABLE t (a int, b uuid)",
        ("not-a-uuid",),
        ("DATA-003", "b.invalid_text_representation", "b", "invalid_text_representation"),
    ),
    "enum": (
        "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (a int, b mood)",
        ("merry",),
        ("DATA-003", "b.invalid_text_representation", "b", "invalid_text_representation"),
    ),
    "array": (
        "CREATE TABLE t (a int, b int[])",
        ("{1,x}",),
        ("DATA-003", "b.invalid_text_representation", "b", "invalid_text_representation"),
    ),
    "jsonb": (
        "CREATE TABLE t (a int, b jsonb)",
        ('"\\u0000"',),
        ("DATA-003", "b.untranslatable_character", "b", "untranslatable_character"),
    ),
    "json nested too deeply": (
        "CREATE TABLE t (a int, b json)",
        ("[" * 100_000,),
        ("DATA-003", "b.statement_too_complex", "b", "statement_too_complex"),
    ),
    "time": (
        "CREATE TABLE t (a int, b time)",
        ("25:00",),
        ("DATA-003", "b.datetime_field_overflow", "b", "datetime_field_overflow"),
    ),
    "domain check": (
        "CREATE DOMAIN low AS int CONSTRAINT small CHECK (VALUE < 10);"
        "CREATE TABLE t (a int, b low)",
        (11,),
        ("TRANS-004", "small", "b", "check_violation"),
    ),
    "domain not null": (
        "CREATE DOMAIN low AS int NOT NULL; CREATE TABLE t (a int, b low)",
        (None,),
        ("DATA-001", "b.not_null_violation", "b", "not_null_violation"),
    ),
    "value too large for its index": (
        "CREATE TABLE t (a int, b text UNIQUE)",
        ("".join(chr(0x4E00 + i * 7919 % 20_000) for i in range(8_000)),),
        ("DATA-003", "target.program_limit_exceeded", None, "program_limit_exceeded"),
    ),
    "no partition": (
        "CREATE TABLE t (a int, b int) PARTITION BY RANGE (b);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
        (11,),
        ("TRANS-004", "target.no_partition", None, "no_partition"),
    ),
}
_TRIGGER = (
    "CREATE TABLE t (a int, b int);"
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN IF NEW.b = 666 THEN {} END IF; RETURN NEW; END $$;"
    "CREATE {} INSERT ON t {} FOR EACH ROW EXECUTE FUNCTION f()"
)
for _name, _raised, _finding in [
    ("trigger", "RAISE 'no';", ("TRANS-004", "target.trigger", None, "trigger")),
    ("own SQLSTATE", "RAISE 'no' USING ERRCODE = 'HC001';",
     ("TRANS-004", "target.HC001", None, "HC001")),
    ("cancelled", "RAISE 'no' USING ERRCODE = '57014';",
     ("TRANS-004", "target.57014", None, "57014")),
    ("forbidden", "RAISE 'no' USING ERRCODE = '42501';",
     ("TRANS-004", "target.42501", None, "42501")),
    ("named by the trigger", "RAISE 'no' USING CONSTRAINT = 'visit', COLUMN = 'b';",
     ("TRANS-004", "visit", "b", "trigger")),
    ("assertion", "ASSERT false;", ("TRANS-004", "target.trigger", None, "trigger")),
    ("no rows", "SELECT a INTO STRICT NEW.a FROM t WHERE false;",
     ("TRANS-004", "target.trigger", None, "trigger")),
    ("check by trigger", "RAISE 'no' USING ERRCODE = 'check_violation';",
     ("TRANS-004", "target.check_violation", None, "check_violation")),
]:  # fmt: skip
    for _kind, _timing in [
        ("TRIGGER g BEFORE", ""),
        ("TRIGGER g AFTER", ""),
        ("CONSTRAINT TRIGGER g AFTER", "DEFERRABLE INITIALLY DEFERRED"),
    ]:
        _CASES[f"{_name}, {_kind} {_timing}"] = (
            _TRIGGER.format(_raised, _kind, _timing), (666,), _finding
        )  # fmt: skip


# By itself the server doesn't say in which column it couldn't read a value.
_UNNAMED = {
    case
    for case, (_, _, (_, rule, _, reason)) in _CASES.items()
    if (rule == f"b.{reason}" and case != "not null") or case == "domain check"
}


@pytest.mark.parametrize("case", _CASES)
def test_a_refused_row_is_found_and_the_others_are_written(
    connection: psycopg.Connection, load: Load, case: str, role: str
) -> None:
    ddl, (bad,), finding = _CASES[case]
    connection.execute(ddl)
    good = 1 if "NOT NULL" in ddl or "PARTITION" in ddl else None
    _as_writer(connection)
    rows = [(n, n, bad if n in (17, 23) else good) for n in range(1, 40)]
    outcome = load("t", ["a", "b"], rows)
    assert outcome.written == outcome.inserted == 37
    written = [a for a in _keys(connection) if a]
    assert written == [n for n in range(1, 40) if n not in (17, 23)]
    code, rule, field, reason = finding
    if role != "traced" and case in _UNNAMED:
        rule, field = rule.replace("b.", "target."), None
    assert _found(outcome) == [(n, code, rule, field, reason) for n in (17, 23)]


def test_a_row_has_all_that_the_catalogue_forbids(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute(
        "CREATE TABLE t (a int CONSTRAINT once PRIMARY KEY, b int CONSTRAINT low CHECK (b < 10)"
        " CONSTRAINT odd CHECK (b % 2 = 1), c text NOT NULL)"
    )
    connection.execute("INSERT INTO t VALUES (5, 1, 'x')")
    outcome = load("t", ["a", "b", "c"], [(0, 1, 1, "x"), (1, 5, 12, None), (2, 2, 11, "x")])
    assert _found(outcome) == [
        (1, "DATA-001", "c.not_null_violation", "c", "not_null_violation"),
        (1, "DATA-004", "once", "a", "existing_key"),
        (1, "TRANS-004", "low", "b", "check_violation"),
        (1, "TRANS-004", "odd", "b", "check_violation"),
        (2, "TRANS-004", "low", "b", "check_violation"),
    ]
    assert _keys(connection) == [1, 5]


def test_each_value_that_cannot_be_read_is_named(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute("CREATE TABLE t (a int, b uuid, c numeric(3,1), d varchar(2), e text)")
    rows: list[tuple[Any, ...]] = [(n, n, None, "1.5", "x", "y") for n in range(30)]
    rows[12] = (12, 12, "secret", "-1e9", "secret", "y")
    rows[13] = (13, 13, None, "secret", "xx", None)
    outcome = load("t", ["a", "b", "c", "d", "e"], rows)
    assert [(f[0], f[3], f[4]) for f in _found(outcome)] == [
        (12, "b", "invalid_text_representation"),
        (12, "c", "numeric_value_out_of_range"),
        (12, "d", "string_data_right_truncation"),
        (13, "c", "invalid_text_representation"),
    ]
    assert "secret" not in str(outcome.refused.to_pylist())
    assert outcome.written == 28


@pytest.mark.usefixtures("role")
def test_what_a_trigger_says_holds_no_value(connection: psycopg.Connection, load: Load) -> None:
    connection.execute(
        "CREATE TABLE t (a int, b text);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE unique_violation USING MESSAGE = NEW.b, DETAIL = NEW.b, HINT = NEW.b,"
        " CONSTRAINT = NEW.b, COLUMN = NEW.b, TABLE = NEW.b, SCHEMA = NEW.b; END $$;"
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )
    _as_writer(connection)
    outcome = load("t", ["a", "b"], [(n, n, f"secret {n}") for n in range(30)])
    assert _found(outcome) == [
        (n, "DATA-004", "target.unique_violation", None, "unique_violation") for n in range(30)
    ]


@pytest.mark.usefixtures("role")
def test_a_candidate_is_written_whole_or_not_at_all(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute("CREATE TABLE t (a int PRIMARY KEY, b int CHECK (b > 0), c uuid)")
    _as_writer(connection)
    rows: list[tuple[Any, ...]] = [
        (1, 10, 1, None), (1, 11, -1, None), (1, 12, 1, None),  # a check
        (2, 20, 1, None), (2, 21, 1, None),  # fine
        (3, 30, 1, "not a uuid"), (3, 31, 1, None),  # a value
        (4, 10, 1, None), (4, 40, 1, None),  # the key of a candidate that isn't written
        (5, 50, 1, None), (5, 50, 1, None),  # a key twice in one candidate
        (6, 60, 1, None), (6, 21, 1, None),  # the key of an earlier candidate
        (7, 60, 1, None),
        (8, 80, -1, None), (8, 81, -1, None),  # one cause twice
    ]  # fmt: skip
    outcome = load("t", ["a", "b", "c"], rows)
    assert _keys(connection) == [10, 20, 21, 40, 60]
    assert outcome.written == 5
    assert [(f[0], f[1]) for f in _found(outcome)] == [
        (1, "TRANS-004"), (3, "DATA-003"), (5, "DATA-004"), (6, "DATA-004"), (8, "TRANS-004")
    ]  # fmt: skip


def test_a_candidate_has_the_causes_of_all_its_rows(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute(
        "CREATE TABLE p (a int PRIMARY KEY);"
        "CREATE TABLE t (a int CONSTRAINT once UNIQUE, b int CONSTRAINT parent REFERENCES p)"
    )
    rows = [(1, 1, None), (2, 2, 7), (2, 1, None), (2, 3, None), (2, 4, 8), (3, 3, None)]
    assert _found(load("t", ["a", "b"], rows)) == [
        (2, "DATA-002", "parent", "b", "foreign_key_violation"),
        (2, "DATA-004", "once", "a", "unique_violation"),
    ]
    assert _keys(connection) == [1, 3]


@pytest.mark.parametrize("deferrable", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_rows_of_one_candidate_may_refer_to_each_other(
    connection: psycopg.Connection, load: Load, deferrable: str
) -> None:
    connection.execute(
        "CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE t (a int PRIMARY KEY,"
        f" b int REFERENCES t {deferrable}, c int CONSTRAINT parent REFERENCES p)"
    )
    rows = [(1, 1, 2, None), (1, 2, 1, None), (2, 3, None, 9)]
    outcome = load("t", ["a", "b", "c"], rows)
    assert _keys(connection) == [1, 2]
    assert [f[:3] for f in _found(outcome)] == [(2, "DATA-002", "parent")]


@pytest.mark.parametrize("changed", [False, True])
def test_a_key_that_stood_before_is_told_from_one_of_the_batch(
    connection: psycopg.Connection, load: Load, changed: bool
) -> None:
    connection.execute("CREATE TABLE t (a int CONSTRAINT once PRIMARY KEY, b int)")
    connection.execute("INSERT INTO t VALUES (1, 0)")
    if changed:
        connection.execute(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
        )
    outcome = load("t", ["a", "b"], [(0, 1, 1), (1, 2, 1), (2, 2, 2)])
    assert _found(outcome) == [
        (0, "DATA-004", "once", "a", "existing_key"),
        (2, "DATA-004", "once", "a", "unique_violation"),
    ]
    assert connection.execute("SELECT * FROM t ORDER BY 1").fetchall() == [(1, 0), (2, 1)]


def test_what_a_trigger_mends_is_written(connection: psycopg.Connection, load: Load) -> None:
    connection.execute(
        "CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL CHECK (b > 0), c text);"
        "INSERT INTO t VALUES (7, 1, 'old');"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " NEW.b := coalesce(NEW.b, 1); IF NEW.a = 7 THEN NEW.a := 8; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )
    outcome = load("t", ["a", "b"], [(0, 1, None), (1, 7, 1), (2, 2, -1)])
    assert [f[0] for f in _found(outcome)] == [2]
    assert connection.execute("SELECT a, b FROM t ORDER BY 1").fetchall() == [
        (1, 1), (7, 1), (8, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("mode", WriteMode)
def test_every_mode_traces_what_is_refused(
    connection: psycopg.Connection, load: Load, mode: WriteMode
) -> None:
    connection.execute(
        "CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE t (a int PRIMARY KEY,"
        " b int REFERENCES p, c int CHECK (c > 0), d uuid, e int UNIQUE)"
    )
    connection.execute("INSERT INTO t VALUES (0, NULL, 1, NULL, 90)")
    rows = [
        (1, 1, None, 1, None, 1),
        (2, 2, 5, 1, None, 2),
        (3, 3, None, 0, None, 3),
        (4, 4, None, 1, "?", 4),
        (5, 5, None, 1, None, 90),
        (6, 6, None, 1, None, 1),
        (7, 7, None, 1, None, 7),
    ]
    outcome = load("t", ["a", "b", "c", "d", "e"], rows, ["a"], mode)
    assert _keys(connection) == [0, 1, 7]
    assert (outcome.written, outcome.inserted, len(outcome.existing)) == (2, 2, 0)
    assert [f[:2] for f in _found(outcome)] == [
        (2, "DATA-002"), (3, "TRANS-004"), (4, "DATA-003"), (5, "DATA-004"), (6, "DATA-004")
    ]  # fmt: skip


def test_updates_are_refused_like_inserts(connection: psycopg.Connection, load: Load) -> None:
    connection.execute(
        "CREATE TABLE t (a int PRIMARY KEY, b int CONSTRAINT own UNIQUE, c int CHECK (c > 0))"
    )
    connection.execute("INSERT INTO t VALUES (1, 1, 1), (2, 2, 1), (3, 3, 1)")
    # A row may keep its own value of another key; row 2 may not take that of row 1.
    rows = [(1, 1, 1, 5), (2, 2, 1, 6), (3, 3, 3, -1), (4, 4, 4, 7)]
    outcome = load("t", ["a", "b", "c"], rows, ["a"], WriteMode.UPSERT)
    assert (outcome.written, outcome.inserted) == (2, 1)
    assert [f[:3] for f in _found(outcome)] == [
        (2, "DATA-004", "own"),
        (3, "TRANS-004", "t_c_check"),
    ]
    assert connection.execute("SELECT * FROM t ORDER BY 1").fetchall() == [
        (1, 1, 5), (2, 2, 1), (3, 3, 1), (4, 4, 7)
    ]  # fmt: skip


def test_a_role_that_may_only_insert_traces_as_well(
    connection: psycopg.Connection, load: Load
) -> None:
    connection.execute("CREATE TABLE t (a int PRIMARY KEY, b int CHECK (b > 0))")
    connection.execute("INSERT INTO t VALUES (1, 1)")
    connection.execute("CREATE ROLE writer; GRANT INSERT ON t TO writer; SET ROLE writer")
    outcome = load("t", ["a", "b"], [(0, 1, 1), (1, 2, 1), (2, 3, -1)])
    assert [(f[0], f[4]) for f in _found(outcome)] == [
        (0, "unique_violation"),
        (2, "check_violation"),
    ]
    assert outcome.written == 1


def test_characters_that_the_database_cannot_encode_are_refused(server: str) -> None:
    name = "latin1_target"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(f"CREATE DATABASE {name} ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
        try:
            host = admin.info.host
            with psycopg.connect(
                host=host, user="postgres", dbname=name, client_encoding="UTF8"
            ) as connection:
                connection.execute("CREATE TABLE t (a int, b text, c int CHECK (c > 0))")
                table = read_relation(connection, "t")
                assert table is not None
                values = ["ä", "漢", "x", "y"]
                batch = pa.record_batch(
                    [
                        pa.array([1, 2, 3, 4], pa.int32()),
                        pa.array([1, 2, 3, 4], pa.int32()),
                        pa.array(values),
                        pa.array([1, 1, -1, 1], pa.int32()),
                    ],
                    names=["_ordinal", "a", "b", "c"],
                )
                writer = TargetWriter(table, ["a", "b", "c"], [], WriteMode.INSERT)
                outcome = writer.write(connection, batch)
                assert [(f[0], f[4]) for f in _found(outcome)] == [
                    (2, "untranslatable_character"),
                    (3, "check_violation"),
                ]
                written = connection.execute("SELECT b FROM t ORDER BY a").fetchall()
                assert written == [("ä",), ("y",)]
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
