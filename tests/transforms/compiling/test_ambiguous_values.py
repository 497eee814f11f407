"""Values with two possible readings: none is written unless the specification decides."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import pytest

from pipelines.cli.main import main
from tests.support.databases.two_databases import TwoDatabases


@dataclass(frozen=True)
class Kind:
    """Ambiguous texts for a column of a type, the steps that leave them open, and those that
    decide, with what is written then (nothing: no steps do)."""

    name: str
    type: str
    values: tuple[str, ...]
    open: str = ""
    decided: str = ""
    first: str = ""


MINUTES = range(0, 60, 5)
WORDS = ("beef", "cafe", "dead", "face", "fade", "babe", "feed", "deaf", "aced", "bead", "1234")

KINDS = (
    Kind(
        "day_or_month",
        "date",
        tuple(f"{a:02d}/{b:02d}/2024" for a, b in permutations(range(1, 13), 2)),
        open='type: date, format: ["%d/%m/%Y", "%m/%d/%Y"]',
        decided='type: date, format: "%d/%m/%Y"',
        first="2024-02-01",
    ),
    Kind(
        "short_year",
        "date",
        tuple(f"01.02.{year:02d}" for year in range(0, 100, 5)),
        decided='type: date, format: "%d.%m.%y", century: past',
        first="2000-02-01",
    ),
    Kind(
        "no_zone",
        "timestamptz",
        tuple(f"2023-07-{day:02d} 12:00" for day in range(1, 21)),
        decided="type: timestamptz, zone: Europe/Berlin",
        first="2023-07-01 10:00:00+00",
    ),
    Kind(
        "twice",
        "timestamptz",
        tuple(f"2023-10-29 02:{minute:02d}" for minute in MINUTES),
        open="zone: Europe/Berlin",
        decided="zone: Europe/Berlin, on_ambiguous: later",
        first="2023-10-29 01:00:00+00",
    ),
    Kind(
        "never",
        "timestamptz",
        tuple(f"2023-03-12 02:{minute:02d}" for minute in MINUTES),
        open='type: timestamptz, format: "%Y-%m-%d %H:%M", zone: America/New_York',
        decided='type: timestamptz, format: "%Y-%m-%d %H:%M", zone: America/New_York,'
        " on_ambiguous: earlier",
        first="2023-03-12 06:00:00+00",
    ),
    Kind("comma", "numeric", tuple(f"{n},{n}00" for n in range(1, 11))),
    Kind("points", "float8", tuple(f"1.{n:03d},5" for n in range(5))),
    Kind("notation", "int4", ("0x10", "1_000", "0b11", "0o17", "1e3", "1.0", "12,5", "1 000")),
    Kind("money", "money", tuple(f"{n},{n}{n}{n}" for n in range(1, 10))),
    Kind("unit", "interval", tuple(map(str, range(10)))),
    Kind("length", "interval", ("1 day 2", "1.5 months", "1.1 year", "01:02.5")),
    Kind("half_day", "time", ("01:30 PM", "1:30", "0130", "13.30")),
    Kind("clock", "timetz", ("12:00", "12:00 CST", "12:00 IST", "now", "08:15")),
    Kind("word", "bytea", WORDS, decided="format: hex", first="\\xbeef"),
    Kind("digits", "bytea", WORDS, decided="format: base64", first="\\x6de79f"),
    Kind("notated", "bytea", ("0x4d5a", "0xFF"), decided="format: hex", first="\\x4d5a"),
    Kind("network", "cidr", ("10.1", "10", "10.1/16", "010.1.2.3", "10.1.2.3/08", "192.168.1")),
    Kind("host", "inet", ("10.0.0.010", "010.0.0.1", "10.0.0.1/024")),
    Kind("hosts", "inet[]", ("{10.0.0.1,10.0.0.010}",)),
    Kind("card", "macaddr", ("8:0:2b:1:2:3", "08:00:2b:01:02:3", "8-00-2b-01-02-03")),
    Kind("long_card", "macaddr8", ("08:00:2b:01:02:03", "08002b010203")),
    Kind("counter", "xid", ("5x", "010", "0x10", "-1", "4294967296", "1e3", "5 6")),
    Kind("through", "line", ("[(0,0),(1,3)]", "(0,0),(1,3)")),
    Kind("of_days", "date[]", ('{"2024-01-02 12:00"}', "{01/02/2024}", "{010203}", "{today}")),
    Kind("bounds", "tstzrange", ("[2024-01-02,)", "[2024-01-02 12:00,)", "(,2024-01-02 00:00]")),
)


def load_of(kind: Kind, steps: str) -> str:
    fields = f"{{v: {{from: v{', ' if steps else ''}{steps}}}}}"
    return f"  {kind.name}: {{from: {kind.name}, key: [id], copy: [id], fields: {fields}}}"


def migrate_loads(
    databases: TwoDatabases, loads: list[str], capsys: pytest.CaptureFixture[str], job: str
) -> dict[str, Any]:
    """The summary of a migration through the command line that has to be complete."""
    path = databases.write("\n".join(["tables:", *loads]) + "\n")
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    status = main(["migrate", str(path), "--json", "--job", job, *variables])
    shown = capsys.readouterr()
    assert status == 0, shown.err
    summary: dict[str, Any] = json.loads(shown.out)
    return summary


def test_what_has_two_readings_is_written_only_where_the_specification_decides(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sum(len(kind.values) for kind in KINDS) > 200
    for kind in KINDS:
        databases.legacy.run(f"CREATE TABLE {kind.name} (id int PRIMARY KEY, v text)")
        databases.target.run(f"CREATE TABLE {kind.name} (id int PRIMARY KEY, v {kind.type})")
        rows = ", ".join(f"({i}, '{value}')" for i, value in enumerate(kind.values))
        databases.legacy.run(f"INSERT INTO {kind.name} VALUES {rows}")
    summary = migrate_loads(databases, [load_of(k, k.open) for k in KINDS], capsys, "open")
    written = {name: load["written"] for name, load in summary["tables"].items()}
    assert written == {kind.name: 0 for kind in KINDS}
    assert summary["violations"] == {"DATA-003": sum(len(kind.values) for kind in KINDS)}
    decided = [kind for kind in KINDS if kind.decided]
    migrate_loads(databases, [load_of(k, k.decided) for k in decided], capsys, "decided")
    for kind in decided:
        values = databases.target.values(f"SELECT v::text FROM {kind.name} ORDER BY id")
        assert len(set(values)) == len(kind.values), kind.name
        assert values[0] == kind.first, kind.name


OPEN = {
    "a century": ("text", "date", 'type: date, format: "%d.%m.%y"', "doesn't say the century"),
    "%z that is dropped": (
        "text",
        "timestamp",
        'type: timestamp, format: "%Y-%m-%d %H:%M%z"',
        "has %z",
    ),
    "%z that is dropped from a date": (
        "text",
        "date",
        'type: date, format: "%Y-%m-%d %H:%M%z"',
        "has %z",
    ),
    "a day that isn't given": ("text", "date", 'type: date, format: "%m/%Y"', "lacks a day"),
    "half of a day": (
        "text",
        "timestamp",
        'type: timestamp, format: "%Y-%m-%d %I:%M"',
        "%I without %p",
    ),
    "an abbreviation": ("text", "timestamptz", "zone: IST", "not the name of one time zone"),
    "a zone without use": ("text", "date[]", "zone: UTC", "'zone' decides nothing"),
    "a zone that is missing": ("timestamp", "timestamptz", "", "of which zone"),
    "a zone missing the other way": ("timestamptz", "date", "", "of which zone"),
    "no zone": ("text", "timestamptz", "on_ambiguous: later", "needs 'zone'"),
    "no format": ("text", "date", "century: past", "'century' is for"),
    "no year": ("text", "date", 'type: date, format: "%y%m%d", century: soon', "'century' is"),
    "a century within sql": ("text", "date", "sql: \"strptime(v, '%d.%m.%y')\"", "century: past"),
    "a local time within sql": (
        "timestamp",
        "timestamptz",
        "sql: \"timezone('Europe/Berlin', v)\"",
        "on_ambiguous: reject",
    ),
    "bytes as text": ("bytea", "text", "", "in which encoding"),
    "bytes looked up": ("bytea", "text", "map: words", "in which encoding"),
    "bytes transformed": ("bytea", "text", "transform: trim", "in which encoding"),
    "several encodings": ("text", "bytea", "format: [hex, base64]", "neither a year nor an hour"),
    "bytes in a constant": ("text", "bytea", "default: Hello", "the default doesn't fit"),
    "NULL where it is forbidden": ("text", "int", "required: true, on_error: set_null", "forbids"),
}


def test_specifications_that_leave_a_reading_open_are_refused(databases: TwoDatabases) -> None:
    """Each by itself: problems of the specification hide those of the databases."""
    for number, (given, wanted, _, _) in enumerate(OPEN.values()):
        databases.legacy.run(f"CREATE TABLE t{number} (id int PRIMARY KEY, v {given})")
        databases.target.run(f"CREATE TABLE t{number} (id int PRIMARY KEY, v {wanted})")
    for number, (case, (_, _, steps, told)) in enumerate(OPEN.items()):
        given = "" if steps.startswith("sql:") else "from: v, "
        load = f"t{number}: {{from: t{number}, copy: [id], fields: {{v: {{{given}{steps}}}}}}}"
        error = databases.refused(
            f"maps: {{words: {{values: {{a: b}}, on_unmapped: keep}}}}\ntables:\n  {load}\n"
        )
        problem = next((one for one in error.problems if told in one.message), None)
        assert problem is not None, (case, error.problems)
        assert f"tables.t{number}.fields.v" in problem.where, case
        assert problem.code.value in ("SYS-004", "TRANS-004"), case
    error = databases.refused("""
