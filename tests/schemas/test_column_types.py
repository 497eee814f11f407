"""Every PostgreSQL type with its odd values: unchanged in the target, or refused with a code.

Each type is moved three ways: into a column of the same type, into text, and from its text
form (the legacy system kept everything as text) into the type. What arrives is compared by
the server's own text form before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.databases.two_databases import HEADER, TwoDatabases, two_databases
from tests.support.servers.debian_server import debian_server

pytestmark = pytest.mark.slow


TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'so so', 'd''accord', 'say "yes"', 'a,b', 'müde', '');
CREATE DOMAIN anything AS text;
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN high_percent AS percent CHECK (VALUE >= 50);
CREATE DOMAIN money_amount AS numeric(10,2) NOT NULL;
CREATE DOMAIN code_list AS varchar(3)[];
CREATE DOMAIN zip AS varchar(5);
CREATE DOMAIN moment AS timestamp(3);
CREATE TYPE address AS (street text, number int, since date);
CREATE TYPE dose AS RANGE (subtype = numeric);
CREATE SCHEMA clinic;
CREATE TYPE clinic.level AS ENUM ('low', 'high');
CREATE TYPE "Odd Type" AS ENUM ('x');
"""


@dataclass(frozen=True)
class Case:
    """A type with values in its input form, and which of them each way refuses."""

    type: str
    values: tuple[str, ...]
    copied_refused: tuple[str, ...] = ()
    to_text_refused: tuple[str, ...] = ()
    from_text_refused: tuple[str, ...] = ()
    ways: tuple[str, ...] = ("copied", "to_text", "from_text")


_TEXTS = (
    "",
    " ",
    "  two blanks  ",
    "\t\n\r\v",
    "NULL",
    "\\N",
    "\\.",
    "a,b;\"c\" 'd' \\e",
    "{a,b}",
    "%s %(x)s 100%",
    "ß 漢字 🏥 e\u0301 \u00e9 \u200b \ufeff",
    "\u0001\u007f\u0080",
    "x" * 1_000_000,
    "🏥" * 250_000,
)
_NUMBERS = (
    "0",
    "-0.0",
    "1.10",
    "1.100",
    "0.000",
    "-1e-10",
    "1e40",
    "9" * 38,
    "9" * 39,
    "-" + "9" * 1100,
    "0." + "0" * 999 + "1",
    "1" * 500 + "." + "2" * 500,
    "9" * 131_072,
    "0." + "0" * 16_382 + "1",
)
_NAMED_NUMBERS = ("NaN", "Infinity", "-Infinity")
_FAR_DATES = (
    "infinity",
    "-infinity",
    "4714-11-24 BC",
    "0044-03-15 BC",
    "0001-12-31 BC",
    "10000-01-01",
    "5874897-12-31",
)
_FAR_MOMENTS = (
    "infinity",
    "-infinity",
    "4714-11-24 00:00:00 BC",
    "0044-03-15 12:00:00.5 BC",
    "0001-12-31 23:59:59.999999 BC",
    "10000-01-01 00:00:00.000001",
    "294247-01-10 04:00:54.775806",
)
_LONG_YEARS = ("10000-", "5874897-", "294247-")
"""Of text only years of four digits are read: one more is a slip of the pen."""

_BEYOND_ARROW = ("294247-01-10 04:00:54.775807", "294276-12-31 23:59:59.999999")
_MOMENTS = (
    "1970-01-01 00:00:00",
    "1969-12-31 23:59:59.999999",
    "2000-01-01 00:00:00.000001",
    "1999-12-31 23:59:59.9",
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59.999999",
    "2024-02-29 12:34:56.120000",
    "1582-10-10 01:02:03",
)


def _moments(name: str, zone: str) -> Case:
    def zoned(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            v
            if v.endswith("infinity") or not zone
            else v.replace(" BC", "") + zone + " BC" * v.endswith(" BC")
            for v in values
        )

    beyond = zoned(_BEYOND_ARROW)
    far = zoned(_FAR_MOMENTS)
    return Case(
        name,
        zoned(_MOMENTS) + far + beyond,
        copied_refused=beyond,
        to_text_refused=beyond,
        from_text_refused=tuple(v for v in far if v.startswith(_LONG_YEARS)) + beyond,
    )


