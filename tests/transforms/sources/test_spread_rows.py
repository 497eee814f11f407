"""Rows of which several candidates are made: columns that are unpivoted, cells that are split."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pipelines.cli.main import main
from schemas.errors import ExitStatus
from tests.support.databases.two_databases import HEADER, Database, Row, TwoDatabases

CLAIMS = """
CREATE TABLE claims (id int PRIMARY KEY, patient text, dx1 text, dx2 text, dx3 text,
    poa1 char(1), poa3 char(1));
INSERT INTO claims VALUES (1, 'A', '4019', NULL, '25000', 'Y', 'N'),
    (2, 'B', ' ', '', NULL, 'Y', NULL), (3, 'C', NULL, '496', '', NULL, 'N'),
    (4, 'D', NULL, NULL, NULL, NULL, NULL);
"""

TARGET = """
CREATE TABLE diagnoses (claim int, seq int, code text CHECK (code <> '496'), poa text, patient text,
    PRIMARY KEY (claim, seq))
"""

LOAD = """
tables:
  diagnoses:
    from:
      table: claims
      unpivot: {position: seq, columns: {dx: "dx{n}", poa: "poa{n}"}, empty: %s}
    key: [claim, seq]
    fields:
      claim: {from: id}
      seq: {from: seq}
      code: {from: dx, required: true}
      poa: {from: poa}
      patient: {from: patient}
"""

Verb = Callable[..., dict[str, Any]]


@pytest.fixture
def verb(databases: TwoDatabases, capsys: pytest.CaptureFixture[str]) -> Verb:
    """Runs a verb with ``--json``; the document."""

    def run(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        variables = [f"--var={name}={url}" for name, url in databases.variables.items()]
        path = str(databases.folder / "specification.yaml")
        given = [path if word == "SPEC" else word for word in words]
        assert main([*given, "--json", *variables]) == ExitStatus.COMPLETE
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run


def errors(databases: TwoDatabases) -> list[Row]:
    return databases.target.rows(
        "SELECT source_key, error_code, reason FROM migration.migration_errors ORDER BY 1"
    )


@pytest.mark.parametrize("empty", ["skip", "reject"])
def test_columns_of_a_row_become_candidates(
    databases: TwoDatabases, verb: Verb, empty: str
) -> None:
    databases.legacy.run(CLAIMS)
    databases.target.run(TARGET)
    summary = databases.migrate(LOAD % empty).summary.tables["diagnoses"]
    rejects = empty == "reject"
    assert (summary.read, summary.empty) == (4, 0 if rejects else 2)
    assert (summary.candidates, summary.accepted) == (5 if rejects else 3, 2)
    assert databases.target.rows("TABLE diagnoses ORDER BY claim, seq") == [
        (1, 1, "4019", "Y", "A"),
        (1, 3, "25000", "N", "A"),
    ]
    refused = ('["3","2"]', "TRANS-004", "check_violation")
    without = [("2", "DATA-001", "empty"), ("4", "DATA-001", "empty")] if rejects else []
    assert errors(databases) == sorted([refused, *without])
    (identifier,) = databases.target.values(
        "SELECT id::text FROM migration.migration_errors WHERE error_code = 'TRANS-004'"
    )
    shown = verb("rejects", "show", "SPEC", identifier, "--source")
    assert shown["source"]["dx2"] == "496"
    tried = verb("try", "SPEC", "diagnoses", "--key", '["1","3"]')
    assert tried["rows"] == [
        {"claim": "1", "seq": "3", "code": "25000", "poa": "N", "patient": "A"}
    ]
    tried = verb("try", "SPEC", "diagnoses", '{"id": 9, "seq": 2, "dx": "V3000"}')
    assert tried["rows"][0]["code"] == "V3000"
    planned = verb("plan", "SPEC")
    assert planned["rows"] == 4


def test_parts_of_a_cell_become_candidates(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE notes (id int PRIMARY KEY, codes text);"
        "INSERT INTO notes VALUES (1, '253.2, E23.0'), (2, NULL), (3, ' ,, '), (4, 'X;Y')"
    )
    databases.target.run("CREATE TABLE codes (id int, n int, code text)")
    load = """
tables:
  codes:
    from: {table: notes, split: {column: codes, by: ",", into: code, position: n}}
    copy: [id, n, code]
"""
    summary = databases.migrate(load).summary.tables["codes"]
    assert (summary.read, summary.empty, summary.candidates) == (4, 2, 3)
    assert databases.target.rows("TABLE codes ORDER BY id, n") == [
        (1, 1, "253.2"),
        (1, 2, "E23.0"),
        (4, 1, "X;Y"),
    ]


@pytest.mark.slow
def test_many_rows_of_a_file_with_malformed_lines(databases: TwoDatabases) -> None:
    """Partitions, places and duplicates: the result is that of a plain loop."""
    lines = ["id,dx1,dx2,dx3"]
    expected: dict[tuple[int, int], list[int]] = {}
    for number in range(1, 3001):
        codes = [f"c{number % 7}" if number % k else "" for k in (2, 3, 5)]
        if number % 100 == 0:
            lines.append(f"{number},too,few")
            continue
        lines.append(",".join([str(number), *codes]))
        for position, code in enumerate(codes, start=1):
            if code:
                expected.setdefault((number % 1500, position), []).append(number)
    (databases.folder / "claims.csv").write_text("\n".join(lines) + "\n")
    databases.target.run("CREATE TABLE t (k int, n int, id int, code text, PRIMARY KEY (k, n))")
    load = """