maps: {words: {query: "select 'a', 'b'::bytea AS word", on_unmapped: keep}}
tables: {t0: {from: t0, copy: [id], fields: {v: {from: v, map: words}}}}
""")
    assert "'word' as bytea" in error.problems[0].message
    assert databases.target.values("SELECT to_regnamespace('migration')") == [None]


def test_a_value_in_error_may_become_null_with_a_warning(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE t (id int PRIMARY KEY, w text, x text);"
        "INSERT INTO t VALUES (1, '71.5', '4'), (2, 'heavy', '0'), (3, '1234.5', 'no'),"
        " (4, NULL, NULL), (5, '1.234', '1')"
    )
    databases.target.run("CREATE TABLE t (id int PRIMARY KEY, w numeric(5,2), x int, y int)")
    outcome = databases.migrate("""
tables:
  t:
    from: t
    key: [id]
    copy: [id]
    fields:
      w: {from: w, type: "numeric(5,2)", on_error: set_null, default: 0}
      x: {sql: "CAST(x AS INT)", on_error: set_null}
      y: {sql: "out.x + 1"}
""")
    assert databases.target.rows("SELECT id, w::text, x, y FROM t ORDER BY id") == [
        (1, "71.50", 4, 5),
        (2, None, 0, 1),
        (3, None, None, None),
        (4, "0.00", None, None),
        (5, None, 1, 2),
    ]
    assert databases.warnings("source_key, error_code, rule_id, reason") == [
        ("2", "DATA-003", "w.type", "conversion"),
        ("3", "DATA-003", "w.type", "out_of_range"),
        ("3", "TRANS-005", "x.sql", "raised"),
        ("5", "DATA-003", "w.type", "inexact"),
    ]
    assert databases.errors() == []
    assert outcome.summary.warnings == {"DATA-003": 3, "TRANS-005": 1}
    assert outcome.summary.tables["t"].rejected == 0


@pytest.mark.parametrize("place", ["key", "NOT NULL column"])
def test_null_is_not_written_where_it_may_not_be(databases: TwoDatabases, place: str) -> None:
    databases.legacy.run("CREATE TABLE t (id text PRIMARY KEY, v text)")
    databases.target.run("CREATE TABLE t (id int, v int NOT NULL)")
    key = "[id]" if place == "key" else "[]"
    field = "id: {from: id, on_error: set_null}"
    if place != "key":
        field = "id: {from: id}, v: {from: v, on_error: set_null}"
    error = databases.refused(f"tables: {{t: {{from: t, key: {key}, fields: {{{field}}}}}}}\n")
    assert any("set_null' writes NULL" in problem.message for problem in error.problems)
