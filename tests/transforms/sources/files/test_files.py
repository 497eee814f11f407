"""Sources that are files: every good row reaches the target, every malformed line is told."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.main import main
from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.two_databases import TwoDatabases
from transforms.sources.files.csv_file import OpenCsv

HEADER = """
job: files
source: {path: extract, format: csv}
target: {url: "${TARGET_URL}", control_schema: migration}
limits: {retry: {attempts: 1, delay: 10ms}, memory: 2MB}
"""

LOAD = """
tables:
  people:
    from: "people*.csv"
    key: [id]
    fields:
      id: {from: id, type: bigint}
      name: {from: name}
      born: {from: born, type: date, required: true}
      file: {from: _file}
      line: {from: _row, type: bigint}
"""

TARGET = "CREATE TABLE people (id bigint PRIMARY KEY, name text, born date, file text, line bigint)"


def extract(databases: TwoDatabases, **files: bytes | str) -> Path:
    """Writes files into the folder ``extract``; their names without ``.csv``."""
    folder = databases.folder / "extract"
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / f"{name}.csv").write_bytes(data)
    return folder


def lines(count: int, first: int = 1) -> str:
    return "".join(f'{i},"Name, {i}",1980-01-0{i % 9 + 1}\n' for i in range(first, first + count))


def test_files_of_several_partitions(databases: TwoDatabases) -> None:
    databases.target.run(TARGET)
    extract(
        databases,
        people1="id,name,born\n" + lines(5000),
        people2='name,born,id\n"a\nb",1980-02-01,6001\n,1980-02-02,6002\n"",1980-02-03,6003\n',
    )
    summary = databases.migrate(LOAD, header=HEADER).summary.tables["people"]
    assert (summary.read, summary.accepted, summary.written) == (5003, 5003, 5003)
    assert summary.partitions > 2
    rows = "SELECT id, name, born::text, file, line FROM people WHERE id IN (%s) ORDER BY id"
    assert databases.target.rows(rows % "1, 5000, 6001, 6002, 6003") == [
        (1, "Name, 1", "1980-01-02", "people1.csv", 2),
        (5000, "Name, 5000", "1980-01-06", "people1.csv", 5001),
        (6001, "a\nb", "1980-02-01", "people2.csv", 2),
        (6002, None, "1980-02-02", "people2.csv", 4),
        (6003, None, "1980-02-03", "people2.csv", 5),
    ]
    assert databases.target.row("SELECT count(DISTINCT id), sum(id) FROM people") == (
        5003,
        sum(range(1, 5001)) + 18006,
    )
    assert databases.migrate(LOAD, header=HEADER).already


BROKEN: dict[str, tuple[bytes, list[tuple[int, str]], list[int]]] = {
    "too few fields": (b"1,a,1980-01-01\n2,b\n3,c,1980-01-01\n", [(3, "too_few_fields")], [1, 3]),
    "too many fields": (
        b"1,a,1980-01-01\n2,b,1980-01-01,x\n3,c,1980-01-01\n",
        [(3, "too_many_fields")],
        [1, 3],
    ),
    "a blank within": (b"1,a,1980-01-01\n\n   \n3,c,1980-01-01\n", [(4, "too_few_fields")], [1, 3]),
    "a quote that isn't closed": (
        b'1,a,1980-01-01\n2,"b,1980-01-01\n3,c,1980-01-01\n4,d,1980-01-01\n',
        [(3, "unclosed_quote")],
        [1, 3, 4],
    ),
    "a quote that a later one closes": (
        b'1,"a,1980-01-01\n2,b,1980-01-01\n3,"c",1980-01-01\n4,d,1980-01-01\n',
        [(2, "unclosed_quote")],
        [2, 3, 4],
    ),
    "a quote that isn't closed at the end": (
        b'1,a,1980-01-01\n2,b,"1980-01-01',
        [(3, "unclosed_quote")],
        [1],
    ),
    "quotes within a value": (b'1,5" tube,1980-01-01\n2,the "x" ray,1980-01-01\n', [], [1, 2]),
    "text after a quote": (
        b'1,"5" tube",1980-01-01\n2,"a" ,1980-01-01\n3,c,1980-01-01\n',
        [(2, "text_after_quote"), (3, "text_after_quote")],
        [3],
    ),
    "bytes that aren't text": (
        b"1,a,1980-01-01\n2,\xe9,1980-01-01\n3,c,1980-01-01\n",
        [(3, "undecodable")],
        [1, 3],
    ),
    "several faults": (
        b'1,\xff,1980-01-01\n2\n3,"c\n4,d,1980-01-01,\n5,e,1980-01-01\n',
        [(2, "undecodable"), (3, "too_few_fields"), (4, "unclosed_quote"), (5, "too_many_fields")],
        [5],
    ),
    "newlines of several kinds": (
        b"1,a,1980-01-01\r\n2,b\r3,c,1980-01-01\n4,d,1980-01-01\r\n",
        [(3, "too_few_fields")],
        [1, 3, 4],
    ),
    "cut off": (b"1,a,1980-01-01\n2,b,1980-01-01\n3,c", [(4, "too_few_fields")], [1, 2]),
    "the header once more": (
        b"1,a,1980-01-01\nid,name,born\n2,b,1980-01-01\n",
        [(3, "conversion"), (3, "conversion")],
        [1, 2],
    ),
    "a NUL": (
        b"1,a,1980-01-01\n2,b\x00c,1980-01-01\n3,c,1980-01-01\n",
        [(3, "character_not_in_repertoire")],
        [1, 3],
    ),
    "another delimiter in one line": (
        b"1,a,1980-01-01\n2;b;1980-01-01\n3,c,1980-01-01\n",
        [(3, "too_few_fields")],
        [1, 3],
    ),
    "a newline within quotes, and a fault after it": (
        b'1,"a\nb\nc",1980-01-01\n2,b\n3,c,1980-01-01\n',
        [(5, "too_few_fields")],
        [1, 3],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BROKEN)
def test_a_malformed_line_is_told_and_the_others_go_on(databases: TwoDatabases, case: str) -> None:
    content, faults, good = BROKEN[case]
    databases.target.run(TARGET)
    extract(databases, people=b"id,name,born\n" + content)
    summary = databases.migrate(LOAD, header=HEADER).summary.tables["people"]
    assert databases.target.values("SELECT id FROM people ORDER BY id") == good
    told = databases.target.rows(
        "SELECT (source_key::json ->> 1)::int, reason FROM migration.migration_errors"
        " WHERE source_key::json ->> 0 = 'people.csv' ORDER BY 1, 2"
    )
    assert told == faults
    assert summary.read == len(good) + len({line for line, _ in faults})


def test_no_skip_and_no_key_takes_a_malformed_line(databases: TwoDatabases) -> None:
    """It has no value for a condition, nor for a key that is made of constants."""
    databases.target.run("CREATE TABLE people (id text PRIMARY KEY, name text)")
    extract(databases, people="id,name\n1,a\n2\n,c\n4,d\n")
    load = """
