"""Maps from files and queries, from the specification to the target's rows."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys

import pytest

from pipelines import ViolationFilter, read_specification, replay
from pipelines.cli.main import main
from pipelines.ledger.job_ledger import JobLedger
from schemas.errors import ErrorCode, ExitStatus, TransfuseError
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.jobs.broken_specifications import line_of
from tests.support.jobs.people_and_visits import SMALL
from tests.support.jobs.small_hospital import run_json
from tests.support.runs import other_processes

Capsys = pytest.CaptureFixture[str]

LEGACY = """
CREATE TABLE mrn_merge (old_mrn text, new_mrn text);
INSERT INTO mrn_merge VALUES ('P1', 'P2'), ('P2', 'P3'), ('P9', 'P9'), (NULL, 'P9');
CREATE TABLE patients (mrn text PRIMARY KEY);
INSERT INTO patients VALUES ('P3'), ('P4'), ('P9');
CREATE TABLE results (id int PRIMARY KEY, mrn text, hospital char(4), code int, site numeric(4,2));
INSERT INTO results VALUES (1, 'P1', 'GH', 7, 1), (2, 'P2', 'GH', 8, 2), (3, 'P4', 'WEST', 7, 3),
    (4, 'P7', 'GH', 7, 1), (5, 'P9', '', 7, NULL), (6, 'P9', 'GH', NULL, 1), (7, 'P9', 'GH', 9, 1);
"""

TARGET = """
CREATE TABLE facilities (code numeric(4,2), id int);
INSERT INTO facilities VALUES (1, 11), (2, NULL);
CREATE TABLE patients (mrn text PRIMARY KEY);
CREATE TABLE results (id int PRIMARY KEY, mrn text NOT NULL REFERENCES patients, loinc text,
    code_map text, facility int, name text, code int);
"""

LAB = "hospital,code,remark,loinc\nGH,7,potassium,2823-3\nGH,8,,\nWEST,7,,NA\nWEST,7,again,NA\n"

SPECIFICATION = """
maps:
  local_lab: {csv: lab2loinc.csv, from: [hospital, code], to: loinc}
  facility: {query: {target: "select code, id from facilities;"}, on_unmapped: {default: "99"}}
  survivor: {query: "select old_mrn, new_mrn from mrn_merge -- all", chain: true,
    on_unmapped: keep}
  name: {csv: names.csv.gz, on_unmapped: set_null}
  nothing: {query: "select null::int, null::bytea from mrn_merge", on_unmapped: keep}
tables:
  patients: {from: patients, key: [mrn], copy: [mrn]}
  results:
    from: results
    key: [id]
    copy: [id]
    fields:
      mrn: {from: mrn, map: survivor, ref: patients}
      loinc: {from: [hospital, code], transform: trim, map: local_lab, into: {code_map: map}}
      facility: {from: site, map: facility, type: int}
      name: {sql: "lower(hospital)", map: name}
      code: {from: code, map: nothing}
"""


def prepare(databases: TwoDatabases) -> None:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    (databases.folder / "lab2loinc.csv").write_text(LAB, encoding="utf-8-sig")
    (databases.folder / "names.csv.gz").write_bytes(gzip.compress(b"code,name\ngh,General\n"))


def test_files_and_queries_of_source_and_target(databases: TwoDatabases) -> None:
    prepare(databases)
    databases.migrate(SPECIFICATION)
    label = databases.target.row("SELECT maps ->> 'local_lab' FROM migration.migration_jobs")[0]
    assert label.startswith("local_lab/sha256:")
    assert databases.target.rows("TABLE results ORDER BY id") == [
        (1, "P3", "2823-3", label, 11, "General", 7),
        # Known, and nothing: of a file the empty text, of a query NULL.
        (2, "P3", None, label, None, "General", 8),
        (3, "P4", "NA", label, 99, None, 7),
        (5, "P9", None, None, None, None, 7),
        (6, "P9", None, None, 11, "General", None),
    ]
    assert databases.errors() == [
        ("results", "4", "DATA-002", "mrn.ref", "missing_parent"),
        ("results", "7", "TRANS-002", "loinc.map", "unknown_value"),
    ]
    assert databases.warnings() == [("results", "3", "TRANS-002", "name.map", "unknown_value")]
    assert databases.migrate(SPECIFICATION).already


UNDECIDED = (
    """
