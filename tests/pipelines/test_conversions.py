"""From one PostgreSQL type to another: exact, or DATA-003, or refused before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.pipelines.two_databases import TwoDatabases

pytestmark = pytest.mark.slow


TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE colour AS ENUM ('red');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN amount AS numeric(10,2);
CREATE DOMAIN due AS amount CHECK (VALUE > 0);
"""


@dataclass(frozen=True)
class Case:
    """``exact``: value given to the text that arrives; ``lossy``: value to the reason."""

    given: str
    wanted: str
    exact: dict[str, str]
    lossy: dict[str, str]
    steps: str = ""
    code: str = "DATA-003"

    @property
    def name(self) -> str:
        return f"{self.given} to {self.wanted} {self.steps}".strip()

    @property
    def values(self) -> list[str]:
        return [*self.exact, *self.lossy]


BAD, LONG, FAR, ROUNDED = "conversion", "too_long", "out_of_range", "inexact"
UNREADABLE = "invalid_text_representation"

CASES = (
    Case("int2", "int8", {"-32768": "-32768"}, {}),
    Case("int8", "int2", {"32767": "32767"}, {"32768": FAR, "-32769": FAR}),
    Case("int4", "numeric(6,2)", {"9999": "9999.00", "-1": "-1.00"}, {"10000": FAR}),
    Case("int8", "numeric", {"-9223372036854775808": "-9223372036854775808"}, {}),
    Case(
        "int8",
        "float8",
        {
            "9007199254740992": "9.007199254740992e+15",
            "-1": "-1",
            "9007199254740994": "9.007199254740994e+15",
        },
        {"9007199254740993": ROUNDED, "9223372036854775807": ROUNDED},
    ),
    Case("int4", "float4", {"16777216": "1.6777216e+07"}, {"16777217": ROUNDED}),
    Case("int4", "bool", {"0": "false", "1": "true"}, {"2": BAD, "-1": BAD}),
    Case("int4", "text", {"-5": "-5"}, {}),
    Case("int4", "varchar(3)", {"999": "999"}, {"1000": LONG, "-100": LONG}),
    Case("int4", "percent", {"100": "100"}, {"101": "check_violation"}, code="TRANS-004"),
    Case(
        "numeric",
        "int4",
        {"5": "5", "5.00": "5", "-0.0": "0", "-2147483648.000": "-2147483648"},
        {"5.5": ROUNDED, "0.1": ROUNDED, "2147483648": FAR, "NaN": FAR, "Infinity": FAR},
    ),
    Case(
        "numeric(10,4)", "numeric(10,2)", {"1.1000": "1.10", "-0.01": "-0.01"}, {"1.1001": ROUNDED}
    ),
    Case(
        "numeric",
        "numeric(5,2)",
        {"999.99": "999.99", "-0.0": "0.00", "NaN": "NaN", "1.500000": "1.50"},
        {"1000": FAR, "0.001": ROUNDED, "Infinity": FAR, "9" * 2000: FAR},
    ),
    Case(
        "numeric",
        "numeric(2,4)",
        {"0.0099": "0.0099", "0": "0.0000"},
        {"0.01": FAR, "1": FAR, "0.00001": ROUNDED},
    ),
    Case("numeric(5,2)", "numeric(4,1)", {"999.90": "999.9"}, {"0.05": ROUNDED}),
    Case("numeric(4,1)", "numeric(5,2)", {"999.9": "999.90"}, {}),
    Case("numeric", "amount", {"12345678.90": "12345678.90"}, {"0.001": ROUNDED}),
    Case("numeric", "due", {"12345678.90": "12345678.90"}, {"0.001": ROUNDED}),
    Case("numeric", "amount", {"-1": "-1.00"}, {}),
    Case("numeric", "due", {"1": "1.00"}, {"-1": "check_violation"}, code="TRANS-004"),
    Case(
        "numeric",
        "float8",
        {
            "0.1": "0.1",
            "1e300": "1e+300",
            "NaN": "NaN",
            "-Infinity": "-Infinity",
            "0.30000000000000004": "0.30000000000000004",
        },
        {"0.12345678901234567890": ROUNDED, "1e400": FAR, "1e-400": FAR},
    ),
    Case(
        "numeric",
        "float4",
        {"0.1": "0.1", "16777216": "1.6777216e+07"},
        {"16777217": ROUNDED, "1e39": FAR},
    ),
    Case("numeric", "text", {"1.10": "1.10", "NaN": "NaN"}, {}),
    Case("numeric", "varchar(4)", {"1.10": "1.10"}, {"1.100": LONG}),
    Case(
        "float8",
        "numeric",
        {"0.1": "0.1", "NaN": "NaN", "-Infinity": "-Infinity", "1e-7": "0.0000001"},
        {},
    ),
    Case("float4", "numeric", {"0.1": "0.1", "1e10": "10000000000"}, {}),
    Case(
        "float8",
        "numeric(6,2)",
        {"0.1": "0.10", "-9999.99": "-9999.99", "NaN": "NaN"},
        {"0.125": ROUNDED, "12345.6": FAR, "Infinity": FAR},
    ),
    Case("float4", "numeric(6,2)", {"0.1": "0.10", "1.25": "1.25"}, {"0.125": ROUNDED}),
    Case(
        "float8",
        "int4",
        {"5": "5", "-0": "0"},
        {"5.5": ROUNDED, "3e9": FAR, "NaN": FAR, "Infinity": FAR},
    ),
    Case("float8", "int8", {"9007199254740992": "9007199254740992"}, {"9223372036854775808": FAR}),
    Case(
        "float8",
        "float4",
        {"0.5": "0.5", "NaN": "NaN", "-0": "-0", "Infinity": "Infinity"},
        {"0.1": ROUNDED, "1e39": FAR, "1e-50": ROUNDED},
    ),
    Case("float4", "float8", {"0.5": "0.5", "0.1": "0.10000000149011612", "NaN": "NaN"}, {}),
    Case("bool", "int2", {"true": "1", "false": "0"}, {}),
    Case("bool", "text", {"true": "true", "false": "false"}, {}),
    Case("text", "bool", {"Yes": "true", " n ": "false", "1": "true"}, {"maybe": BAD, "": BAD}),
    Case(
        "text",
        "int4",
        {" 42 ": "42", "+7": "7", "-007": "-7", "0" * 30 + "1": "1"},
        {
            "5.7": BAD,
            "0x10": BAD,
            "1_000": BAD,
            "": BAD,
            "1e3": BAD,
            "12a": BAD,
            "2147483648": FAR,
            "9" * 40: FAR,
            "٣": BAD,
        },
    ),
    Case(
        "text", "int8", {"9223372036854775807": "9223372036854775807"}, {"9223372036854775808": FAR}
    ),
    Case(
        "text",
        "numeric(5,2)",
        {" 1.5 ": "1.50", "-.5": "-0.50", "5.": "5.00", "0000123.4500": "123.45"},
        {"1.234": ROUNDED, "1e3": BAD, "1,5": BAD, "1000": FAR, "": BAD},
    ),
    Case(
        "text",
        "float8",
        {"1e23": "9.999999999999999e+22", "-1.5E-3": "-0.0015", "+Infinity": "Infinity"},
        {"1e400": FAR, "1e-400": FAR, "0.12345678901234567890": ROUNDED, "1.5.2": BAD, "inf": BAD},
    ),
    Case(
        "text",
        "varchar(5)",
        {"abcde": "abcde", "🏥🏥🏥🏥🏥": "🏥🏥🏥🏥🏥"},
        {"abcdef": LONG, "abcde ": LONG},
    ),
    Case("varchar(200)", "varchar(5)", {"abcde": "abcde"}, {"abcdef": LONG, "a" * 200: LONG}),
    Case("text", "char(3)", {"ab": "ab"}, {"abcd": LONG}),
    Case("char(5)", "varchar(5)", {"ab": "ab"}, {}),
    Case("text", '"char"', {"a": "a", "": ""}, {"ab": BAD, "ß": BAD}),
    Case("text", "name", {"ü" * 31: "ü" * 31}, {"x" * 64: "name_too_long"}),
    Case(
        "text",
        "uuid",
        {"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
        {"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}": BAD, "a0eebc99": BAD},
    ),
    Case(
        "text",
        "oid",
        {"4294967295": "4294967295"},
        {"-1": BAD, "4294967296": "numeric_value_out_of_range"},
    ),
    Case(
        "text",
        "money",
        {"1.20": "$1.20", "-$1,234.56": "-$1,234.56"},
        {"1.239": ROUNDED, "x": UNREADABLE},
    ),
    Case("text", "mood", {"sad": "sad"}, {"Sad": UNREADABLE, "": UNREADABLE}),
    Case("text", "jsonb", {'{"a": 1.10}': '{"a": 1.10}'}, {"{": UNREADABLE, "": UNREADABLE}),
    Case("json", "jsonb", {'{"b":1}': '{"b": 1}'}, {'"\\u0000"': "untranslatable_character"}),
    Case("jsonb", "json", {'{"a": [1, 2]}': '{"a": [1, 2]}'}, {}),
    Case("text", "int[]", {"{1,NULL}": "{1,NULL}"}, {"{a}": UNREADABLE, "1,2": UNREADABLE}),
    Case(
        "text",
        "numeric(5,1)[]",
        {"{1.5,1.50}": "{1.5,1.5}"},
        {"{1.55}": ROUNDED, "{1e-3}": ROUNDED},
    ),
    Case(
        "numeric[]", "numeric(5,1)[]", {"{1.5,NaN,NULL}": "{1.5,NaN,NULL}"}, {"{1.5,1.55}": ROUNDED}
    ),
    Case(
        "timestamp[]",
        "timestamp(0)[]",
        {'{"2024-01-01 00:00:00"}': '{"2024-01-01 00:00:00"}'},
        {'{"2024-01-01 00:00:00.5"}': ROUNDED},
    ),
    Case("text", "inet", {"10.1.2.3/8": "10.1.2.3/8"}, {"10.1.2": UNREADABLE}),
    Case("text", "cidr", {"10.0.0.0/8": "10.0.0.0/8"}, {"10.1.2.3/8": UNREADABLE}),
    Case(
        "text", "bit(3)", {"101": "101"}, {"10": "string_data_length_mismatch", "102": UNREADABLE}
    ),
    Case("text", "bytea", {"\\x00ff": "\\x00ff"}, {"\\x0": "invalid_parameter_value"}),
    Case(
        "text",
        "date",
        {"2024-02-29": "2024-02-29"},
        {
            "2023-02-29": BAD,
            "02/29/2024": BAD,
            "24-02-29": BAD,
            "infinity": BAD,
            "2024-02-29 00:00:00": BAD,
            "": BAD,
        },
    ),
    Case(
        "text",
        "date",
        {"02/29/2024": "2024-02-29", "2/3/2024": "2024-02-03", "20240229": "2024-02-29"},
        {"02/29/2023": BAD, "2/3/24": BAD, "13/01/2024": BAD, "2024-02-29": BAD},
        steps='type: date, format: ["%m/%d/%Y", "%Y%m%d"]',
    ),
    Case(
        "text",
        "date",
        {"03/03/2024": "2024-03-03", "25/12/2024": "2024-12-25"},
        {"03/04/2024": "ambiguous", "31/13/2024": BAD},
        steps='type: date, format: ["%m/%d/%Y", "%d/%m/%Y"]',
    ),
    Case(
        "text",
        "date",
        {"02/03/68": "2068-02-03", "02/03/69": "1969-02-03"},
        {"02/03/1969": BAD},
        steps='type: date, format: "%m/%d/%y"',
    ),
    Case(
        "text",
        "date",
        {"2024-02-29 00:00": "2024-02-29"},
        {"2024-02-29 00:01": ROUNDED},
        steps='type: date, format: "%Y-%m-%d %H:%M"',
    ),
    Case(
        "text",
        "timestamp(0)",
        {"01.02.2024 12:00:00.0": "2024-02-01 12:00:00"},
        {"01.02.2024 12:00:00.5": ROUNDED, "01.02.2024": BAD},
        steps='type: timestamp, format: "%d.%m.%Y %H:%M:%S.%f"',
    ),
    Case(
        "text",
        "time(1)",
        {"12:00:00.50": "12:00:00.5"},
        {"12:00:00.25": ROUNDED},
        steps='type: time, format: "%H:%M:%S.%f"',
    ),
    Case(
        "int4",
        "date",
        {"20240229": "2024-02-29"},
        {"20240230": BAD, "240229": BAD},
        steps='type: date, format: "%Y%m%d"',
    ),
    Case(
        "text",
        "timestamp",
        {
            "2024-02-29T23:59:59.999999": "2024-02-29 23:59:59.999999",
            "2024-02-29": "2024-02-29 00:00:00",
        },
        {
            "2024-02-29 24:00:00": BAD,
            "2024-02-29 12:00:00+02": BAD,
            "2024-02-29 12:00:00.1234567": BAD,
        },
    ),
    Case(
        "text",
        "timestamp(0)",
        {"2024-02-29 12:00:00.000": "2024-02-29 12:00:00"},
        {"2024-02-29 12:00:00.5": ROUNDED},
    ),
    Case(
        "text",
        "timestamp(3)",
        {"29.02.2024 12:00": "2024-02-29 12:00:00"},
        {},
        steps='type: timestamp, format: "%d.%m.%Y %H:%M"',
    ),
    Case(
        "text",
        "timestamptz",
        {
            "2024-02-29 12:00:00+02": "2024-02-29 10:00:00+00",
            "2024-02-29 12:00:00Z": "2024-02-29 12:00:00+00",
        },
        {"2024-02-29 12:00:00": BAD},
    ),
    Case(
        "text",
        "time",
        {"12:00": "12:00:00", "24:00": "24:00:00", "23:59:59.999999": "23:59:59.999999"},
        {"24:00:01": BAD, "25:00": BAD, "12:00:00.1234567": BAD, "12:00 PM": BAD},
    ),
    Case("text", "time(0)", {"12:00:00.0": "12:00:00"}, {"12:00:00.5": ROUNDED, "noon": BAD}),
    Case(
        "text",
        "timetz(0)",
        {"12:00:00+01": "12:00:00+01"},
        {"12:00:00.5+01": ROUNDED, "x": "invalid_datetime_format"},
    ),
    Case("text", "interval(0)", {"1 day 01:00:00": "1 day 01:00:00"}, {"1.5 seconds": ROUNDED}),
    Case("text", "timetz", {"12:00+01": "12:00:00+01"}, {"now": BAD, "12:00:00.1234567": ROUNDED}),
    Case("text", "date[]", {"{2024-02-03}": "{2024-02-03}"}, {"{02/03/2024}": BAD, "{today}": BAD}),
    Case("text", "daterange", {"[2024-02-03,)": "[2024-02-03,)"}, {"[2/3/2024,)": BAD}),
    Case(
        "text",
        "tsrange",
        {'["2024-01-01 00:00:00",)': '["2024-01-01 00:00:00",)'},
        {'["2024-01-01 00:00:00.1234567",)': ROUNDED},
    ),
    Case(
        "timestamp",
        "date",
        {
            "2024-01-01 00:00:00": "2024-01-01",
            "infinity": "infinity",
            "0044-03-15 00:00:00 BC": "0044-03-15 BC",
        },
        {"2024-01-01 00:00:00.000001": ROUNDED},
    ),
    Case(
        "date",
        "timestamp",
        {
            "2024-01-01": "2024-01-01 00:00:00",
            "-infinity": "-infinity",
            "0044-03-15 BC": "0044-03-15 00:00:00 BC",
        },
        {"5874897-12-31": FAR},
    ),
    Case("date", "text", {"0044-03-15 BC": "0044-03-15 BC", "infinity": "infinity"}, {}),
    Case(
        "timestamp",
        "timestamp(0)",
        {
            "2024-01-01 12:00:00": "2024-01-01 12:00:00",
            "infinity": "infinity",
            "1969-12-31 23:59:59": "1969-12-31 23:59:59",
        },
        {"2024-01-01 12:00:00.5": ROUNDED, "1969-12-31 23:59:59.5": ROUNDED},
    ),
    Case("timestamp(0)", "timestamp(3)", {"2024-01-01 12:00:00": "2024-01-01 12:00:00"}, {}),
    Case(
        "timestamptz",
        "timestamptz(3)",
        {"2024-01-01 12:00:00.123+00": "2024-01-01 12:00:00.123+00"},
        {"2024-01-01 12:00:00.1234+00": ROUNDED},
    ),
    Case("time", "time(0)", {"24:00:00": "24:00:00"}, {"12:00:00.5": ROUNDED}),
    Case("time(0)", "time(3)", {"12:00:00": "12:00:00"}, {}),
    Case("timetz", "timetz(2)", {"12:00:00.25+01": "12:00:00.25+01"}, {"12:00:00.125+01": ROUNDED}),
    Case("interval", "interval(0)", {"1 mon -1 days": "1 mon -1 days"}, {"00:00:01.5": ROUNDED}),
    Case(
        "text",
        "jsonb",
        {
            '{"a": 1, "b": {"a": 1}}': '{"a": 1, "b": {"a": 1}}',
            '[{"k": 1}, {"k": 2}]': '[{"k": 1}, {"k": 2}]',
            '{"a": "{\\"a\\": 1, \\"a\\": 2}"}': '{"a": "{\\"a\\": 1, \\"a\\": 2}"}',
            '{"n": 123456789012345678901234567890.10}': '{"n": 123456789012345678901234567890.10}',
            "null": "null",
        },
        {
            '{"a": 1, "a": 2}': ROUNDED,
            '[1, {"b": {"a": 1, "a": 1}}]': ROUNDED,
            '{"a": 1, "\\u0061": 2}': ROUNDED,
            '{"a": 1,}': UNREADABLE,
        },
    ),
    Case("json", "jsonb", {'{"b": 1, "a": 2}': '{"a": 2, "b": 1}'}, {'{"a": 1, "a": 2}': ROUNDED}),
    Case(
        "text",
        "float8[]",
        {"{0.1,NULL,-1e300,NaN}": "{0.1,NULL,-1e+300,NaN}", "[0:0]={1.50}": "[0:0]={1.5}"},
        {
            "{1,0.12345678901234567891}": ROUNDED,
            "{9007199254740993}": ROUNDED,
            "{{1,2},{3,1e-400}}": ROUNDED,
        },
    ),
    Case("text", "float4[]", {"{0.1,16777216}": "{0.1,1.6777216e+07}"}, {"{16777217}": ROUNDED}),
    Case(
        "text",
        "point",
        {"(1.5,-0.25)": "(1.5,-0.25)", "1,2": "(1,2)", "(NaN,Infinity)": "(NaN,Infinity)"},
        {"(0.12345678901234567891,1)": ROUNDED, "one,two": UNREADABLE},
    ),
    Case(
        "text",
        "polygon",
        {"((0,0),(1,1))": "((0,0),(1,1))"},
        {"((0,0),(1,9007199254740993))": ROUNDED},
    ),
    Case(
        "text",
        "text",
        {"0010": "10", "+1.50": "1.50", " -00.5 ": "-0.5", ".5": "0.5", "7.": "7", "-0.0": "0.0"},
        {"1,5": BAD},
        "type: numeric",
    ),
    Case(
        "text",
        "text",
        {"10": "10.00", "1.5000": "1.50", "-0.1": "-0.10"},
        {"1.001": ROUNDED, "x": BAD, "NaN": BAD},
        'type: "numeric(10,2)"',
    ),
    Case("text", "text", {"7.00": "7"}, {"7.5": ROUNDED}, 'type: "numeric(3)"'),
)

IMPOSSIBLE = (
    ("timestamptz", "timestamp"),
    ("timestamp", "timestamptz"),
    ("timestamptz", "date"),
    ("date", "timestamptz"),
    ("timestamptz", "time"),
    ("date", "int4"),
    ("int4", "date"),
    ("int4", "interval"),
    ("int4", "numeric(5,-2)"),
    ("numeric", "numeric(5,-2)"),
    ("float8", "numeric(50,10)"),
    ("float8", "bool"),
    ("numeric", "bool"),
    ("bool", "numeric"),
    ("bool", "float8"),
    ("int4", "money"),
    ("money", "numeric"),
    ("bytea", "int4"),
    ("bytea", "uuid"),
    ("uuid", "int8"),
    ("jsonb", "int4"),
    ("int4", "jsonb"),
    ("interval", "time"),
    ("time", "timetz"),
    ("int4[]", "text[]"),
    ("mood", "colour"),
    ("point", "box"),
    ("text", "interval year to month"),
    ("interval", "interval day to hour"),
)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def moved(shared_databases: TwoDatabases) -> TwoDatabases:
    """Everything in one migration: a load for each case."""
    legacy, target = [TYPES], [TYPES]
    loads = ["defaults: {blank: keep}", "tables:"]
    for number, case in enumerate(CASES):
        rows = ", ".join(f"({i}, {_quoted(v)}::{case.given})" for i, v in enumerate(case.values))
        legacy.append(f"CREATE TABLE c{number} (id int PRIMARY KEY, v {case.given})")
        legacy.append(f"INSERT INTO c{number} VALUES {rows}, (-1, NULL)")
        target.append(f"CREATE TABLE c{number} (id int PRIMARY KEY, v {case.wanted})")
        steps = f", {case.steps}" if case.steps else ""
        loads += [
            f"  c{number}:",
            f"    from: c{number}",
            "    key: [id]",
            "    copy: [id]",
            f"    fields: {{v: {{from: v{steps}}}}}",
        ]
    shared_databases.legacy.run(";".join(legacy))
    shared_databases.target.run(";".join(target))
    shared_databases.migrate("\n".join(loads) + "\n")
    return shared_databases


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_an_exact_value_arrives_and_a_lossy_one_is_refused(moved: TwoDatabases, case: Case):
    number = CASES.index(case)
    arrived = dict(moved.target.rows(f"SELECT id, v::text FROM c{number}"))
    assert arrived.pop(-1) is None
    assert {case.values[i]: text for i, text in arrived.items()} == case.exact
    errors = moved.target.rows(
        "SELECT source_key::int, error_code, reason FROM migration.migration_errors"
        f" WHERE load = 'c{number}'"
    )
    assert {case.values[i]: reason for i, _, reason in errors} == case.lossy
    assert {code for _, code, _ in errors} <= {case.code}


def test_pairs_without_a_meaning_are_refused_before_anything_runs(databases: TwoDatabases):
    legacy, target, loads = [TYPES], [TYPES], ["tables:"]
    for number, (given, wanted) in enumerate(IMPOSSIBLE):
        legacy.append(f"CREATE TABLE c{number} (id int PRIMARY KEY, v {given})")
        target.append(f"CREATE TABLE c{number} (id int PRIMARY KEY, v {wanted})")
        loads.append(f"  c{number}: {{from: c{number}, copy: [id], fields: {{v: {{from: v}}}}}}")
    databases.legacy.run(";".join(legacy))
    databases.target.run(";".join(target))
    error = databases.refused("\n".join(loads) + "\n")
    assert {p.code.value for p in error.problems} == {"TRANS-004"}
    places = [p.where.rpartition(" ")[2] for p in error.problems]
    assert places == [f"tables.c{n}.fields.v" for n in range(len(IMPOSSIBLE))]
    assert databases.target.values("SELECT to_regnamespace('migration')") == [None]
