"""From one PostgreSQL type to another: exact, or DATA-003, or refused before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.support.databases.two_databases import TwoDatabases

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
TWICE, NEVER = "ambiguous_time", "no_such_time"
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
        {
            " 1.5 ": "1.50",
            "-.5": "-0.50",
            "5.": "5.00",
            "0000123.4500": "123.45",
            "1.25E2": "125.00",
            "500e-2": "5.00",
            "NaN": "NaN",
        },
        {
            "1.234": ROUNDED,
            "1e-3": ROUNDED,
            "1e3": FAR,
            "1e999999999": FAR,
            "Infinity": FAR,
            "1,5": BAD,
            "1e": BAD,
            "1000": FAR,
            "": BAD,
        },
    ),
    Case(
        "text",
        "numeric",
        {"1e-20": "0.00000000000000000001", "-Infinity": "-Infinity", "nan": "NaN", "0e9": "0"},
        {"1e131072": FAR, "inf": BAD},
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
        dict.fromkeys(
            (
                "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
                "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
                "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
            ),
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        {"{a0eebc999c0b4ef8bb6d6bb9bd380a11}": BAD, "a0eebc99": BAD},
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
        {"1.20": "$1.20", "-$1,234.56": "-$1,234.56", "1,234,567": "$1,234,567.00"},
        {"1.239": ROUNDED, "x": UNREADABLE, "1,2,3": BAD, "1,23": BAD, "1,234": "ambiguous"},
    ),
    Case("text", "mood", {"sad": "sad"}, {"Sad": UNREADABLE, "": UNREADABLE}),
    Case("text", "jsonb", {'{"a": 1.10}': '{"a": 1.10}'}, {"{": UNREADABLE, "": UNREADABLE}),
    Case("json", "jsonb", {'{"b":1}': '{"b": 1}'}, {'"\\u0000"': "untranslatable_character"}),
    Case("jsonb", "json", {'{"a": [1, 2]}': '{"a": [1, 2]}'}, {}),
    Case(
        "text",
        "money[]",
        {'{1.20,"1,234.56",NULL}': '{$1.20,"$1,234.56",NULL}'},
        {'{"1,23"}': BAD, '{"1,234"}': "ambiguous", "{1.239}": ROUNDED},
    ),
    Case(
        "text",
        "int[]",
        {"{1,NULL}": "{1,NULL}", "[0:1]={1,2}": "[0:1]={1,2}"},
        {"{a}": UNREADABLE, "1,2": UNREADABLE, "{0x10}": BAD, "{1_000}": BAD},
    ),
    Case("text", "int4range", {"[1,5)": "[1,5)", "empty": "empty"}, {"[0x10,)": BAD}),
    Case("text", "bool[]", {"{t,no,NULL}": "{t,f,NULL}"}, {"{tr}": BAD}),
    Case("text", "varchar(3)[]", {'{abc,NULL,"a c"}': '{abc,NULL,"a c"}'}, {'{"abc  "}': LONG}),
    Case(
        "text",
        "bytea[]",
        {'{"\\\\x4d",NULL}': '{"\\\\x4d",NULL}'},
        {"{Hello}": BAD, "{0x4d}": BAD, '{"\\\\x4"}': BAD},
    ),
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
    Case("text", "inet", {"10.1.2.3/8": "10.1.2.3/8"}, {"10.1.2": "ambiguous"}),
    Case("text", "cidr", {"10.0.0.0/8": "10.0.0.0/8"}, {"10.1.2.3/8": UNREADABLE}),
    Case(
        "text", "bit(3)", {"101": "101"}, {"10": "string_data_length_mismatch", "102": UNREADABLE}
    ),
    Case(
        "text",
        "bytea",
        {"\\x00ff": "\\x00ff", " \\xAB ": "\\xab", "\\x": "\\x"},
        dict.fromkeys(
            ("\\x0", "0x48656C6C6F", "48656C6C6F", "SGVsbG8=", "Hello", "\\x4 8", "\\110", ""), BAD
        ),
    ),
    Case(
        "text",
        "bytea",
        dict.fromkeys(("0x48656C6C6F", "48656C6C6F", "\\x48656c6c6f"), "\\x48656c6c6f"),
        {"SGVsbG8=": BAD, "486": BAD},
        steps="type: bytea, format: hex",
    ),
    Case(
        "text",
        "bytea",
        {"SGVsbG8=": "\\x48656c6c6f", "SGVs\nbG8=": "\\x48656c6c6f", "": "\\x"},
        {"SGVsbG9=": BAD, "SGVsbG8": BAD, "_-8=": BAD},
        steps="format: base64",
    ),
    Case(
        "text",
        "bytea",
        {"a\\\\b": "\\x615c62", "\\000\\377x": "\\x00ff78"},
        {"\\x48": BAD, "\\400": BAD, "ü": BAD},
        steps="type: bytea, format: escape",
    ),
    Case("text", "bytea", {"Mü": "\\x4dc3bc"}, {}, steps="type: bytea, format: utf-8"),
    Case("bytea", "bytea", {"\\x4dff": "\\x4dff"}, {}),
    Case(
        "bytea",
        "text",
        {"\\x4dc3bc6c6c6572": "Müller", "\\x": ""},
        {"\\xff": BAD},
        steps="type: text, format: utf-8",
    ),
    Case("bytea", "varchar(2)", {"\\x4dc3bc": "Mü"}, {"\\x616263": LONG}, steps="format: utf-8"),
    Case("bytea", "text", {"\\x4dff": "4dff"}, {}, steps="format: hex"),
    Case("bytea", "text", {"\\x4dff": "Tf8="}, {}, steps="format: base64"),
    Case("bytea", "text", {"\\x4dff5c": "M\\377\\\\"}, {}, steps="format: escape"),
    Case(
        "text",
        "date",
        {
            "2024-02-29": "2024-02-29",
            "2024-02-29 00:00:00": "2024-02-29",
            "2024-02-29T00:00:00.0000000": "2024-02-29",
        },
        {
            "2023-02-29": BAD,
            "02/29/2024": BAD,
            "24-02-29": BAD,
            "+inf": BAD,
            "2024-02-29 12:00:00": ROUNDED,
            "2024-02-29 00:00:00.0000001": ROUNDED,
            "2024-02-29 00:00:00Z": BAD,
            "0000-02-29": BAD,
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
        {
            "02/03/68": "1968-02-03",
            "02/03/69": "1969-02-03",
            "02/03/45": "1945-02-03",
            "02/03/01": "2001-02-03",
            "02/29/00": "2000-02-29",
        },
        {"02/03/1969": BAD, "02/29/01": BAD},
        steps='type: date, format: "%m/%d/%y", century: past',
    ),
    Case(
        "text",
        "date",
        {"2-Mar-39": "2039-03-02", "2-Mar-40": "1940-03-02", "29-Feb-00": "2000-02-29"},
        {"2-Mar-1940": BAD},
        steps='type: date, format: "%d-%b-%y", century: 1940',
    ),
    Case(
        "text",
        "date",
        {"28.02.00": "1900-02-28"},
        {"29.02.00": BAD},
        steps='type: date, format: "%d.%m.%y", century: 1900',
    ),
    Case("text", "date", {"2024366": "2024-12-31"}, {"2023366": BAD}, 'type: date, format: "%Y%j"'),
    Case(
        "text",
        "timestamptz",
        {
            "2023-07-01 12:00": "2023-07-01 10:00:00+00",
            "2023-01-01 12:00": "2023-01-01 11:00:00+00",
            "2023-10-29 01:59": "2023-10-28 23:59:00+00",
            "2023-10-29 03:00": "2023-10-29 02:00:00+00",
            "2023-03-26 03:00": "2023-03-26 01:00:00+00",
        },
        {"2023-10-29 02:30": TWICE, "2023-03-26 02:30": NEVER, "2023-02-29 12:00": BAD},
        steps='type: timestamptz, format: "%Y-%m-%d %H:%M", zone: Europe/Berlin',
    ),
    Case(
        "text",
        "timestamptz",
        {
            "2023-10-29 02:30": "2023-10-29 00:30:00+00",
            "2023-03-26 02:30": "2023-03-26 00:30:00+00",
            "2023-10-29 02:30:00+01": "2023-10-29 01:30:00+00",
        },
        {"x": BAD},
        steps="type: timestamptz, zone: Europe/Berlin, on_ambiguous: earlier",
    ),
    Case(
        "timestamp",
        "timestamptz",
        {
            "2023-11-05 01:30:00": "2023-11-05 06:30:00+00",
            "2023-03-12 02:30:00": "2023-03-12 07:30:00+00",
            "2023-11-05 00:59:59.999999": "2023-11-05 04:59:59.999999+00",
            "infinity": "infinity",
            "0044-03-15 12:00:00 BC": "0044-03-15 16:56:02+00 BC",
        },
        {"294276-12-31 00:00:00": FAR},
        steps="zone: America/New_York, on_ambiguous: later",
    ),
    Case(
        "timestamp",
        "timestamptz(0)",
        {"2011-12-29 23:59:59": "2011-12-30 09:59:59+00"},
        {"2011-12-30 12:00:00": NEVER, "2011-12-29 12:00:00.5": ROUNDED},
        steps="zone: Pacific/Apia",
    ),
    Case(
        "date", "timestamptz", {"2023-07-01": "2023-06-30 22:00:00+00"}, {}, "zone: Europe/Berlin"
    ),
    Case(
        "timestamptz",
        "timestamp",
        {"2023-10-29 00:30:00+00": "2023-10-29 02:30:00", "-infinity": "-infinity"},
        {},
        "zone: Europe/Berlin",
    ),
    Case(
        "timestamptz",
        "date",
        {"2023-06-30 22:00:00+00": "2023-07-01"},
        {"2023-07-01 00:00:00+00": ROUNDED},
        "zone: Europe/Berlin",
    ),
    Case(
        "text",
        "timestamp",
        {
            "2023-07-01 02:30:00+0200": "2023-07-01 02:30:00",
            "2023-07-01 02:30:00Z": "2023-07-01 04:30:00",
        },
        {"2023-07-01 02:30:00": BAD, "2023-07-01 02:30:00+0260": BAD},
        steps='type: timestamp, format: "%Y-%m-%d %H:%M:%S%z", zone: Europe/Berlin',
    ),
    Case(
        "text",
        "timestamptz",
        {
            "2023-07-01T02:30:00.1234560Z": "2023-07-01 02:30:00.123456+00",
            "2023-07-01T02:30:00.5+02:00": "2023-07-01 00:30:00.5+00",
        },
        {"2023-07-01T02:30:00.1234567Z": ROUNDED},
        steps='type: timestamptz, format: "%Y-%m-%dT%H:%M:%S.%f%z"',
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
            "2024-02-29 12:00:00.1230000": "2024-02-29 12:00:00.123",
            "2024-02-29 12:00:00.123456000": "2024-02-29 12:00:00.123456",
        },
        {
            "2024-02-29 24:00:00": BAD,
            "2024-02-29 12:00:00+02": BAD,
            "2024-02-29 12:00:00.1234567": ROUNDED,
            "0000-01-01 00:00:00": BAD,
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
            "2024-02-29 12:00:00.0000000 +00:00": "2024-02-29 12:00:00+00",
        },
        {"2024-02-29 12:00:00": BAD, "2024-02-29 12:00:00.0000001Z": ROUNDED},
    ),
    Case(
        "text",
        "time",
        {"12:00": "12:00:00", "24:00": "24:00:00", "23:59:59.999999": "23:59:59.999999"},
        {"24:00:01": BAD, "25:00": BAD, "12:00:00.1234567": ROUNDED, "12:00 PM": BAD},
    ),
    Case(
        "text",
        "time(0)",
        {"12:00:00.0": "12:00:00", "12:00:01.0000000": "12:00:01"},
        {"12:00:00.5": ROUNDED, "noon": BAD},
    ),
    Case(
        "text",
        "timetz(0)",
        {"12:00:00+01": "12:00:00+01"},
        {"12:00:00.5+01": ROUNDED, "x": "invalid_datetime_format"},
    ),
    Case(
        "text",
        "interval(0)",
        {"1 day 01:00:00": "1 day 01:00:00"},
        {"1.5 seconds": ROUNDED, "90": "ambiguous"},
    ),
    Case(
        "text",
        "timetz",
        {"12:00+01": "12:00:00+01"},
        {"now": BAD, "12:00": BAD, "12:00 CET": BAD, "12:00:00.1234567+01": ROUNDED},
    ),
    Case(
        "text",
        "date[]",
        {
            "{2024-02-03}": "{2024-02-03}",
            '{"2024-02-03 00:00:00",NULL}': "{2024-02-03,NULL}",
            "{{2024-02-03},{2024-02-04}}": "{{2024-02-03},{2024-02-04}}",
        },
        {
            "{02/03/2024}": BAD,
            "{today}": BAD,
            '{"2024-02-03 12:00:00"}': BAD,
            "{2024-02-03,2024-02-04 01:00}": BAD,
            "{20240203}": BAD,
            "{2024-02-03+02}": BAD,
        },
    ),
    Case(
        "text",
        "daterange",
        {"[2024-02-03,)": "[2024-02-03,)", "empty": "empty"},
        {"[2/3/2024,)": BAD, "[2024-02-03 12:00,2024-02-04 12:00)": BAD},
    ),
    Case(
        "text",
        "tsrange",
        {
            '["2024-01-01 00:00:00",)': '["2024-01-01 00:00:00",)',
            "[2024-01-01,infinity)": '["2024-01-01 00:00:00",infinity)',
        },
        {'["2024-01-01 00:00:00.1234567",)': ROUNDED, '["2024-01-01 00:00:00+02",)': BAD},
    ),
    Case(
        "text",
        "tstzrange",
        {'["2024-01-01 00:00:00+02",)': '["2023-12-31 22:00:00+00",)'},
        {'["2024-01-01 00:00:00",)': BAD, "[2024-01-01,)": BAD, "[2024-01-01 12:00 CET,)": BAD},
    ),
    Case(
        "text",
        "tsrange[]",
        {
            '{"[2024-01-01,)",empty}': r'{"[\"2024-01-01 00:00:00\",)",empty}',
        },
        {'{"[2024-01-01 00:00:00+02,)"}': BAD},
    ),
    Case(
        "text",
        "timestamptz[]",
        {'{"2024-01-01 00:00:00+02"}': '{"2023-12-31 22:00:00+00"}'},
        {'{"2024-01-01 00:00:00"}': BAD, "{2024-01-01}": BAD},
    ),
    Case(
        "timestamptz[]",
        "timestamptz(0)[]",
        {'{infinity,"0044-03-15 00:00:00+00 BC"}': '{infinity,"0044-03-15 00:00:00+00 BC"}'},
        {'{"2024-01-01 00:00:00.5+00"}': ROUNDED},
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
        {"10": "10.00", "1.5000": "1.50", "-0.1": "-0.10", "nan": "NaN"},
        {"1.001": ROUNDED, "x": BAD, "Infinity": FAR},
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
    ("float8", "bool"),
    ("numeric", "bool"),
    ("bool", "numeric"),
    ("bool", "float8"),
    ("int4", "money"),
    ("money", "numeric"),
    ("bytea", "int4"),
    ("bytea", "text"),
    ("bytea[]", "text"),
    ("bytea", "varchar(10)"),
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
def test_an_exact_value_arrives_and_a_lossy_one_is_refused(moved: TwoDatabases, case: Case) -> None:
    number = CASES.index(case)
    arrived: dict[int, str | None] = dict(moved.target.rows(f"SELECT id, v::text FROM c{number}"))
    assert arrived.pop(-1) is None
    assert {case.values[i]: text for i, text in arrived.items()} == case.exact
    errors = moved.target.rows(
        "SELECT source_key::int, error_code, reason FROM migration.migration_errors"
        f" WHERE load = 'c{number}'"
    )
    assert {case.values[i]: reason for i, _, reason in errors} == case.lossy
    assert {code for _, code, _ in errors} <= {case.code}


def test_pairs_without_a_meaning_are_refused_before_anything_runs(databases: TwoDatabases) -> None:
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
