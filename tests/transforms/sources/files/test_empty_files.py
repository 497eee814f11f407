"""Files without rows, and what else a pattern may mean: refused with advice that works, or read."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet
import pytest
from backports import zstd

from pipelines.cli.main import main
from tests.support.databases.two_databases import HEADER, TwoDatabases
from transforms.sources.files.file_source import FileSource

GOOD = b"id,name\n1,a\n2,b\n"

EMPTY_CSV: dict[str, bytes] = {
    "people_0.csv": b"",
    "people blank.csv": b"\n\r\n\n",
    "people_spaces.csv": b"  \n \t\n",
    "people_mark.csv": b"\xef\xbb\xbf",
    "people_mark_and_line.csv": b"\xef\xbb\xbf\r\n",
    "people_gz.csv.gz": gzip.compress(b""),
    "people_bz2.csv.bz2": bz2.compress(b""),
    "people_xz.csv.xz": lzma.compress(b"\n"),
    "people_zst.csv.zst": zstd.compress(b""),
    "people_cut.csv.gz": b"",
    "people_cut.csv.bz2": b"",
    "people_cut.csv.xz": b"",
    "people_cut.csv.zst": b"",
}

AVRO_SCHEMA = {
    "type": "record",
    "name": "r",
    "fields": [{"name": "id", "type": "long"}, {"name": "name", "type": "string"}],
}


def parquet(count: int) -> bytes:
    table = pa.table({"id": list(range(1, count + 1)), "name": ["a", "b"][:count]})
    stream = io.BytesIO()
    schema = pa.schema([("id", pa.int64()), ("name", pa.string())])
    pa.parquet.write_table(table.cast(schema), stream)
    return stream.getvalue()


def avro(count: int) -> bytes:
    stream = io.BytesIO()
    rows = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    fastavro.writer(stream, AVRO_SCHEMA, rows[:count])
    return stream.getvalue()


FORMS: dict[str, tuple[bytes, bytes, dict[str, bytes]]] = {
    # A file with two rows, one without rows, and files that are empty.
    "csv": (GOOD, b"id,name\n", EMPTY_CSV),
    "parquet": (parquet(2), parquet(0), {"people_0.parquet": b""}),
    "avro": (avro(2), avro(0), {"people_0.avro": b"", "people_1.avro": b""}),
}


class Run:
    """The command line on a folder of files."""

    def __init__(self, databases: TwoDatabases, capsys: pytest.CaptureFixture[str]) -> None:
        self.databases, self.capsys = databases, capsys
        self.folder = databases.folder / "the extract"
        self.folder.mkdir()
        databases.target.run("CREATE TABLE people (id bigint PRIMARY KEY, name text)")

    def __call__(self, verb: str, named: str, form: str = "csv") -> tuple[int, dict[str, Any]]:
        header = HEADER.replace('{url: "${LEGACY_URL}"}', f"{{path: the extract, format: {form}}}")
        load = f"tables: {{people: {{from: {named}, key: [id], copy: [id, name]}}}}\n"
        path = self.databases.write(load, header=header)
        variables = [f"--var={name}={url}" for name, url in self.databases.variables.items()]
        status = main([verb, str(path), "--json", *variables])
        document: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return status, document

    def problem(self, named: str, form: str = "csv") -> dict[str, str]:
        status, document = self("plan", named, form)
        assert status == 2, document
        (problem,) = document["problems"]
        assert isinstance(problem, dict)
        return problem

    def written(self) -> list[Any]:
        return self.databases.target.values("SELECT id FROM people ORDER BY id")


@pytest.fixture
def run(databases: TwoDatabases, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(databases, capsys)


def execute(command: str) -> None:
    subprocess.run(["bash", "-ec", command], check=True)


@pytest.mark.parametrize("form", FORMS)
def test_the_advice_on_empty_files_among_others_ends_the_refusal(run: Run, form: str) -> None:
    good, without_rows, empty = FORMS[form]
    for name, content in {
        f"people.{form}": good,
        f"people_z.{form}": without_rows,
        **empty,
    }.items():
        (run.folder / name).write_bytes(content)
    for _ in range(2):
        problem = run.problem('"people*"', form)
        assert problem["code"] == "TRANS-004"
        assert "empty" in problem["message"]
        assert all(name in problem["remedy"] for name in empty)
    execute("rm " + problem["remedy"].partition(": rm ")[2])
    assert run("plan", '"people*"', form)[0] == 0
    status, document = run("migrate", '"people*"', form)
    assert (status, document["tables"]["people"]["read"], run.written()) == (0, 2, [1, 2])


@pytest.mark.parametrize("form", FORMS)
def test_the_advice_on_an_empty_file_by_itself_ends_the_refusal(run: Run, form: str) -> None:
    (run.folder / f"people.{form}").write_bytes(FORMS[form][0])
    (run.folder / f"more.{form}").write_bytes(b"")
    problem = run.problem(f"[people.{form}, more.{form}]", form)
    assert f"take 'more.{form}' out of 'from'" in problem["remedy"]
    assert run("plan", f"[people.{form}]", form)[0] == 0
    (run.folder / f"more.{form}").write_bytes(FORMS[form][1])
    assert run("migrate", f"[people.{form}, more.{form}]", form)[0] == 0
    assert run.written() == [1, 2]


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "part-00000.csv").write_bytes(b"id,name\n3,c\n")


OTHERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a folder": (make_folder, "is a folder with files"),
    "a link that leads nowhere": (
        lambda path: path.symlink_to("nowhere.csv"),
        "leads nowhere",
    ),
    "a pipe": (os.mkfifo, "neither a file nor a folder"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_no_file_is_not_left_out_in_silence(run: Run, case: str) -> None:
    make, told = OTHERS[case]
    (run.folder / "people.csv").write_bytes(GOOD)
    other = run.folder / "people_2.csv"
    make(other)
    problem = run.problem('"people*.csv"')
    assert told in problem["message"]
    assert "people_2.csv" in problem["message"]
    command = problem["remedy"].rpartition(": ")[2]
    execute(command)
    status, _ = run("migrate", '"people*.csv"')
    assert (status, run.written()) == (0, [1, 2])


def test_the_files_of_a_folder_that_is_called_as_a_file(run: Run) -> None:
    (run.folder / "people.csv").write_bytes(GOOD)
    make_folder(run.folder / "people_2.csv")
    (run.folder / "people_3.csv").mkdir()
    for pattern in ('"people*.csv"', "people_2.csv", '"people*"'):
        remedy = run.problem(pattern)["remedy"]
    named = remedy.partition("from: ")[2].partition("]")[0] + "]"
    assert run("migrate", named)[0] == 0
    assert run.written() == [1, 2, 3]


def test_folders_that_a_pattern_goes_into(run: Run) -> None:
    (run.folder / "people.csv").write_bytes(GOOD)
    make_folder(run.folder / "people_2.csv")
    for pattern in ('"**/*.csv"', '"*"'):
        assert run("plan", pattern)[0] == 0, pattern
    assert run("migrate", '"**/*.csv"')[0] == 0
    assert run.written() == [1, 2, 3]


@pytest.mark.parametrize("change", ["appears", "vanishes", "grows"])
def test_files_that_change_while_they_are_divided(
    run: Run, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has seen whether such a file has the columns of the others."""
    for name in ("people_1", "people_2"):
        (run.folder / f"{name}.csv").write_bytes(GOOD)
    divide = FileSource.partitions

    def changing(self: FileSource, *arguments: Any) -> Any:
        (run.folder / "people_2.csv").unlink()
        if change == "grows":
            (run.folder / "people_2.csv").write_bytes(b"number\n3\n")
        if change == "appears":
            (run.folder / "people_2.csv").write_bytes(GOOD)
            (run.folder / "people_3.csv").write_bytes(b"number\n3\n")
        return divide(self, *arguments)

    monkeypatch.setattr(FileSource, "partitions", changing)
    status, document = run("migrate", '"people*.csv"')
    assert status in (2, 3), document
    assert [problem["code"] for problem in document["problems"]] == ["SYS-005"]
    assert "start again" in document["problems"][0]["remedy"]
    assert run.written() == []
