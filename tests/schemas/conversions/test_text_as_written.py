"""Text as PostgreSQL itself writes values: each arrives, or its row is rejected."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from pipelines.cli.main import main
from tests.support.databases.two_databases import HEADER, TwoDatabases

DAYS = ("infinity", "-infinity", "0044-03-15 BC", "0001-02-29 BC", "4714-11-24 BC", "2024-02-29")
MOMENTS = (
    "infinity",
    "-infinity",
    "0044-03-15 12:00:00.5 BC",
    "4714-11-24 00:00:00 BC",
    "2024-02-29 12:00:00",
)
ROUNDED = ("100", "99900", "-12300", "0", "12300.00", "1e3", "NaN")

EXACT: dict[str, tuple[str, ...]] = {
    "date": DAYS,
    "timestamp": MOMENTS,
    "timestamp(1)": MOMENTS,
    "timestamptz": tuple(
        m if m.endswith("infinity") else m.removesuffix(" BC") + "+00" + " BC" * m.endswith(" BC")
        for m in MOMENTS
    )
    # As of places before there were zones.
    + ("1890-01-01 00:00:00+00:53:28", "1883-11-18 12:03:57.5-04:56:02", "1890-01-01 00:00:00-05"),
    "numeric(3,-2)": ROUNDED,
    "numeric(3,-2)[]": ("{100,NULL,-12300}", "[0:1]={0,99900}"),
    "money": ("$1,234.56", "-$0.01", "12.30", "(5.00)", "7"),
}
"""Texts by type that a column of it takes and gives back equal."""

REJECTED: dict[str, tuple[str, ...]] = {
    "date": (
        "4714-11-23 BC",
        "0004-02-29 BC",
        "0044-03-15 BC BC",
        "0044-03-15 AD",
        "inf",
        "infinity BC",
        "today",
        "epoch",
        "0044-03-15 12:00:00 BC",
    ),
    "timestamp": ("4714-11-23 23:59:59 BC", "0044-03-15 12:00:00+00 BC", "endless"),
    "timestamp(1)": ("0044-03-15 12:00:00.55 BC",),
    "timestamptz": ("0044-03-15 12:00:00 BC", "0044-03-15 BC", "1890-01-01 00:00:00+00:53:60"),
    "numeric(3,-2)": ("150", "100.5", "100000", "1", "Infinity", "1e5", "x"),
    "numeric(3,-2)[]": ("{150}", "{100,100.5}", "{1}"),
    "money": ("1,234", "12,30", "1.234,56", "0.005", "12.30 €", "92233720368547758.08"),
}

CASES = [
    (f"t{number}", kind, [*values, *REJECTED[kind]], len(values))
    for number, (kind, values) in enumerate(EXACT.items())
]


def make_targets(databases: TwoDatabases) -> None:
    for name, kind, _, _ in CASES:
        databases.target.run(f"DROP TABLE IF EXISTS {name}; CREATE TABLE {name} (n int, v {kind})")


def write_source(databases: TwoDatabases, form: str) -> str:
    """Stores the texts; gives the ends of the files' names."""
    for name, _, values, _ in CASES:
        numbers = [str(number) for number in range(len(values))]
        if form == "tables":
            databases.legacy.run(f"CREATE TABLE {name} (n text, v text)")
            rows = ", ".join(f"({n}, '{v}')" for n, v in zip(numbers, values, strict=True))
            databases.legacy.run(f"INSERT INTO {name} VALUES {rows}")
        elif form == "csv":
            lines = "".join(f'{n},"{v}"\n' for n, v in zip(numbers, values, strict=True))
            (databases.folder / f"{name}.csv").write_text("n,v\n" + lines)
        else:
            table = pa.table({"n": numbers, "v": values})
            pa.parquet.write_table(table, databases.folder / f"{name}.parquet")
    return "" if form == "tables" else f".{form}"