tables:
  people:
    from: people.csv
    key: [id]
    skip: {NOTHING: id is null}
    duplicates: {keep: first}
    fields: {id: {sql: "coalesce(nullif(id, '4'), '1')"}, name: {from: name}}
"""
    summary = databases.migrate(load, header=HEADER).summary
    people = summary.tables["people"]
    assert (people.candidates, people.accepted, people.rejected, people.skipped) == (4, 1, 2, 1)
    assert databases.target.rows("TABLE people") == [("1", "a")]
    assert summary.violations == {"DATA-001": 1, "DATA-004": 1}


def test_options(databases: TwoDatabases) -> None:
    databases.target.run("CREATE TABLE people (id bigint PRIMARY KEY, name text, born date)")
    extract(databases, people="1|'Zoë|'|NULL\n2|'NULL'|1980-01-01\n3|\"x|NA\n".encode("latin-1"))
    options = (
        "format: csv, delimiter: '|', quote: \"'\", encoding: latin-1, nulls: ['NULL', NA],"
        " header: false, columns: [id, name, born]"
    )
    load = """
tables:
  people:
    from: {file: people.csv}
    key: [id]
    fields: {id: {from: id, type: bigint}, name: {from: name}, born: {from: born, type: date}}
"""
    databases.migrate(load, header=HEADER.replace("format: csv", options))
    assert databases.target.rows("SELECT id, name, born::text FROM people ORDER BY id") == [
        (1, "Zoë|", None),
        (2, "NULL", "1980-01-01"),
        (3, '"x', None),
    ]


def test_a_compressed_file(databases: TwoDatabases) -> None:
    databases.target.run(TARGET)
    folder = extract(databases)
    (folder / "people.csv.gz").write_bytes(gzip.compress(("id,name,born\n" + lines(5000)).encode()))
    load = LOAD.replace("people*.csv", "people*.csv.gz")
    summary = databases.migrate(load, header=HEADER).summary.tables["people"]
    assert (summary.written, summary.partitions > 2) == (5000, True)
    whole = folder / "people.csv.gz"
    whole.write_bytes(whole.read_bytes()[:-2000])
    databases.target.run("DROP SCHEMA migration CASCADE; TRUNCATE people")
    problem = databases.refused(load, header=HEADER).problems[0]
    assert problem.code is ErrorCode.SYS_005
    assert "cut off (people.csv.gz)" in problem.message


@pytest.mark.slow
def test_a_file_that_changes_is_not_mixed(databases: TwoDatabases) -> None:
    databases.target.run(TARGET)
    folder = extract(databases, people="id,name,born\n" + lines(5000))
    databases.target.fill_up("people", "new.id = 4000")
    databases.migrate(LOAD, header=HEADER, expected=ExitStatus.INCOMPLETE)
    databases.target.make_room("people")
    with (folder / "people.csv").open("a") as file:
        file.write(lines(1, 9000))
    outcome = databases.migrate(LOAD, header=HEADER, expected=ExitStatus.INCOMPLETE)
    (problem,) = [p for p in outcome.problems if p.code is ErrorCode.SYS_005]
    assert "the file people.csv was written to" in problem.message


FAULTS = {
    "no file": ({}, "TRANS-004", "tables.people.from", "no file"),
    "no column": ({"people": "id,name\n1,a\n"}, "TRANS-001", "tables.people.fields.born", "born"),
    "another column": (
        {"people": "id,name,born\n", "people2": "id,name\n"},
        "TRANS-004",
        "tables.people.from",
        "people2.csv",
    ),
    "no header": ({"people": ""}, "TRANS-004", "tables.people.from", "no header"),
    "a name twice": ({"people": "id,name,id,born\n"}, "TRANS-004", "tables.people.from", "1 and 3"),
    "a column without a name": ({"people": "id,,born\n"}, "TRANS-004", "tables.people.from", "2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FAULTS)
def test_files_that_do_not_fit(databases: TwoDatabases, case: str) -> None:
    files, code, where, told = FAULTS[case]
    databases.target.run(TARGET)
    extract(databases, **files)
    problem = databases.refused(LOAD, header=HEADER).problems[0]
    assert problem.code.value == code
    assert where in problem.where
    assert told in str(problem)


@pytest.mark.slow
def test_options_that_change_are_not_mixed(databases: TwoDatabases) -> None:
    databases.target.run(TARGET)
    extract(databases, people="id,name,born\n" + lines(5000))
    databases.target.fill_up("people", "new.id = 4000")
    databases.migrate(LOAD, header=HEADER, expected=ExitStatus.INCOMPLETE)
    databases.target.make_room("people")
    other = HEADER.replace("format: csv", "format: csv, nulls: [NA]")
    (problem,) = databases.refused(LOAD, header=other).problems
    assert problem.code is ErrorCode.USER_003
    assert "specification.yaml:3 source.nulls" in problem.where
    (databases.folder / "extract").rename(databases.folder / "moved")
    moved = HEADER.replace("path: extract", "path: moved")
    assert databases.migrate(LOAD, header=moved).summary.state == "complete"


def test_a_file_that_is_written_to_during_a_run(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.target.run(TARGET)
    file = extract(databases, people="id,name,born\n" + lines(5000)) / "people.csv"
    read = OpenCsv.read
    reads = []

    def writing(self: OpenCsv, *arguments: Any) -> Any:
        reads.append(arguments)
        if len(reads) == 3:
            # In one go and without cutting it off first, for those that read it now.
            changed = file.read_bytes().replace(b"Name", b"Nema")
            with file.open("r+b", buffering=0) as stream:
                stream.write(changed)
        return read(self, *arguments)

    monkeypatch.setattr(OpenCsv, "read", writing)
    outcome = databases.migrate(LOAD, header=HEADER, expected=ExitStatus.INCOMPLETE)
    (problem,) = outcome.problems
    assert problem.code is ErrorCode.SYS_005
    assert "written to" in problem.message
    assert databases.target.values("SELECT id FROM people WHERE name LIKE 'Nema%'") == []


def test_a_malformed_line_that_is_shown(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.target.run(TARGET)
    extract(databases, people="id,name,born\n1,a\n")
    databases.migrate(LOAD, header=HEADER)
    variables = [f"--var={name}={url}" for name, url in databases.variables.items()]
    path = str(databases.folder / "specification.yaml")
    (identifier,) = databases.target.values("SELECT id::text FROM migration.migration_errors")
    assert main(["rejects", "show", path, identifier, *variables]) == ExitStatus.COMPLETE
    shown = capsys.readouterr().out
    assert "people.csv" in shown
    assert "fewer fields" in shown
    main(["rejects", "show", path, identifier, "--source", *variables])
    assert "look at that line of the file" in "".join(capsys.readouterr())


PATTERNS = {
    "two patterns of one file": ('["p*.csv", "people.csv"]', "SYS-004", "by 'p*.csv' and by"),
    "one pattern twice": ('["p*.csv", "p*.csv"]', "SYS-004", "by 'p*.csv' and by"),
    "an absolute path": ("/tmp/*.csv", "TRANS-004", "below the folder"),
    "no pattern": ('"**.csv"', "TRANS-004", "below the folder"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", PATTERNS)
def test_patterns_that_cannot_be_used(databases: TwoDatabases, case: str) -> None:
    pattern, code, told = PATTERNS[case]
    databases.target.run(TARGET)
    extract(databases, people="id,name,born\n" + lines(3))
    problem = databases.refused(LOAD.replace('"people*.csv"', pattern), header=HEADER).problems[0]
    assert problem.code.value == code
    assert told in problem.message


def test_a_name_twice_in_a_later_file(databases: TwoDatabases) -> None:
    databases.target.run(TARGET)
    extract(databases, people="id,name,born\n", people2="id,name,name,born\n")
    problem = databases.refused(LOAD, header=HEADER).problems[0]
    assert "columns 2 and 3 have the same name (people2.csv)" in problem.message


def test_source_keys_that_repeat_are_counted_before_anything_runs(
    databases: TwoDatabases, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("no,name\n1,a\n2,b\n,c\n3,d\n")
    (tmp_path / "b.csv").write_text("no,name\n2,e\n4,f\n,g\n4,h\n4,i\n5,j\n")
    databases.target.run(
        "CREATE TABLE people (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text);"
        "CREATE TABLE visits (no text PRIMARY KEY, person int REFERENCES people)"
    )
    error = databases.refused(
        f"""