_FLOATS = (
    "0",
    "-0",
    "1",
    "-1.5",
    "0.1",
    "0.3",
    "1e5",
    "1e14",
    "1e15",
    "1e16",
    "1e20",
    "1e21",
    "1e22",
    "123456789012345680",
    "1e-4",
    "1e-5",
    "1.5e-5",
    "1e-7",
    "9007199254740993",
    "100",
    "1234567",
    "12345678",
    "NaN",
    "Infinity",
    "-Infinity",
)

CASES = (
    Case("numeric", (*_NUMBERS, *_NAMED_NUMBERS)),
    Case(
        "numeric(10,4)",
        ("999999.9999", "-999999.9999", "0.0001", "1", "-0", "NaN"),
    ),
    Case("numeric(5,0)", ("99999", "-99999", "0")),
    Case("numeric(1000,500)", ("9" * 500 + "." + "9" * 500, "-1", "0." + "0" * 499 + "1")),
    Case("numeric(3,-2)", ("99900", "-100", "0", "NaN")),
    Case("numeric(3,5)", ("0.00999", "-0.00001")),
    Case("int2", ("32767", "-32768", "0")),
    Case("int4", ("2147483647", "-2147483648", "0")),
    Case("int8", ("9223372036854775807", "-9223372036854775808", "0")),
    Case(
        "float4", (*_FLOATS, "3.4028235e38", "-3.4028235e38", "1e-45", "1.17549435e-38", "16777217")
    ),
    Case(
        "float8",
        (
            *_FLOATS,
            "1.7976931348623157e308",
            "5e-324",
            "2.2250738585072014e-308",
            "0.30000000000000004",
            "2e-308",
        ),
    ),
    Case(
        "money", ("$0.00", "$1,234.56", "-$0.01", "-92233720368547758.08", "92233720368547758.07")
    ),
    Case("bool", ("true", "false")),
    Case("text", _TEXTS),
    Case("varchar", _TEXTS),
    Case("varchar(5)", ("", "12345", "🏥🏥🏥🏥🏥", "a    ", " ")),
    Case("char(5)", ("", "ab", "ab   ", "12345", "🏥", " x")),
    Case("char", ("", "a", "ß")),
    Case("name", ("", "patient", "x" * 63, "ü" * 31, " ")),
    Case('"char"', ("", "a", "'", '"', ",", "\\")),
    Case(
        "bytea",
        ("", "\\x00", "\\x00ff5c27", "\\x" + "ab" * 500_000),
        ways=("copied", "from_text"),
    ),
    Case(
        "date",
        (
            "1970-01-01",
            "1969-12-31",
            "2000-02-29",
            "0001-01-01",
            "9999-12-31",
            "1582-10-10",
            *_FAR_DATES,
        ),
        from_text_refused=tuple(v for v in _FAR_DATES if v.startswith(_LONG_YEARS)),
    ),
    _moments("timestamp", ""),
    _moments("timestamptz", "+00"),
    Case(
        "timestamptz(3)",
        ("2024-03-31 02:30:00.123+02", "1900-01-01 00:00:00+00:53:28"),
    ),
    *(
        Case(
            f"timestamp({digits})",
            (
                f"2024-02-29 12:34:56.{'1' * digits}" if digits else "2024-02-29 12:34:56",
                "1969-12-31 23:59:59",
                "infinity",
            ),
        )
        for digits in range(7)
    ),
    Case("time", ("00:00", "24:00", "23:59:59.999999", "12:00:00.5")),
    Case("time(0)", ("00:00", "24:00", "23:59:59")),
    Case("time(3)", ("23:59:59.999", "00:00:00.1")),
    Case("timetz", ("00:00-15:59:59", "24:00+15:59", "12:34:56.789+05:30:15", "12:00+00")),
    Case("timetz(2)", ("12:34:56.78+05:30",)),
    Case(
        "interval",
        (
            "0",
            "1 mon -1 days",
            "-1 years 2 mons -3 days 04:05:06.789",
            "178000000 years",
            "-178000000 years",
            "-00:00:00.000001",
            "2147483647 days",
            "2562047788:00:54.775807",
            "-2562047788:00:54.775807",
        ),
    ),
    Case("interval(2)", ("00:00:01.25", "1 day -00:00:00.01")),
    Case("interval year to month", ("1 year 2 mons", "-5 mons", "0"), ways=("copied", "to_text")),
    Case("interval second(2)", ("1.25", "-0.01"), ways=("copied", "to_text")),
    Case(
        "uuid",
        (
            "00000000-0000-0000-0000-000000000000",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ),
    ),
    Case(
        "json",
        (
            '{"b": 1,   "a" : [1, 2 ],\n "a": 3.10}',
            "null",
            '"x"',
            '"\\u0000"',
            " [ ] ",
            "1E+2",
            '{"t": "漢"}',
        ),
    ),
    Case(
        "jsonb",
        (
            '{"b": 1,   "a" : [1, 2 ], "a": 3.10}',
            "null",
            '"x"',
            " [ ] ",
            "1E+2",
            '{"t": "漢", "q": "\\"%\\\\"}',
        ),
    ),
    Case("jsonpath", ('$."a"[*] ? (@ > 1)',)),
    Case(
        "int[]",
        (
            "{}",
            "{1,NULL,-3}",
            "{{1,2},{3,4}}",
            "[0:2]={1,2,3}",
            "[-1:0][2:3]={{1,2},{3,4}}",
            "{{{1}},{{2}}}",
        ),
    ),
    Case(
        "text[]",
        (
            "{}",
            '{"a\\"b","c\\\\d","{e}","f,g","",NULL,"NULL"," ","\\\\N"}',
            '{{"x y",""},{"漢","\n"}}',
            "[5:5]={x}",
        ),
    ),
    Case("varchar(3)[]", ('{abc,NULL,""}',)),
    Case("char(3)[]", ('{a,NULL,"  "}',)),
    Case("date[]", ('{2024-02-29,infinity,NULL,"0044-03-15 BC"}',)),
    Case("timestamptz[]", ('{"2024-02-29 12:00:00.000001+00",-infinity}',)),
    Case("numeric[]", ("{1.10,NaN,-0.0,NULL}", "{" + "9" * 400 + "}")),
    Case("numeric(5,2)[]", ("{1.10,-999.99}",)),
    Case("float8[]", ("{0.1,-0,NaN,5e-324}",)),
    Case("bool[]", ("{t,f,NULL}",)),
    Case("bytea[]", ('{"\\\\x00ff",NULL}',), ways=("copied", "from_text")),
    Case("json[]", ('{"{\\"a\\":  1}","null",NULL}',)),
    Case("mood[]", ('{sad,"so so","say \\"yes\\"",""}',)),
    Case("mood", ("sad", "so so", "d'accord", 'say "yes"', "a,b", "müde", "")),
    Case("clinic.level", ("low", "high")),
    Case('"Odd Type"', ("x",)),
    Case("anything", ("", "x", " ")),
    Case("percent", ("0", "100")),
    Case("high_percent", ("50", "100")),
    Case("money_amount", ("12345678.90", "-0.01")),
    Case("code_list", ("{a,bc,NULL}", "{}")),
    Case("zip", ("", "12345")),
    Case("moment", ("2024-02-29 12:34:56.789",)),
    Case(
        "address",
        ('("Main St. ""5""",7,2024-02-29)', "(,,)", '("",0,infinity)', '("a,b\\\\c",-1,)'),
    ),
    Case("address[]", ('{"(\\"x y\\",1,2024-02-29)","(,,)",NULL}',)),
    Case("int4range", ("empty", "[1,5)", "(,)", "[1,1]", "(,7)")),
    Case("numrange", ("[1.10,2.20]", "(1,NaN)", "empty")),
    Case("tsrange", ('["2024-01-01 00:00:00","infinity"]', "(,)")),
    Case("tstzrange", ('["2024-01-01 00:00:00.000001+00",)',)),
    Case("daterange", ("[2024-01-01,infinity)", "[-infinity,2024-01-01]")),
    Case("dose", ("[1.5,2.50)", "empty")),
    Case("int4multirange", ("{}", "{[1,3),[5,8)}")),
    Case("nummultirange", ("{(,1.0],[2.0,3.00)}",)),
    Case("inet", ("10.0.0.1", "10.1.2.3/8", "::1", "fe80::1/64", "0.0.0.0/0")),
    Case("cidr", ("10.0.0.0/8", "::/0", "10.1.2.3")),
    Case("macaddr", ("08:00:2b:01:02:03",)),
    Case("macaddr8", ("08:00:2b:01:02:03:04:05",)),
    Case("bit(5)", ("10101", "00000")),
    Case("bit", ("1", "0")),
    Case("varbit", ("", "1", "0" * 1000)),
    Case("bit varying(3)", ("", "101")),
    Case("point", ("(1.5,-0)", "(NaN,Infinity)", "(5e-324,0.1)")),
    Case("line", ("{1,-1,0}",)),
    Case("lseg", ("[(0,0),(1,1e-5)]",)),
    Case("box", ("(1,1),(0,0)",)),
    Case("path", ("[(0,0),(1,1)]", "((0,0),(1,1),(2,0))")),
    Case("polygon", ("((0,0),(1,1),(2,0))",)),
    Case("circle", ("<(0,0),1.5>",)),
    Case(
        "tsvector",
        (
            "",
            "'a':1A 'b c':2,3B 'd''e'",
        ),
    ),
    Case("tsquery", ("'a' & !'b' | 'c':*A", "'x y' <2> 'z'")),
    Case("pg_lsn", ("0/0", "FFFFFFFF/FFFFFFFF")),
    Case("oid", ("0", "4294967295")),
    Case("xid8", ("18446744073709551615",)),
    Case("regclass", ("pg_class", "-")),
    Case("regtype", ("integer", "timestamp with time zone")),
    Case("tid", ("(0,1)", "(4294967295,65535)")),
    Case("pg_snapshot", ("10:20:10,14,15",)),
)