@pytest.mark.parametrize("form", ["tables", "csv", "parquet"])
def test_what_postgresql_takes_and_gives_back_arrives(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    make_targets(databases)
    end = write_source(databases, form)
    loads = "".join(f"  {name}: {{from: {name}{end}, copy: [n, v]}}\n" for name, *_ in CASES)
    header = HEADER.replace('{url: "${LEGACY_URL}"}', f"{{path: ., format: {form}}}")
    path = databases.write("tables:\n" + loads, header=HEADER if form == "tables" else header)
    variables = [f"--var={name}={value}" for name, value in databases.variables.items()]
    assert main(["migrate", str(path), "--json", *variables]) == 0, capsys.readouterr()
    summary: dict[str, Any] = json.loads(capsys.readouterr().out)
    for name, kind, values, count in CASES:
        expected = databases.target.rows(
            "SELECT n - 1, v::{}::text FROM unnest(ARRAY[{}]) WITH ORDINALITY t(v, n)".format(
                kind, ", ".join(f"'{value}'" for value in values[:count])
            )
        )
        assert databases.target.rows(f"SELECT n, v::text FROM {name} ORDER BY n") == expected, kind
        assert summary["tables"][name]["rejected"] == len(values) - count, kind


BETWEEN = (
    # Types of source and target, values, what is written, and how many rows are rejected.
    ("numeric(10,3)", "money", ("12.300", "-0.01", "0.005"), ["$12.30", "-$0.01"], 1),
    ("float8", "money", ("12.5", "1e30", "0.1"), ["$0.10", "$12.50"], 1),
    ("int", "money", ("1234",), ["$1,234.00"], 0),
    ("money", "numeric", ("-1234567.89", "0.01"), ["0.01", "-1234567.89"], 0),
    ("money", "int", ("1234", "0.50"), ["1234"], 1),
    ("money", "float8", ("-0.25",), ["-0.25"], 0),
    ("float8", "numeric(3,-2)", ("100", "1e4", "150", "NaN", "1e30"), ["100", "10000", "NaN"], 2),
    ("float4", "numeric(2,4)", ("0.0012", "0.1"), ["0.0012"], 1),
    ("numeric", "numeric(3,-2)", ("100.0", "100.5", "1e6"), ["100"], 2),
    ("numeric(3,-2)", "numeric(3,-2)", ("99900",), ["99900"], 0),
    ("numeric(3,-2)", "int", ("99900",), ["99900"], 0),
    ("int", "numeric(3,-2)", ("-1200", "1"), ["-1200"], 1),
)


@pytest.mark.slow
def test_the_remedy_of_a_refusal_between_types_works(databases: TwoDatabases) -> None:
    """Where two types need a decision, the message has the expression that makes it."""
    loads, decided = {}, 0
    for number, (one, other, values, _, _) in enumerate(BETWEEN):
        rows = ", ".join(f"('{value}')" for value in values)
        databases.legacy.run(
            f"CREATE TABLE t{number} (v {one}); INSERT INTO t{number} VALUES {rows}"
        )
        databases.target.run(f"CREATE TABLE t{number} (v {other})")
        loads[number] = f"  t{number}: {{from: t{number}, copy: [v]}}"
    error = databases.refused("\n".join(["tables:", *loads.values()]) + "\n")
    for problem in error.problems:
        number = int(problem.where.partition("tables.t")[2].partition(".")[0])
        expression = problem.remedy.partition("sql: ")[2].replace("COLUMN", "v")
        loads[number] = f"  t{number}: {{from: t{number}, fields: {{v: {{sql: {expression}}}}}}}"
        decided += 1
    assert decided == 6
    summary = databases.migrate("\n".join(["tables:", *loads.values()]) + "\n").summary
    for number, (one, other, _, written, rejected) in enumerate(BETWEEN):
        found = databases.target.values(f"SELECT v::text FROM t{number}")
        assert sorted(found) == sorted(written), (one, other)
        assert summary.tables[f"t{number}"].rejected == rejected, (one, other)