maps:
  file: {csv: undecided.csv}
  query: {query: {target: "values ('A', 'a'), ('B', NULL), ('C', ' '), ('D', E'\\t')"}}
  chain:
    query: {target: "values ('A', 'B'), ('B', 'C'), ('C', '')"}
    chain: true
    on_unmapped: keep
  pairs: {values: {A: a, B: "", C: "  ", D: null}}
  default: {values: {A: a}, on_unmapped: {default: " "}}
tables:
"""
    + "".join(
        f"""  {name}:
    from: codes
    into: required
    key: [id, map]
    copy: [id]
    fields: {{map: {{const: {name}}}, value: {{from: code, map: {name}}}}}
"""
        for name in ("file", "query", "chain", "pairs", "default")
    )
    + """
  keys: {from: codes, key: [value], copy: [id], fields: {value: {from: code, map: file}}}
  optional:
    from: codes
    key: [id]
    copy: [id]
    fields: {value: {from: code, map: pairs}, other: {from: code, map: file, default: none}}
  kept:
    from: codes
    key: [id]
    copy: [id]
    fields: {value: {from: code, map: pairs}, other: {from: code, map: file}}
    defaults: {blank: keep}
"""
)


def test_blank_results_of_maps_are_missing(databases: TwoDatabases, capsys: Capsys) -> None:
    databases.legacy.run(
        "CREATE TABLE codes (id int PRIMARY KEY, code text);"
        "INSERT INTO codes VALUES (1, 'A'), (2, 'B'), (3, 'C'), (4, 'D')"
    )
    databases.target.run(
        "CREATE TABLE required (id int, map text, value text NOT NULL, PRIMARY KEY (id, map));"
        "CREATE TABLE keys (value text PRIMARY KEY, id int);"
        "CREATE TABLE optional (id int PRIMARY KEY, value text, other text);"
        "CREATE TABLE kept (id int PRIMARY KEY, value text, other text)"
    )
    content = 'code,value\nA,a\nB,\nC,"  "\nD,\n'
    (databases.folder / "undecided.csv").write_text(content, encoding="utf-8")
    databases.write(UNDECIDED)
    plan = run_json(databases, capsys, ["plan", "SPEC"])
    outcome = databases.migrate(UNDECIDED)
    assert plan["violations"] == outcome.summary.violations == {"DATA-001": 18}
    # What a chain keeps isn't blank: D.
    assert databases.target.rows("SELECT map, id, value FROM required ORDER BY 1, 2") == [
        ("chain", 4, "D"),
        *((name, 1, "a") for name in ("default", "file", "pairs", "query")),
    ]
    assert set(databases.errors("error_code, rule_id, reason, warning")) == {
        ("DATA-001", "value.required", "missing", False)
    }
    assert databases.target.rows("TABLE keys") == [("a", 1)]
    assert databases.target.rows("TABLE optional ORDER BY id") == [
        (1, "a", "a"),
        *((n, None, "none") for n in (2, 3, 4)),
    ]
    assert databases.target.rows("TABLE kept ORDER BY id") == [
        (1, "a", "a"),
        (2, "", ""),
        (3, "  ", "  "),
        (4, None, ""),
    ]


@pytest.mark.slow
def test_plan_and_try_use_the_same_maps(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(databases)
    path = databases.write(SPECIFICATION)
    given = [f"--var={name}={value}" for name, value in databases.variables.items()]
    assert main(["plan", str(path), "--json", *given]) == 0
    plan = json.loads(capsys.readouterr().out)
    outcome = databases.migrate(SPECIFICATION)
    assert plan["violations"] == outcome.summary.violations
    assert plan["warnings"] == outcome.summary.warnings
    assert main(["try", str(path), "results", "--key", "1", "--json", *given]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    label = databases.target.row("SELECT maps ->> 'local_lab' FROM migration.migration_jobs")[0]
    assert row == {
        "id": "1",
        "mrn": "P3",
        "loinc": "2823-3",
        "code_map": label,
        "facility": "11",
        "name": "General",
        "code": "7",
    }


@pytest.mark.slow
def test_workers_in_other_processes_get_the_tables(databases: TwoDatabases) -> None:
    prepare(databases)
    path = databases.write(SPECIFICATION)
    flags = other_processes.FLAGS
    ended = subprocess.run(
        [sys.executable, "-m", "pipelines", "migrate", str(path), *flags],
        env={**os.environ, **databases.variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    written = databases.target.rows("SELECT mrn, loinc FROM results WHERE id < 4 ORDER BY id")
    assert written == [("P3", "2823-3"), ("P3", None), ("P4", "NA")]
    # They hold keys of patients, and nobody needs them any more.
    assert databases.target.row("SELECT count(*) FROM migration.migration_maps") == (0,)


LEFT = (
    "INSERT INTO migration.migration_maps SELECT job_id, 'mrn', 'rows', '', 'P3'"
    " FROM migration.migration_jobs"
)
"""What a run or replay that was killed on a cluster leaves behind: keys of patients."""

LEFT_BY_A_RUN = f"{LEFT}; UPDATE migration.migration_jobs SET state = 'running'"


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", ["", "; UPDATE migration.migration_loads SET settled = false"], ids=["done", "not done"]
)
def test_the_next_run_removes_what_one_that_was_killed_has_left(
    databases: TwoDatabases, more: str
) -> None:
    prepare(databases)
    databases.migrate(SPECIFICATION)
    databases.target.run(LEFT_BY_A_RUN + more)
    databases.migrate(SPECIFICATION)
    assert databases.target.row("SELECT count(*) FROM migration.migration_maps") == (0,)


@pytest.mark.slow
def test_what_a_replay_that_was_killed_has_left_goes_once_nobody_has_the_job(
    databases: TwoDatabases,
) -> None:
    prepare(databases)
    databases.migrate(SPECIFICATION)
    databases.target.run(LEFT)
    path = databases.write(SPECIFICATION)
    specification = read_specification(path, databases.variables)
    with databases.target.another() as held, JobLedger(held, specification).lock.hold():
        assert databases.migrate(SPECIFICATION).already
        assert databases.target.row("SELECT count(*) FROM migration.migration_maps") == (1,)
    assert databases.migrate(SPECIFICATION).already
    assert databases.target.row("SELECT count(*) FROM migration.migration_maps") == (0,)
    databases.target.run(LEFT)
    replay(specification, ViolationFilter())
    assert databases.target.row("SELECT count(*) FROM migration.migration_maps") == (0,)


SEVERAL = """
job: several
sources: {adt: {url: "${LEGACY_URL}"}, lab: {url: "${LEGACY_URL}"}}
target: {url: "${TARGET_URL}", control_schema: migration}
maps:
  merged: {query: {source: adt, query: "select site, old, new from merged"}}
  number: {query: {source: lab, query: "select no, kind from kinds"}, on_unmapped: keep}