job: filed
source: {{path: "{tmp_path}", format: csv}}
target: {{url: "${{TARGET_URL}}"}}
tables:
  people:
    from: {{file: "?.csv"}}
    source_key: [no]
    key: [id]
    fields: {{id: {{generate: sequence}}, name: {{from: name}}}}
  visits:
    from: a.csv
    key: [no]
    copy: [no]
    fields: {{person: {{from: no, ref: people}}}}
""",
        header="",
    )
    (problem,) = error.problems
    # Two that are NULL, and 2 and 4, which several rows have.
    assert (problem.code.value, problem.message[:15]) == ("DATA-004", "4 source keys a")


def test_a_cluster_beside_a_malformed_line(databases: TwoDatabases) -> None:
    """What both rows of a cluster have is recorded once, however many lines have no row."""
    (databases.folder / "codes.csv").write_text("id,days,code\n1,20,250.42\n2,1,599.0\n3\n")
    databases.target.run(
        "CREATE TABLE codes (id int, part int, days int, code text, PRIMARY KEY (id, part))"
    )
    databases.migrate(
        """
job: filed
source: {path: ".", format: csv}
target: {url: "${TARGET_URL}", control_schema: migration}
maps: {icd: {policy: {cluster: expand}}}
tables:
  codes:
    from: codes.csv
    key: [id, part]
    fields:
      id: {from: id, type: int}
      days: {from: days, type: int}
      code: {from: code, map: icd, into: {part: cluster_seq}}
    rules: {SHORT: days < 10}
""",
        header="",
    )
    assert sorted(databases.errors("rule_id")) == [("SHORT",), ("line.fields",)]
