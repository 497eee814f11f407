"""Who can put files into the folder of a source must not choose what else is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli.main import main
from tests.support.databases.two_databases import TwoDatabases

HEADER = """
job: files
source: {path: extract, format: csv%s}
target: {url: "${TARGET_URL}", control_schema: migration}
"""

LOAD = """
tables:
  people:
    from: "%s"
    key: [id]
    fields: {id: {from: id, type: bigint}, name: {from: name}}
"""

SECRET = "root:$6$salt$hash"


def outside(databases: TwoDatabases) -> Path:
    """A file beside the folder of the source, which has a file of its own."""
    databases.target.run("CREATE TABLE people (id bigint PRIMARY KEY, name text)")
    (databases.folder / "extract").mkdir()
    (databases.folder / "extract" / "people1.csv").write_text("id,name\n1,Ann\n")
    (databases.folder / "other").mkdir()
    file = databases.folder / "other" / "people3.csv"
    file.write_text(f"id,name\n2,{SECRET}\n")
    return file


def run(databases: TwoDatabases, verb: str, pattern: str, options: str = "") -> int:
    path = databases.write(LOAD % pattern, HEADER % options)
    return main([verb, str(path), f"--var=TARGET_URL={databases.target.url}"])


def test_what_leads_out_of_the_folder_is_refused(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    file = outside(databases)
    folder = databases.folder / "extract"
    (folder / "linked").symlink_to(file.parent)
    (folder / "absolute.csv").symlink_to(file)
    (folder / "relative.csv").symlink_to(Path("..") / "other" / file.name)
    (folder / "chain.csv").symlink_to("relative.csv")
    for pattern in ("absolute.csv", "relative.csv", "c*.csv", "linked/people*.csv", "../other/*"):
        assert run(databases, "plan", pattern) == 2, pattern
        told = capsys.readouterr()
        assert "leads out of the folder of the source" in told.err
        assert "SYS-004" in told.err
        assert "follow_links: true" in told.err
        assert SECRET not in told.out + told.err
    # Nor is it left out without a word.
    (folder / "people2.csv").symlink_to(file)
    assert run(databases, "migrate", "people*.csv") == 2
    assert "'people2.csv' leads out" in capsys.readouterr().err
    assert run(databases, "migrate", "people*.csv", ", follow_links: true") == 0
    assert databases.target.values("SELECT name FROM people ORDER BY id") == ["Ann", SECRET]


def test_links_within_the_folder_are_followed(databases: TwoDatabases) -> None:
    outside(databases)
    folder = databases.folder / "extract"
    (folder / "newest.csv").symlink_to("people1.csv")
    (databases.folder / "moved").symlink_to(folder)
    assert run(databases, "plan", "newest.csv") == 0
    # The folder itself is the specification's choice.
    path = databases.write(LOAD % "people1.csv", (HEADER % "").replace("extract", "moved"))
    assert main(["plan", str(path), f"--var=TARGET_URL={databases.target.url}"]) == 0


def test_a_link_that_leads_nowhere_is_not_left_out(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    outside(databases)
    (databases.folder / "extract" / "people2.csv").symlink_to("gone.csv")
    assert run(databases, "plan", "people*.csv") == 2
    assert "'people2.csv' is a symbolic link that leads nowhere" in capsys.readouterr().err
