"""Numbers in ``sql``: exact or rejected, and as text the server's own, or refused."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.support.databases.two_databases import TwoDatabases

pytestmark = pytest.mark.slow

TYPE, SQL = ("DATA-003", "inexact"), ("TRANS-005", "raised")
TINY = "0.12345678901234567891"


@dataclass(frozen=True)
class Case:
    """``exact``: value of ``v`` to the text that arrives; ``lossy``: value to code and reason."""

    sql: str
    given: str
    wanted: str
    exact: dict[str, str]
    lossy: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.sql}: {self.given} to {self.wanted}"

    @property
    def values(self) -> list[str]:
        return [*self.exact, *self.lossy]


CASES = (
    Case("v", "numeric", "text", {"250": "250", "250.50": "250.50", TINY: TINY}),
    Case("v", "numeric", "numeric", {"250.50": "250.50", TINY: TINY, "NaN": "NaN"}),
    Case("v || ' mg'", "numeric", "text", {"250": "250 mg", "2.50": "2.50 mg", TINY: TINY + " mg"}),
    Case("CAST(v AS VARCHAR)", "numeric", "text", {"250.50": "250.50", "NaN": "NaN"}),
    Case("concat('d', v)", "numeric", "text", {"250": "d250", "2.50": "d2.50"}),
    Case("concat_ws('-', v, 1)", "numeric", "text", {"250": "250-1", TINY: TINY + "-1"}),
    Case("CAST(out.n AS VARCHAR)", "numeric", "text", {"250.50": "250.50"}),
    Case(
        "coalesce(v, 0)",
        "numeric",
        "numeric",
        {"250": "250", "1.5": "1.5", "-0.10": "-0.1"},
        {TINY: SQL},
    ),
    Case("coalesce(v, 0)", "numeric", "numeric(6,2)", {"1.50": "1.50"}, {"1.005": TYPE}),
    Case("round(v * 2, 2)", "numeric", "text", {"250": "500.00", "1.005": "2.01"}),
    Case(
        "CAST(v AS DECIMAL(38,20)) * 2",
        "numeric",
        "numeric",
        {TINY: "0.24691357802469135782", "1.5": "3.00000000000000000000"},
        {TINY + "1": SQL, "1234567890123456789": SQL},
    ),
    Case(
        "CASE WHEN CAST(v AS DECIMAL(38,20)) > 0.1 THEN v END",
        "numeric",
        "numeric",
        {"1.5": "1.5"},
        {TINY: SQL},
    ),
    Case(
        "CASE WHEN CAST(v AS DECIMAL(38,20)) > 0.1 THEN 'high' END",
        "numeric",
        "text",
        {TINY: "high"},
    ),
    Case("CAST(round(v * 2, 2) AS DECIMAL(38,2)) || ' mg'", "numeric", "text", {"5": "10.00 mg"}),
    Case(
        "CAST(round(v / 1, 2) AS DECIMAL(38,2)) || ' mg'",
        "numeric",
        "text",
        {"5": "5.00 mg"},
        {"123456789012345678.9": SQL},
    ),
    Case("v * 2", "numeric(6,2)", "text", {"1.5": "3.00"}),
    Case("v || '%'", "numeric(6,2)", "text", {"1.5": "1.50%"}),
    Case("v / 2.2046", "numeric(6,2)", "numeric(6,2)", {"0": "0.00"}, {"71": TYPE}),
    Case("round(v / 2.2046, 2)", "numeric(6,2)", "numeric(6,2)", {"71": "32.21"}),
    Case("round(v / 2.2046, 2)", "numeric(6,2)", "text", {"71": "32.21"}),
    Case(
        "v / 100",
        "int8",
        "numeric",
        {"1999": "19.99", "1": "0.01"},
        {"1234567890123456789": SQL, "9007199254740993": SQL},
    ),
    Case("v / 3", "int4", "numeric", {"9": "3"}, {"1": TYPE}),
    Case("v / 3", "int4", "text", {"9": "3"}, {"1": TYPE}),
    Case("v / 3", "int4", "float8", {"1": "0.3333333333333333"}),
    Case("v / 2", "int4", "int4", {"4": "2"}, {"3": TYPE}),
    Case("v / 1", "int8", "int8", {"4": "4"}, {"9007199254740993": SQL}),
    Case("v / 1", "numeric(20,2)", "numeric(20,2)", {"4": "4.00"}, {"123456789012345678.9": SQL}),
    Case(
        "v * 0.01", "numeric(18,2)", "numeric(20,4)", {"1234567890123456.78": "12345678901234.5678"}
    ),
    Case("CAST(v AS DOUBLE) + 0.2", "text", "numeric", {"0.3": "0.5"}, {"0.1": TYPE}),
    Case(
        "v->>'x'",
        "json",
        "numeric",
        {
            '{"x": 1.25}': "1.25",
            '{"x": 12345678901234567890123}': "12345678901234567890123",
            '{"x": 1, "\\"y": "0.1234567890123456789"}': "1",
            '{"x": "0.1234567890123456789"}': "0.1234567890123456789",
        },
        {'{"x": 0.1234567890123456789}': SQL, '{"x": 12345678901234567.5}': SQL},
    ),
    Case("v + 0.2", "float8", "text", {"0.3": "0.5"}, {"0.1": TYPE}),
    Case("v", "float8", "text", {"0.30000000000000004": "0.30000000000000004"}),
    Case("coalesce(v, 0)", "float8", "numeric", {"0.30000000000000004": "0.30000000000000004"}),
    Case("CASE WHEN v > 1 THEN v END", "float4", "text", {"1.1": "1.1"}),
    Case("CAST(round(v / 3, 2) AS DECIMAL(18,2)) || '%'", "int4", "text", {"1": "0.33%"}),
    Case("format('{:.2f}', v / 3)", "int4", "text", {"1": "0.33"}),
)

REFUSED = (
    ("v * 2", "numeric", "text"),
    ("(v * 2) || ' mg'", "numeric", "text"),
    ("CAST(coalesce(v, 0) AS VARCHAR)", "numeric", "text"),
    ("CAST([v] AS VARCHAR)", "numeric", "text"),
    ("array_to_string(list_transform([v], lambda x: x || ''), '')", "numeric", "text"),
    ("to_json(v)", "numeric", "text"),
    ("CAST(v / 3 AS VARCHAR)", "int4", "text"),
    ("(v / 3) || '%'", "int4", "text"),
    ("concat(CAST(v AS DOUBLE) * 2, '%')", "numeric(6,2)", "text"),
    ("format('{}', v / 3)", "int4", "text"),
)


@pytest.fixture(scope="module")
def moved(shared_databases: TwoDatabases) -> TwoDatabases:
    """Everything in one migration: a load for each case."""
    legacy, target, loads = [], [], ["tables:"]
    for number, case in enumerate(CASES):
        rows = ", ".join(f"({i}, '{v}')" for i, v in enumerate(case.values))
        legacy.append(f"CREATE TABLE c{number} (id int PRIMARY KEY, v {case.given})")
        legacy.append(f"INSERT INTO c{number} VALUES {rows}")
        target.append(
            f"CREATE TABLE c{number} (id int PRIMARY KEY, n {case.given}, v {case.wanted})"
        )
        loads.append(
            f"  c{number}: {{from: c{number}, key: [id], copy: [id],"
            f' fields: {{n: {{from: v}}, v: {{sql: "{case.sql}"}}}}}}'
        )
    shared_databases.legacy.run(";".join(legacy))
    shared_databases.target.run(";".join(target))
    shared_databases.migrate("\n".join(loads) + "\n")
    return shared_databases


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_a_number_arrives_exactly_or_its_row_is_rejected(moved: TwoDatabases, case: Case) -> None:
    load = f"c{CASES.index(case)}"
    arrived = moved.target.rows(f"SELECT id, v::text FROM {load}")
    assert {case.values[i]: text for i, text in arrived} == case.exact
    errors = moved.target.rows(
        "SELECT source_key::int, error_code, reason FROM migration.migration_errors"
        f" WHERE load = '{load}'"
    )
    assert {case.values[i]: (code, reason) for i, code, reason in errors} == case.lossy


def test_texts_of_numbers_without_fixed_decimals_are_refused(databases: TwoDatabases) -> None:
    legacy, target, loads = [], [], ["tables:"]
    for number, (sql, given, wanted) in enumerate(REFUSED):
        legacy.append(f"CREATE TABLE c{number} (id int PRIMARY KEY, v {given})")
        target.append(f"CREATE TABLE c{number} (id int PRIMARY KEY, v {wanted})")
        loads.append(
            f'  c{number}: {{from: c{number}, copy: [id], fields: {{v: {{sql: "{sql}"}}}}}}'
        )
    databases.legacy.run(";".join(legacy))
    databases.target.run(";".join(target))
    error = databases.refused("\n".join(loads) + "\n")
    places = {p.where.rpartition(" ")[2] for p in error.problems}
    assert places == {f"tables.c{n}.fields.v.sql" for n in range(len(REFUSED))}
    assert all("round(" in (p.remedy or "") for p in error.problems)


def test_a_numeric_keeps_its_digits_as_key_code_and_text(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE doses (id numeric PRIMARY KEY, dose numeric, rate numeric(6,2));"
        "INSERT INTO doses VALUES (250, 2.50, 1.5), (0.1234567890123456, 7, 2)"
    )
    databases.target.run(
        "CREATE TABLE texts (id text PRIMARY KEY, key text, dose text, code text, both_ text)"
    )
    databases.migrate("""
maps: {units: {values: {"2.50": low, "7": high}, on_unmapped: reject}}
tables:
  texts:
    from: doses
    key: [id]
    fields:
      id: {from: id}
      key: {system: source_key}
      dose: {from: dose, transform: trim}
      code: {sql: dose, map: units}
      both_: {sql: "concat_ws('/', dose, rate)"}
    duplicates: {keep: first, order: [dose]}
""")
    assert databases.target.rows("SELECT key, dose, code, both_ FROM texts ORDER BY dose") == [
        ("250", "2.50", "low", "2.50/1.50"),
        ("0.1234567890123456", "7", "high", "7/2.00"),
    ]
