"""Sources that are files: every good row reaches the target, every malformed line is told."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from schemas.errors import ErrorCode, ExitStatus
from tests.pipelines.two_databases import TwoDatabases

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
