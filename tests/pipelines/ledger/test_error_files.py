"""The error sink as files beside the tables."""

from __future__ import annotations

from pathlib import Path

import fastavro
import pyarrow.parquet
import pytest

from schemas.errors import ExitStatus
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.jobs.small_hospital import run_json

TABLES = """
tables:
  people:
    from: people
    key: [id]
    fields:
      id: {from: id}
      born: {from: born, required: true}
    rules:
      NOT_TOO_OLD: {check: "born >= date '1900-01-01'", on_fail: warn, error: DATA-005}
"""


def prepare(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE people (id int PRIMARY KEY, born text);"
        "INSERT INTO people"
        " VALUES (1, '1980-01-01'), (2, '30.2.1980'), (3, NULL), (4, '1850-01-01')"
    )
    databases.target.run("CREATE TABLE people (id int PRIMARY KEY, born date)")


def header(folder: Path, kind: str) -> str:
    return f'{HEADER}errors: {{path: "{folder}", format: {kind}}}\n'


def read(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".parquet":
        return list(pyarrow.parquet.read_table(path).to_pylist())
    with path.open("rb") as file:
        return [dict(record) for record in fastavro.reader(file)]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["avro", "parquet"])
def test_each_violation_is_in_its_partitions_file_once(
    databases: TwoDatabases, tmp_path: Path, kind: str
) -> None:
    prepare(databases)
    databases.migrate(TABLES, header=header(tmp_path / "errors", kind))
    (path,) = (tmp_path / "errors").rglob("*.*")
    assert path == tmp_path / "errors" / "moved" / "people" / f"000001.{kind}"
    told = [(r["error_code"], r["source_key"], r["reason"], r["warning"]) for r in read(path)]
    assert sorted(told, key=str) == [
        ("DATA-001", "3", "missing", False),
        ("DATA-003", "2", "conversion", False),
        ("DATA-005", "4", None, True),
    ]
    assert [r["id"] for r in read(path)] == databases.target.values(
        "SELECT id FROM migration.migration_errors ORDER BY id"
    )


def test_a_missing_file_is_written_by_the_next_run_and_others_stay(
    databases: TwoDatabases, tmp_path: Path
) -> None:
    prepare(databases)
    databases.migrate(TABLES, header=header(tmp_path / "errors", "avro"))
    (path,) = (tmp_path / "errors").rglob("*.avro")
    written = path.read_bytes()
    path.unlink()
    databases.migrate(TABLES, header=header(tmp_path / "errors", "avro"))
    assert len(read(path)) == 3
    path.write_bytes(written[:10])
    databases.migrate(TABLES, header=header(tmp_path / "errors", "avro"))
    assert path.read_bytes() == written[:10]


def test_a_path_that_cannot_be_written_is_told_and_mended(
    databases: TwoDatabases, tmp_path: Path
) -> None:
    prepare(databases)
    (tmp_path / "errors").write_text("in the way")
    outcome = databases.migrate(
        TABLES, header=header(tmp_path / "errors", "avro"), expected=ExitStatus.INCOMPLETE
    )
    assert [p.code.value for p in outcome.problems] == ["SYS-005"]
    (tmp_path / "errors").unlink()
    databases.migrate(TABLES, header=header(tmp_path / "errors", "avro"))
    assert len(list((tmp_path / "errors").rglob("*.avro"))) == 1


@pytest.mark.slow
def test_what_a_replay_finds_is_in_a_file_of_its_own(
    databases: TwoDatabases, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(databases)
    databases.migrate(TABLES, header=header(tmp_path / "errors", "avro"))
    (first,) = (tmp_path / "errors").rglob("*.avro")
    content = first.read_bytes()
    databases.legacy.run("UPDATE people SET born = 'soon' WHERE id = 3")
    for _ in range(2):
        # The second replay finds nothing that isn't known.
        assert run_json(databases, capsys, ["rejects", "replay", "SPEC"])["tables"]["people"] == {
            "rows": 2, "accepted": 0, "skipped": 0, "rejected": 2, "left": 0,
        }  # fmt: skip
        (other,) = set((tmp_path / "errors").rglob("*.avro")) - {first}
        assert [(r["error_code"], r["source_key"]) for r in read(other)] == [("DATA-003", "3")]
    assert first.read_bytes() == content
    ids = [r["id"] for path in (first, other) for r in read(path)]
    assert ids == databases.target.values("SELECT id FROM migration.migration_errors ORDER BY id")
