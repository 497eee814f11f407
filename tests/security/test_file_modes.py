"""What a run writes beside the databases is for its user alone, whatever the umask is."""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.terminal.private_files import keep_files_private, make_private_folder, write_private
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.runs.child_runs import LONGEST, start

TABLES = """
maps: {icd9_to_icd10: {}}
tables:
  ../conditions:
    from: diagnoses
    into: conditions
    key: [id]
    copy: [id]
    fields: {code: {from: code, map: icd9_to_icd10}}
"""


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Files are everybody's unless their maker sees to it."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): mode(path) for path in [folder, *folder.rglob("*")]}


@pytest.mark.slow
@pytest.mark.usefixtures("open_umask")
def test_error_files_and_exports(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE diagnoses (id int PRIMARY KEY, code text);"
        "INSERT INTO diagnoses VALUES (1, '001.0'), (2, 'nonsense')"
    )
    databases.target.run("CREATE TABLE conditions (id int PRIMARY KEY, code text)")
    errors = databases.folder / "errors"
    path = databases.write(TABLES, f'{HEADER}errors: {{path: "{errors}"}}\n')
    assert start(databases, path).wait(timeout=LONGEST) == 0
    made = {".": 0o700, "moved": 0o700, "moved/..%2Fconditions": 0o700}
    expected = made | {"moved/..%2Fconditions/000001.avro": 0o600}
    assert modes(errors) == expected
    # Those of an earlier version.
    for each in [errors, *errors.rglob("*")]:
        each.chmod(0o755 if each.is_dir() else 0o644)
    assert start(databases, path).wait(timeout=LONGEST) == 0
    # The folder that the specification names is its user's to open.
    assert modes(errors) == expected | {".": 0o755}

    export = databases.folder / "codes.csv"
    export.write_text("of an earlier version")
    with export.open() as reader:
        flags = ["--output", str(export)]
        verb = ("rejects", "export")
        assert start(databases, path, flags, verb=verb).wait(timeout=LONGEST) == 0
        assert reader.read() == "of an earlier version"
    assert mode(export) == 0o600
    rows = list(csv.DictReader(io.StringIO(export.read_text("utf-8-sig"))))
    assert [(row["source_code"], row["reason"]) for row in rows] == [("nonsense", "unknown_code")]
    assert not list(databases.folder.glob(".codes*"))


@pytest.mark.usefixtures("open_umask")
def test_a_file_is_replaced_whole_and_a_link_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    link = tmp_path / "link"
    link.symlink_to(victim)
    write_private(link, b"ours")
    assert victim.read_text() == "untouched"
    assert (link.is_symlink(), link.read_bytes(), mode(link)) == (False, b"ours", 0o600)
    write_private(Path("/dev/null"), b"nothing")
    with pytest.raises(IsADirectoryError):
        write_private(tmp_path, b"no file")
    with pytest.raises(NotADirectoryError):
        make_private_folder(victim / "below")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "victim"]


@pytest.mark.usefixtures("open_umask")
def test_a_process_that_keeps_its_files_private(tmp_path: Path) -> None:
    keep_files_private()
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert (mode(tmp_path / "file"), mode(tmp_path / "folder")) == (0o600, 0o700)