EXTENSIONS = "".join(
    f"CREATE EXTENSION {name};" for name in ("citext", "hstore", "ltree", "cube", "isn")
)
EXTENSION_CASES = (
    Case("citext", ("", "AbC", "ß", "漢")),
    Case("citext[]", ('{AbC,NULL,""}',)),
    Case("hstore", ("", '"a"=>"1", "B c"=>NULL, "q"=>"x\\"y"')),
    Case("xml", ("<a>1</a>", "<a><!-- c -->  <b x='1'/></a>", "text &amp; <b/>", "")),
    Case("ltree", ("a.b.c", "")),
)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def move(databases: TwoDatabases, cases: tuple[Case, ...], set_up: str) -> None:
    """Moves all cases all three ways in one migration."""
    legacy, target = [set_up], [set_up]
    loads = ["defaults: {blank: keep}", "tables:"]
    for number, case in enumerate(cases):
        rows = ", ".join(f"({i}, {_quoted(v)}::{case.type})" for i, v in enumerate(case.values))
        null = "" if case.type == "money_amount" else f"INSERT INTO t{number} VALUES (-1, NULL);"
        legacy.append(
            f"CREATE TABLE t{number} (id int PRIMARY KEY, v {case.type});"
            f"INSERT INTO t{number} VALUES {rows}; {null}"
            f"CREATE TABLE written{number} AS SELECT id, v::text AS v FROM t{number};"
            f"ALTER TABLE written{number} ADD PRIMARY KEY (id);"
        )
        for way, source, kind in (
            ("copied", f"t{number}", case.type),
            ("to_text", f"t{number}", "text"),
            ("from_text", f"written{number}", case.type),
        ):
            if way in case.ways:
                target.append(f"CREATE TABLE {way}{number} (id int PRIMARY KEY, v {kind});")
                loads.append(f"  {way}{number}: {{from: {source}, key: [id], copy: [id, v]}}")
    databases.legacy.run(";".join(legacy))
    databases.target.run(";".join(target))
    databases.migrate("\n".join(loads) + "\n")