tables:
  people:
    from: {source: adt, table: people}
    source_key: mrn
    key: [id]
    copy: [mrn]
    fields:
      id: {generate: sequence}
      twin: {from: [site, old], map: merged, ref: people, deferred: true, on_missing: set_null}
  visits:
    from: {source: adt, table: visits}
    key: [id]
    copy: [id]
    fields:
      person: {from: [site, mrn], transform: upper, map: merged, ref: people}
      kind: {sql: "id + 1", map: number, default: none}
"""


@pytest.mark.slow
def test_keys_of_two_columns_lead_to_keys_that_were_made(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE merged (site int, old text, new text);"
        "INSERT INTO merged VALUES (1, 'A', 'P1'), (2, 'A', 'P2'), (2, 'B', NULL), (2, 'C', 'P3');"
        "CREATE TABLE kinds (no int, kind text); INSERT INTO kinds VALUES (2, 'in'), (3, NULL);"
        "CREATE TABLE people (mrn text PRIMARY KEY, site int, old text);"
        "INSERT INTO people VALUES ('P1', 2, 'A'), ('P2', 1, NULL), ('P4', 2, 'C');"
        "CREATE TABLE visits (id int PRIMARY KEY, site int, mrn text);"
        "INSERT INTO visits VALUES (1, 1, 'a'), (2, 2, 'a'), (3, 2, 'b'), (4, 2, 'c'),"
        " (5, 1, 'c'), (6, NULL, 'a')"
    )
    databases.target.run(
        "CREATE TABLE people (id int PRIMARY KEY, mrn text, twin int REFERENCES people);"
        "CREATE TABLE visits (id int PRIMARY KEY, person int REFERENCES people, kind text)"
    )
    databases.migrate(SEVERAL, header="")
    assert databases.target.rows(
        "SELECT p.mrn, t.mrn FROM people p LEFT JOIN people t ON t.id = p.twin ORDER BY 1"
    ) == [("P1", "P2"), ("P2", None), ("P4", None)]
    assert databases.target.rows(
        "SELECT v.id, mrn, kind FROM visits v LEFT JOIN people p ON p.id = v.person ORDER BY 1"
    ) == [(1, "P1", "in"), (2, "P2", "none"), (3, None, "4"), (6, None, "7")]
    assert databases.errors() == [
        ("visits", "4", "DATA-002", "person.ref", "missing_parent"),
        ("visits", "5", "TRANS-002", "person.map", "unknown_value"),
    ]


# -- what can't be used -------------------------------------------------------------------------

MAP_OF_RESULTS = """
maps:
  m: %s
