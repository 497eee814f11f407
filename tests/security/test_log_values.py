"""Log files hold neither values of rows nor passwords, whatever fails and whatever is logged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict

from pipelines.cli.main import main
from tests.support.databases.two_databases import Database, TwoDatabases

PLANTED = re.compile(r"planted|918273|2077|a1b2c3d4|Gh7|9%25q|/x@")
"""Parts of the values of each column, and of the password; they occur nowhere else."""

PASSWORD = "Gh7/x@9%q"

LEGACY = """
CREATE TABLE stored (
    id text PRIMARY KEY, name text, age int, weight numeric, born text, seen timestamptz, mark uuid,
    raw bytea, extra jsonb, boss text);
INSERT INTO stored SELECT
    'planted-' || to_char(i, '00000'), CASE i % 97 WHEN 0 THEN '' ELSE 'planted ''Roe\\' || i END,
    918273000 + i, 918273.5 + i, CASE i % 89 WHEN 0 THEN '2077-13-01' ELSE '2077-01-31' END,
    '2077-01-01', 'a1b2c3d4-0000-0000-0000-000000000000', 'planted', '{"planted": 918273}',
    CASE i % 83 WHEN 0 THEN 'planted-nobody' END
FROM generate_series(1, 4000) AS i;
CREATE VIEW people AS SELECT * FROM stored;
"""

TARGET = """
CREATE TABLE people (
    id text PRIMARY KEY, name text NOT NULL, age int CHECK (age % 79 <> 0), weight numeric,
    born date, seen timestamptz, mark uuid, raw bytea, extra jsonb, boss text REFERENCES people);
CREATE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.age % 73 = 0 THEN RAISE EXCEPTION 'no: %', new USING DETAIL = new::text; END IF;
    RETURN new; END $$;
CREATE TRIGGER raises BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION raises();
CREATE TABLE names (name text PRIMARY KEY, weight numeric);
"""

TABLES = """
tables:
  people:
    from: people
    source_key: [id]
    partition: id
    key: [id]
    skip: {PLANTED: "name = 'planted 918273'"}
    copy: [id, weight, age, seen, mark, raw, extra]
    fields:
      name: {from: name, transform: 'own:function', required: true}
      born: {from: born, type: date, format: "%Y-%m-%d"}
      boss: {from: boss, ref: people, deferred: true}
    rules:
      NOT_PLANTED: {check: "age % 71 <> 0 OR name = 'planted 2077'", error: TRANS-003}
  names:
    from: {query: "SELECT id, weight, 'planted ' || age % 3999 AS name FROM people"}
    source_key: [id]
    partition: id
    key: [name]
    copy: [name, weight]
    duplicates: {keep: first, order: [weight]}
"""

FUNCTION = """
import logging

def function(names):
    for name in names.to_pylist():
        if name.endswith("7"):
            logging.getLogger("own").error("what is %s?", name)
            raise ValueError(name)
    return names
"""


def with_password(database: Database) -> str:
    host = conninfo_to_dict(database.url)["host"]
    return f"postgresql://postgres:{quote(PASSWORD, safe='')}@/{database.name}?host={host}"


class LoggedHospital:
    """Runs verbs with all that can be logged."""

    def __init__(self, databases: TwoDatabases) -> None:
        self.databases = databases
        self.folder = databases.folder / "log"
        self.path = databases.folder / "specification.yaml"

    def write(self, target: str) -> None:
        legacy = with_password(self.databases.legacy)
        self.path.write_text(
            f'job: moved\nsource: {{url: "{legacy}"}}\n'
            f'target: {{url: "{target}", control_schema: migration}}\n'
            f"limits: {{retry: {{attempts: 2, delay: 10ms}}, memory: 2621440}}\n{TABLES}"
        )

    def run(self, *arguments: str) -> int:
        words = [str(self.path) if word == "SPEC" else word for word in arguments]
        flags = ("--log-dir", str(self.folder), "--log-level=debug", "--log-queries")
        return main([*words, *flags])

    def logged(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.iterdir()))


@pytest.mark.slow
@pytest.mark.parametrize("debugging", ["", "1"])
def test_no_value_and_no_password_is_logged(
    databases: TwoDatabases, debugging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFUSE_DEBUG", debugging)
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    (databases.folder / "own.py").write_text(FUNCTION)
    hospital = LoggedHospital(databases)
    hospital.write(with_password(databases.target))
    assert hospital.run("plan", "SPEC", "--sample", "1000") == 0
    databases.target.fill_up("people", "new.age = 918274000")
    assert hospital.run("migrate", "SPEC") == 3
    databases.target.make_room("people")
    assert hospital.run("migrate", "SPEC") == 0
    assert hospital.run("rejects", "replay", "SPEC") == 0
    (violation,) = databases.target.values("SELECT min(id) FROM migration.migration_errors")
    assert hospital.run("rejects", "show", "SPEC", str(violation), "--source") == 0
    assert hospital.run("try", "SPEC", "people", "--key", "planted- 00005") == 0
    assert hospital.run("try", "SPEC", "people", "--key", "planted-nobody") == 2
    hospital.write(with_password(databases.target) + "&port=1")
    assert hospital.run("migrate", "SPEC") == 3
    assert_all_was_tried(databases, hospital.logged())
    assert not [line for line in hospital.logged().splitlines() if PLANTED.search(line)]


def assert_all_was_tried(databases: TwoDatabases, logged: str) -> None:
    """The values were in reach of the log: in statements, errors and messages."""
    codes = databases.target.values("SELECT DISTINCT error_code FROM migration.migration_errors")
    assert {*codes} >= {"DATA-001", "DATA-002", "DATA-003", "DATA-004", "TRANS-003", "TRANS-005"}
    predicates = databases.target.values("SELECT predicate FROM migration.migration_partitions")
    assert [text for text in predicates if "planted" in text]
    for text in (
        "SYS-005",
        "CONN-004",
        "own, line",
        "tried again in",
        "COPY ",
        "failed with ",
        "INSERT INTO",
    ):
        assert text in logged, text


def test_statements_of_a_small_run(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE t (id text PRIMARY KEY, n int);INSERT INTO t VALUES ('planted', 918273)"
    )
    databases.target.run("CREATE TABLE t (id text PRIMARY KEY, n int)")
    databases.write(
        "tables: {t: {from: t, key: [id], copy: [id, n], skip: {NONE: \"id = 'planted 2077'\"}}}"
    )
    hospital = LoggedHospital(databases)
    variables: Sequence[str] = [f"--var={n}={url}" for n, url in databases.variables.items()]
    assert hospital.run("migrate", "SPEC", *variables) == 0
    logged = hospital.logged()
    assert re.search(r"DEBUG \d+\.\d ms: SELECT \"id\"::text, \"n\" FROM \"public\".\"t\"", logged)
    assert not PLANTED.search(logged)