@pytest.fixture(scope="module")
def moved(shared_databases: TwoDatabases) -> TwoDatabases:
    move(shared_databases, CASES, TYPES)
    return shared_databases


def check(databases: TwoDatabases, cases: tuple[Case, ...], case: Case, way: str) -> None:
    number = cases.index(case)
    before: dict[int, str | None] = dict(
        databases.legacy.rows(f"SELECT id, v::text FROM t{number}")
    )
    after: dict[int, str | None] = dict(
        databases.target.rows(f"SELECT id, v::text FROM {way}{number}")
    )
    refused = {case.values.index(v) for v in getattr(case, f"{way}_refused")}
    expected = {i: text for i, text in before.items() if i not in refused}
    differing = {
        i: (text[:60], (after.get(i) or "not there")[:60])
        for i, text in expected.items()
        if text is not None and after.get(i) != text
    }
    assert not differing
    assert after == expected
    errors = databases.target.rows(
        "SELECT source_key::int, error_code, rule_id FROM migration.migration_errors"
        f" WHERE load = '{way}{number}'"
    )
    assert {row[0] for row in errors} == refused
    assert {row[1:] for row in errors} <= {("DATA-003", "v.type")}


@pytest.mark.parametrize(
    ("case", "way"), [pytest.param(c, w, id=f"{c.type} {w}") for c in CASES for w in c.ways]
)
def test_a_value_arrives_unchanged_or_is_refused(moved: TwoDatabases, case: Case, way: str) -> None:
    check(moved, CASES, case, way)