tables:
  results:
    from: results
    key: [id]
    copy: [id, mrn]
    fields: {loinc: {from: %s, map: m}}
"""

CONTRADICTION = "select * from (values ('P1', 'one'), ('P1', 'two'), ('P1', null)) v"
CIRCLE = "select * from (values ('P1', 'P2'), ('P2', 'P1'), ('P7', 'P1'), ('P8', 'P8')) v"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "columns", "place", "message"),
    [
        ("{csv: absent.csv}", "mrn", "maps.m.csv", "can't be read: No such file"),
        ("{csv: ok.csv, to: c}", "mrn", "maps.m.csv", "has no column 'c' (*ok.csv:1)"),
        ("{csv: bad.csv}", "mrn", "maps.m.csv", "has the key of line 2 and another value (*:3)"),
        ("{csv: ok.csv, from: [a, b], to: a}", "[mrn, code]", "maps.m.csv", "key and value"),
        ("{query: select 1 from nowhere}", "mrn", "maps.m.query", 'relation "nowhere" does not'),
        ("{query: {target: selec 1}}", "mrn", "maps.m.query.target", "the target refuses"),
        ("{query: select mrn from patients}", "mrn", "maps.m.query", "gives one column"),
        (f'{{query: "{CONTRADICTION}"}}', "mrn", "maps.m.query", "2 rows of the query have"),
        (
            f'{{query: "{CIRCLE}", chain: true}}',
            "mrn",
            "maps.m.query",
            "chains of keys that have no end: 1, the first of them through 2 keys",
        ),
        ("{query: 'select mrn, 1/(id-7) from results'}", "mrn", "maps.m.query", "SQLSTATE 22012"),
        (
            '{query: {target: "select a.mrn, a.mrn from results_seen a"}}',
            "mrn",
            "maps.m.query.target",
            "the query reads public.results, which 'results' fills",
        ),
        (
            "{query: 'select 1, 2, 3'}",
            "mrn",
            "tables.results.fields.loinc.from",
            "has 2 columns, of which this gives 1",
        ),
        (
            "{query: 'select 1, 2, 3', on_unmapped: keep, chain: true}",
            "[mrn, code]",
            "maps.m.chain",
            "a chain needs keys of one column",
        ),
        (
            "{csv: ok.csv}",
            "mrn, into: {code_map: flags}",
            "tables.results.fields.loinc.into.code_map",
            "the map 'm' gives no 'flags'",
        ),
        (
            "{csv: ok.csv, from: [a, b], to: b, on_unmapped: keep}",
            "[mrn, code]",
            "maps.m.on_unmapped",
            "can't be kept where it is a key of 2 columns",
        ),
    ],
)  # fmt: skip
def test_a_map_that_cannot_be_read_is_told_with_its_place(
    databases: TwoDatabases, entry: str, columns: str, place: str, message: str
) -> None:
    prepare(databases)
    databases.target.run("CREATE VIEW results_seen AS SELECT * FROM results")
    (databases.folder / "ok.csv").write_text("a,b\nP1,1\n")
    (databases.folder / "bad.csv").write_text("a,b\nP1,1\nP1,2\n")
    text = MAP_OF_RESULTS % (entry, columns)
    error = databases.refused(text)
    problem = error.problems[0]
    assert (problem.code, problem.remedy != "") == (ErrorCode.SYS_004, True)
    file, _, told = problem.where.partition(" ")
    assert told == place
    line = line_of("  m: " if place.startswith("maps") else "fields:", HEADER + text)
    assert file.endswith(f":{line}")
    parts = message.split("*")
    assert all(part in problem.message for part in parts), problem.message
    assert "P1" not in str(error)
    assert databases.target.row("SELECT to_regclass('migration.migration_jobs')") == (None,)


def test_what_is_wrong_with_maps_and_fields_is_told_at_once(databases: TwoDatabases) -> None:
    prepare(databases)
    (databases.folder / "lab2loinc.csv").write_text("hospital;code;loinc\nGH;7;2823-3\n")
    text = SPECIFICATION.replace("select code, id from", "select cod, id from")
    error = databases.refused(text.replace("{from: mrn, map", "{from: mnr, map"))
    assert [p.where.partition(" ")[2] for p in error.problems] == [
        "maps.facility.query.target",
        "maps.local_lab.csv",
        "maps.local_lab.csv",
        "maps.local_lab.csv",
        "tables.results.fields.mrn.from",
    ]


def test_a_role_that_may_not_read_what_a_map_is_made_of(databases: TwoDatabases) -> None:
    prepare(databases)
    databases.legacy.run(
        "CREATE ROLE maps_reader LOGIN; GRANT SELECT ON results, patients TO maps_reader"
    )
    try:
        url = databases.legacy.url.replace("postgres@", "maps_reader@")
        error = databases.refused(SPECIFICATION, HEADER.replace("${LEGACY_URL}", url))
    finally:
        databases.legacy.run("DROP OWNED BY maps_reader; DROP ROLE maps_reader")
    assert {(p.code, p.where.rpartition(" ")[2]) for p in error.problems} == {
        (ErrorCode.USER_002, "maps.nothing.query"),
        (ErrorCode.USER_002, "maps.survivor.query"),
    }


# -- a job that goes on -------------------------------------------------------------------------

UNFINISHED = """
maps:
  kind: {csv: kinds.csv}
  number: {query: "select i, n from numbers"}
