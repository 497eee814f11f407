"""Parquet files that have changed by a bit: noticed where they have checksums."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from pipelines.cli.main import main
from schemas.errors import ErrorCode, ExitStatus
from tests.support.databases.two_databases import HEADER, TwoDatabases

PARQUET = HEADER.replace('{url: "${LEGACY_URL}"}', "{path: ., format: parquet}")
LOAD = "tables: {t: {from: %s, copy: [id, v]}}"


def write(path: Path, has_checksums: bool) -> None:
    table = pa.table({"id": list(range(1000)), "v": [f"value{i:04}" for i in range(1000)]})
    options = {"use_dictionary": False, "compression": "none", "row_group_size": 500}
    pa.parquet.write_table(table, path, write_page_checksum=has_checksums, **options)


def flip_a_bit(path: Path) -> None:
    """Changes the only value0700, in the second row group, into another value."""
    content = bytearray(path.read_bytes())
    content[content.index(b"value0700") + 8] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_fails_its_partition(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.target.run("CREATE TABLE t (id bigint, v text)")
    sound, bare = databases.folder / "a.parquet", databases.folder / "b.parquet"
    write(sound, True)
    write(bare, False)
    variables = [f"--var={name}={url}" for name, url in databases.variables.items()]
    for name, warned in (("a.parquet", False), ("*.parquet", True)):
        path = databases.write(LOAD % f'"{name}"', PARQUET)
        assert main(["plan", str(path), *variables, "--json"]) == ExitStatus.COMPLETE
        problems = json.loads(capsys.readouterr().out)["problems"]
        assert [p["message"].partition(" ")[0] for p in problems] == ["b.parquet"] * warned
    flip_a_bit(sound)
    outcome = databases.migrate(LOAD % "a.parquet", header=PARQUET, expected=ExitStatus.INCOMPLETE)
    (problem,) = outcome.problems
    assert problem.code is ErrorCode.SYS_005
    assert "damaged" in problem.message
    assert databases.target.row("SELECT count(*), max(id) FROM t") == (500, 499)


def test_timestamps_of_int96_that_wrap_around(databases: TwoDatabases) -> None:
    """A day so far away that its microseconds are those of another day."""
    moments = pa.array([0, 1, 2, 3], pa.timestamp("us"))
    table = pa.table({"id": [0, 1, 2, 3], "v": moments, "l": pa.array([[m] for m in moments])})
    path = databases.folder / "t.parquet"
    options = {"use_dictionary": False, "compression": "none", "write_statistics": False}
    pa.parquet.write_table(table, path, use_deprecated_int96_timestamps=True, **options)
    content = path.read_bytes()
    epoch = 2_440_588
    far = [struct.pack("<qi", 1000, epoch), struct.pack("<qi", 0, epoch + 2**30)]
    assert content.count(far[0]) == 2
    place = content.index(far[0])
    path.write_bytes(content[:place] + far[1] + content[place + 12 :])
    databases.target.run("CREATE TABLE t (id bigint, v timestamp)")
    databases.migrate(LOAD % "t.parquet", header=PARQUET)
    assert databases.target.values("SELECT id FROM t ORDER BY id") == [0, 2, 3]
    assert databases.errors("rule_id") == [("v.type",)]
    place = content.rindex(far[0])
    path.write_bytes(content[:place] + far[1] + content[place + 12 :])
    databases.target.run("CREATE TABLE lists (id bigint, l json)")
    outcome = databases.migrate(
        "tables: {lists: {from: t.parquet, copy: [id, l]}}",
        header=PARQUET,
        job="lists",
        expected=ExitStatus.INCOMPLETE,
    )
    assert "'l' holds timestamps" in outcome.problems[0].message