tables:
  t:
    from: {file: claims.csv, unpivot: {position: n, columns: {dx: "dx{n}"}}}
    key: [k, n]
    duplicates: {keep: last, order: ["id::int"]}
    fields:
      k: {sql: "id::int % 1500"}
      n: {from: n}
      id: {from: id, type: int}
      code: {from: dx}
"""
    header = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: csv}")
    header = header.replace("limits: {", "limits: {memory: 2MB, ")
    summary = databases.migrate(load, header=header).summary
    found = summary.tables["t"]
    candidates = sum(len(numbers) for numbers in expected.values())
    assert found.partitions > 1
    assert (found.read, found.candidates) == (3000, candidates + 30)
    assert summary.violations == {"DATA-001": 30, "DATA-004": candidates - len(expected)}
    assert databases.target.rows("SELECT k, n, id FROM t ORDER BY k, n") == [
        (k, n, max(of)) for (k, n), of in sorted(expected.items())
    ]


@pytest.mark.slow
def test_candidates_of_a_file_are_found_again(databases: TwoDatabases, verb: Verb) -> None:
    (databases.folder / "clé.csv").write_text("id,dx1,dx2\n1,4019,\n2,,496\n3,\u00a0, \n")
    databases.target.run(TARGET)
    load = """
tables:
  diagnoses:
    from: {file: clé.csv, unpivot: {position: seq, columns: {dx: "dx{n}"}}}
    key: [claim, seq]
    fields: {claim: {from: id, type: int}, seq: {from: seq}, code: {from: dx}}
"""
    header = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: csv}")
    databases.migrate(load, header=header)
    # A no-break space is a character, as everywhere.
    assert databases.target.rows("SELECT claim, seq, code FROM diagnoses ORDER BY 1") == [
        (1, 1, "4019"),
        (3, 1, "\u00a0"),
    ]
    key, identifier = databases.target.row(
        "SELECT source_key, id::text FROM migration.migration_errors"
    )
    assert json.loads(key) == ["clé.csv", "3", "2"]
    assert verb("rejects", "show", "SPEC", identifier, "--source")["source"]["dx2"] == "496"
    assert verb("try", "SPEC", "diagnoses", "--key", key)["verdict"] == "accepted"


@pytest.mark.slow
def test_a_cell_that_cannot_be_represented(databases: TwoDatabases, server: str) -> None:
    name = "spread_ascii"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(f"CREATE DATABASE {name} ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0")
        try:
            legacy = Database(databases.legacy.url.replace(databases.legacy.name, name))
            legacy.run(
                "SET client_encoding = SQL_ASCII;"
                "CREATE TABLE notes (id int PRIMARY KEY, codes text);"
                "INSERT INTO notes VALUES (1, 'a,b'), (2, E'\\xe9,c')"
            )
            databases.target.run("CREATE TABLE codes (id int, n int, code text)")
            load = """
tables:
  codes:
    from: {table: notes, split: {column: codes, into: code, position: n}}
    copy: [id, n, code]
"""
            odd = TwoDatabases(legacy, databases.target, databases.folder)
            summary = odd.migrate(load).summary
            assert summary.tables["codes"].empty == 0
            assert summary.violations == {"DATA-003": 1}
            legacy.connection.close()
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


WRONG = {
    "no such column": (
        'unpivot: {columns: {dx: "icd{n}"}}',
        "TRANS-001",
        "no column that 'icd{n}'",
    ),
    "no number": ('unpivot: {columns: {dx: "dx"}}', "SYS-004", "{n} once"),
    "different types": ("unpivot: {columns: {dx: [dx1, id]}}", "TRANS-004", "different types"),
    "a known name": ('unpivot: {columns: {patient: "dx{n}"}}', "SYS-004", "'patient' already"),
    "both": (
        'unpivot: {columns: {dx: "dx{n}"}}, split: {column: dx1, into: x}',
        "SYS-004",
        "not both",
    ),
    "no text": ("split: {column: id, into: x}", "TRANS-004", "only text is split"),
    "no column to split": ("split: {column: dx9, into: x}", "TRANS-001", "no column 'dx9'"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_told(databases: TwoDatabases, case: str) -> None:
    spread, code, told = WRONG[case]
    databases.legacy.run(CLAIMS)
    databases.target.run(TARGET)
    relation = f"{{table: claims, {spread}}}"
    load = f"tables: {{diagnoses: {{from: {relation}, fields: {{claim: {{from: id}}}}}}}}"
    problems = databases.refused(load).problems
    assert any(p.code.value == code and told in p.message for p in problems), problems
    assert all("tables.diagnoses" in p.where for p in problems)