@pytest.fixture(scope="module")
def moved_extensions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDatabases]:
    with debian_server() as server:
        if server is None:
            pytest.skip("no PostgreSQL of Debian is here: tests of extensions are left out")
        with two_databases(server, tmp_path_factory.mktemp("extensions")) as databases:
            move(databases, EXTENSION_CASES, EXTENSIONS)
            yield databases


@pytest.mark.parametrize(
    ("case", "way"),
    [pytest.param(c, w, id=f"{c.type} {w}") for c in EXTENSION_CASES for w in c.ways],
)
def test_a_value_of_an_extension_arrives_unchanged(
    moved_extensions: TwoDatabases, case: Case, way: str
) -> None:
    check(moved_extensions, EXTENSION_CASES, case, way)


ALTERED = {
    "hstore": ("a=>1, a=>2", '"a"=>"1", "a"=>NULL', '"a=>b"=>1,a\\=\\>b=>2'),
    "cube": ("(0.12345678901234567890)", "(1, 2.000000000000000001)"),
    "isbn": ("978-0-393-04002-?", "978-0-393-04002-4!"),
}
KEPT = {
    "hstore": ("a=>1, b=>2", '"a"=>"b=>1", "b"=>"a=>2"', "", "null=>null"),
    "cube": ("(0.5, 1e3)", "(1),(2)"),
    "isbn": ("0-393-04002-X",),
}


def test_text_that_an_extension_would_alter_is_refused(moved_extensions: TwoDatabases) -> None:
    loads = ["tables:"]
    for name, values in ALTERED.items():
        rows = ", ".join(f"({i}, {_quoted(v)})" for i, v in enumerate(values + KEPT[name]))
        moved_extensions.legacy.run(
            f"CREATE TABLE text_of_{name} (id int PRIMARY KEY, v text);"
            f"INSERT INTO text_of_{name} VALUES {rows}"
        )
        moved_extensions.target.run(f"CREATE TABLE text_of_{name} (id int PRIMARY KEY, v {name})")
        loads.append(f"  text_of_{name}: {{from: text_of_{name}, key: [id], copy: [id, v]}}")
    header = HEADER.replace("migration}", "altered}").replace("moved", "altered")
    moved_extensions.migrate("defaults: {blank: keep}\n" + "\n".join(loads) + "\n", header=header)
    refused = moved_extensions.target.rows(
        "SELECT load, array_agg(source_key::int ORDER BY source_key::int)"
        " FROM altered.migration_errors WHERE error_code = 'DATA-003' GROUP BY 1"
    )
    assert dict(refused) == {
        f"text_of_{name}": list(range(len(values))) for name, values in ALTERED.items()
    }
