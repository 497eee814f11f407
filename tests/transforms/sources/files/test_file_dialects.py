"""Files as other programs write them: read where that is certain, and else named with a way on."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from backports import zstd

from tests.support.databases.two_databases import TwoDatabases

HEADER = """
job: dialects
sources:
  plain: {path: extract, format: csv}
  mysql: {path: extract, format: csv, delimiter: "\\t", quote: none, escape: "\\\\", header: false,
          columns: [id, name]}
  parquet: {path: extract, format: parquet}
  legacy: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration}
limits: {retry: {attempts: 1, delay: 10ms}}
"""


def load(relation: str, source: str, into: str = "people") -> str:
    fields = "{id: {from: id, type: int}, name: {from: name}}"
    return (
        f"    into: {into}\n    from: {{source: {source}, {relation}}}\n"
        f"    key: [id]\n    fields: {fields}\n"
    )


@pytest.mark.slow
def test_files_as_other_programs_write_them(databases: TwoDatabases) -> None:
    folder = databases.folder / "extract"
    folder.mkdir()
    (folder / "MYSQL.TXT").write_bytes(b'1\ta\\tb\\\\c\\nd\n2\t\\N\n3\tC:\\xyz\n4\t\\"e\\"\n')
    (folder / "PEOPLE.CSV.GZ").write_bytes(gzip.compress(b"id,name\n11,gz\n"))
    (folder / "people.csv.bz2").write_bytes(bz2.compress(b"id,name\n12,bz2\n"))
    (folder / "people.csv.xz").write_bytes(lzma.compress(b"id,name\n13,xz\n"))
    (folder / "people.csv.zst").write_bytes(zstd.compress(b"id,name\n14,zst\n"))
    (folder / "a[1].csv").write_bytes(b"id,name\n15,bracket\n")
    databases.legacy.run(
        'CREATE SCHEMA "odd.schema"; CREATE TABLE "odd.schema"."lab.results" (id int, name text);'
        'INSERT INTO "odd.schema"."lab.results" VALUES (16, \'dots\')'
    )
    databases.target.run(
        "CREATE TABLE people (id int PRIMARY KEY, name text);"
        'CREATE TABLE "lab.results" (id int PRIMARY KEY, name text)'
    )
    names = ["PEOPLE.CSV.GZ", "people.csv.bz2", "people.csv.xz", "people.csv.zst", "a[1].csv"]
    loads = [
        load("file: MYSQL.TXT", "mysql"),
        *(load(f'file: "{name}"', "plain") for name in names),
        load("""table: '"odd.schema"."lab.results"'""", "legacy", """'"lab.results"'"""),
    ]
    tables = "".join(f"  load{number}:\n{text}" for number, text in enumerate(loads))
    databases.migrate(f"tables:\n{tables}", header=HEADER)
    assert databases.target.rows("TABLE people ORDER BY id") == [
        (1, "a\tb\\c\nd"),
        (2, None),
        (4, '"e"'),
        (11, "gz"),
        (12, "bz2"),
        (13, "xz"),
        (14, "zst"),
        (15, "bracket"),
    ]
    assert databases.target.rows('TABLE "lab.results"') == [(16, "dots")]
    assert databases.errors("rule_id, reason") == [("line.escapes", "unknown_escape")]


def refusal(databases: TwoDatabases, relation: str, source: str = "plain") -> str:
    """What is said of a load that reads this."""
    error = databases.refused(f"tables:\n  people:\n{load(relation, source)}", header=HEADER)
    return "\n".join(map(str, error.problems))


def files(databases: TwoDatabases) -> Path:
    databases.target.run("CREATE TABLE people (id int PRIMARY KEY, name text)")
    folder = databases.folder / "extract"
    folder.mkdir()
    return folder


def test_a_file_that_cannot_be_read_so_is_told_with_a_way_on(databases: TwoDatabases) -> None:
    folder = files(databases)
    with zipfile.ZipFile(folder / "people.csv.zip", "w") as archive:
        archive.writestr("people.csv", "id,name\n")
    assert "unzip people.csv.zip" in refusal(databases, "file: people.csv.zip")
    (folder / "packed.csv").write_bytes(lzma.compress(b"id,name\n1,x\n"))
    assert "rename it to 'packed.csv.xz'" in refusal(databases, "file: packed.csv")
    (folder / "cut.csv.zst").write_bytes(zstd.compress(b"id,name\n1,x\n" * 99)[:-9])
    assert "damaged or cut off" in refusal(databases, "file: cut.csv.zst")
    for name in ("b[1].csv", "b1.csv"):
        (folder / name).write_bytes(b"id,name\n")
    assert "'b1.csv'" in refusal(databases, 'file: "b[1].csv"')
    table = pa.Table.from_arrays([pa.array([1]), pa.array(["x"])], names=["id", "id"])
    pa.parquet.write_table(table, folder / "twice.parquet")
    text = refusal(databases, "file: twice.parquet", "parquet")
    assert "columns 1 and 2 have the same name" in text
    assert "header" not in text


def test_without_a_header_no_value_is_shown(databases: TwoDatabases) -> None:
    folder = files(databases)
    (folder / "people.csv").write_text("17,Meier,123-45-6789,Meier\n18,Doe,987-65-4321,Roe\n")
    (folder / "other.csv").write_text("18,Doe,987-65-4321,Berlin\n")
    (folder / "third.csv").write_text("id,name,ward\n")
    for pattern in ("people.csv", "other.csv", "*r*.csv"):
        text = refusal(databases, f'file: "{pattern}"')
        for value in ("17", "Meier", "123-45-6789", "Doe", "987-65-4321", "Berlin"):
            assert value not in text
    assert "columns 2 and 4" in refusal(databases, "file: people.csv")
    assert "'header: false'" in refusal(databases, "file: other.csv")


def test_names_of_a_header_are_shown(databases: TwoDatabases) -> None:
    folder = files(databases)
    (folder / "people.csv").write_text("id,nmae,1999-01-01\n")
    text = refusal(databases, "file: people.csv")
    assert "it has: id, nmae" in text
    assert "1999-01-01" not in text


@pytest.mark.slow
def test_a_value_of_a_gigabyte_holds_nothing_up(databases: TwoDatabases) -> None:
    with (files(databases) / "people.csv").open("wb") as file:
        file.write(b"id,name\n1,a\n2,")
        file.seek(70 << 20, 1)
        file.write(b'\n3,c\n4,"')
        file.seek(1 << 30, 1)
        file.write(b'"\n5,e\n')
    tables = f"tables:\n  people:\n{load('file: people.csv', 'plain')}"
    databases.migrate(tables, header=HEADER)
    assert databases.target.values("SELECT id FROM people ORDER BY id") == [1, 3, 5]
    assert databases.errors("reason") == [("line_too_long",), ("line_too_long",)]