tables:
  d:
    from: d
    key: [id]
    copy: [note]
    fields: {id: {from: id, map: number}, kind: {from: kind, map: kind}}
    rules: {FIRST: id > 1}
"""

STOPPING = SMALL + "errors: {budget: {rejected: 0}}\n"


def unfinished(databases: TwoDatabases) -> None:
    """A job that has stopped with some of its rows written."""
    databases.legacy.run(
        "CREATE TABLE d AS SELECT i AS id, 'a' AS kind, repeat('n', 99) AS note"
        " FROM generate_series(1, 9999) i;"
        "CREATE TABLE numbers AS SELECT i, i AS n FROM generate_series(1, 9999) i"
    )
    databases.target.run("CREATE TABLE d (id int PRIMARY KEY, kind text, note text)")
    (databases.folder / "kinds.csv").write_text("key,kind\na,one\nb,two\n")
    databases.migrate(UNFINISHED, header=STOPPING, expected=ExitStatus.STOPPED)


@pytest.mark.slow
def test_a_job_goes_on_with_the_same_content_in_another_order(databases: TwoDatabases) -> None:
    unfinished(databases)
    databases.legacy.run("UPDATE numbers SET n = n WHERE i < 5000")
    (databases.folder / "kinds.csv").unlink()
    with pytest.raises(TransfuseError) as raised:
        databases.migrate(UNFINISHED, header=STOPPING)
    # The specification is what it was.
    assert raised.value.status is ExitStatus.INCOMPLETE
    assert raised.value.problems[1].where.endswith("maps.kind.csv")
    (databases.folder / "kinds.csv").write_text("key,kind\nb,two\na,one\na,one\n")
    databases.migrate(UNFINISHED, header=SMALL)
    assert databases.target.rows("SELECT kind, count(*) FROM d GROUP BY 1") == [("one", 9998)]


@pytest.mark.slow
def test_a_job_does_not_go_on_with_another_content_unless_it_is_accepted(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished(databases)
    (databases.folder / "kinds.csv").write_text("key,kind\na,uno\n")
    databases.legacy.run("UPDATE numbers SET n = -n WHERE i > 5000")
    kind, number = databases.refused(UNFINISHED, SMALL).problems
    assert kind.code is number.code is ErrorCode.USER_003
    assert kind.where.endswith("maps.kind")
    assert "kind/sha256:" in kind.message
    assert "--accept-changes" in kind.remedy
    # The key is made of it.
    assert number.where.endswith("maps.number")
    assert "--accept-changes" not in number.remedy
    databases.legacy.run("UPDATE numbers SET n = i")
    path = databases.write(UNFINISHED, SMALL)
    given = [f"--var={name}={value}" for name, value in databases.variables.items()]
    assert main(["migrate", str(path), "--accept-changes", *given]) == 0, capsys.readouterr().err
    kinds = databases.target.rows("SELECT kind, count(*) > 0 FROM d GROUP BY 1 ORDER BY 1")
    assert kinds == [("one", True), ("uno", True)]
    # Of what is complete nothing is written differently any more.
    (databases.folder / "kinds.csv").write_text("key,kind\na,due\n")
    assert databases.migrate(UNFINISHED, header=SMALL).already


@pytest.mark.slow
def test_a_load_of_which_nothing_is_written_begins_with_the_new_content(
    databases: TwoDatabases,
) -> None:
    """Its duplicates are searched for again."""
    databases.legacy.run(
        "CREATE TABLE first AS SELECT 1 AS id;"
        "CREATE TABLE second AS SELECT 1 AS first, i AS id FROM generate_series(1, 3) i"
    )
    databases.target.run(
        "CREATE TABLE first (id int PRIMARY KEY);"
        "CREATE TABLE second (id int PRIMARY KEY, first int REFERENCES first)"
    )
    (databases.folder / "ids.csv").write_text("a,b\n1,1\n2,1\n3,3\n")
    text = (
        "maps: {ids: {csv: ids.csv}}\n"
        "tables:\n  first: {from: first, key: [id], copy: [id]}\n"
        "  second: {from: second, key: [id],"
        " fields: {id: {from: id, map: ids}, first: {from: first, ref: first}}}\n"
    )
    databases.target.fill_up("second")
    databases.migrate(text, expected=ExitStatus.INCOMPLETE)
    databases.target.make_room("second")
    (databases.folder / "ids.csv").write_text("a,b\n1,1\n2,3\n3,3\n")
    databases.migrate(text)
    assert databases.target.rows("SELECT id FROM second ORDER BY 1") == [(1,), (3,)]
    assert databases.errors("error_code, reason") == [("DATA-004", "duplicate")]
