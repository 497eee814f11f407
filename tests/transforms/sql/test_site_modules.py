"""Python functions beside a specification: the names of their files, and what they import."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.small_hospital import run, run_json
from tests.support.runs import other_processes

MARKING = """
import pyarrow.compute as pc

def mark(texts):
    return pc.binary_join_element_wise(texts, "marked", "-")
"""
MARKED = ["a-marked", "b-marked"]


def _migrate(databases: TwoDatabases, function: str, files: dict[str, str], *flags: str) -> int:
    """Migrates two notes through a function, with ``files`` beside the specification."""
    for name, content in files.items():
        path = databases.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    databases.legacy.run(
        "CREATE TABLE notes (id int PRIMARY KEY, text text);"
        "INSERT INTO notes VALUES (1, 'a'), (2, 'b')"
    )
    databases.target.run("CREATE TABLE notes (id int PRIMARY KEY, text text)")
    databases.write(
        "tables:\n  notes:\n    from: notes\n    key: [id]\n    copy: [id]\n"
        f'    fields: {{text: {{from: text, transform: ["{function}", trim]}}}}\n'
    )
    return run(databases, "migrate", "SPEC", *flags)


def _texts(databases: TwoDatabases) -> list[str]:
    return databases.target.values("SELECT text FROM notes ORDER BY id")


@pytest.mark.parametrize(
    "name", ["transforms", "schemas", "pipelines", "json", "numpy", "__main__"]
)
def test_a_functions_file_may_have_the_name_of_any_module(
    databases: TwoDatabases, name: str
) -> None:
    path, ours = [*sys.path], sys.modules[name]
    assert _migrate(databases, f"{name}:mark", {f"{name}.py": MARKING}) == 0
    assert _texts(databases) == MARKED
    assert sys.path == path
    assert sys.modules[name] is ours
    assert [*databases.folder.glob("__pycache__")] == []


def test_a_file_that_imports_its_own_name_means_the_installed_module(
    databases: TwoDatabases,
) -> None:
    spelling = """
import json
import pyarrow as pa

def spell(texts):
    return pa.array([json.dumps(text) for text in texts.to_pylist()])
"""
    assert _migrate(databases, "json:spell", {"json.py": spelling}) == 0
    assert _texts(databases) == ['"a"', '"b"']


SIBLINGS = {
    "schemas.py": 'SEPARATOR = "-"\n',
    "site_words.py": "import schemas\nfrom site_package import deeper\n"
    "WORD, SEPARATOR = deeper.WORD, schemas.SEPARATOR\n",
    "site_package/__init__.py": "",
    "site_package/deeper.py": "from .words import WORD\n",
    "site_package/words.py": 'WORD = "marked"\n',
}
WAYS = {
    "import": """
import site_words
import site_package.deeper
import site_package.words as words
import pyarrow.compute as pc
def mark(texts):
    assert site_package.deeper.WORD == words.WORD
    return pc.binary_join_element_wise(texts, words.WORD, site_words.SEPARATOR)
""",
    "from": """
from site_words import *
from site_package import words
from schemas import SEPARATOR
from pyarrow import compute as pc
def mark(texts):
    return pc.binary_join_element_wise(texts, words.WORD, SEPARATOR)
""",
    "relative": """
from . import site_words
from .site_package.deeper import WORD
import pyarrow.compute as pc
def mark(texts):
    return pc.binary_join_element_wise(texts, WORD, site_words.SEPARATOR)
""",
    "when called": """
def mark(texts):
    import pyarrow.compute as pc
    import site_package.words
    from site_words import SEPARATOR
    return pc.binary_join_element_wise(texts, site_package.words.WORD, SEPARATOR)
""",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_functions_file_imports_what_lies_beside_it(databases: TwoDatabases, way: str) -> None:
    files = {**SIBLINGS, "transforms.py": WAYS[way]}
    assert _migrate(databases, "transforms:mark", files) == 0
    assert _texts(databases) == MARKED
    for name in ("site_words", "site_package"):
        assert name not in sys.modules


def test_files_beside_a_specification_are_no_modules_to_anybody_else(
    databases: TwoDatabases,
) -> None:
    assert _migrate(databases, "transforms:mark", {**SIBLINGS, "transforms.py": WAYS["from"]}) == 0
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("site_words")


def test_a_function_of_a_package_beside_the_specification(databases: TwoDatabases) -> None:
    files = {"transforms/__init__.py": "", "transforms/deeper.py": MARKING}
    assert _migrate(databases, "transforms.deeper:mark", files) == 0
    assert _texts(databases) == MARKED


def test_an_installed_module_wins_over_a_folder_without_modules_of_its_own(
    databases: TwoDatabases,
) -> None:
    function = "tests.oracle.site_functions:backwards"
    assert _migrate(databases, function, {"tests/notes.txt": "", "json/notes.txt": ""}) == 0
    assert _texts(databases) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("import site_missing", "can't be imported: ModuleNotFoundError"),
        ("raise SystemExit", "can't be imported: SystemExit"),
        ("mark = 1", "has no function 'mark'"),
    ],
)
def test_a_file_that_does_not_work_is_refused(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str], content: str, reason: str
) -> None:
    assert _migrate(databases, "transforms:mark", {"transforms.py": content}) == 2
    assert f"the Python module 'transforms' {reason}" in " ".join(capsys.readouterr().err.split())


def test_a_row_is_tried_and_a_job_planned_with_the_same_functions(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _migrate(databases, "schemas:mark", {"schemas.py": MARKING}) == 0
    tried = run_json(
        databases, capsys, ["try", "SPEC", "notes", json.dumps({"id": 3, "text": "c"})]
    )
    assert "c-marked" in json.dumps(tried)
    assert run(databases, "plan", "SPEC") == 0


def test_each_folder_has_modules_of_its_own(databases: TwoDatabases, tmp_path: Path) -> None:
    assert _migrate(databases, "site_marks:mark", {"site_marks.py": MARKING}) == 0
    databases.target.run("DROP SCHEMA migration CASCADE; DROP TABLE notes")
    databases.legacy.run("DROP TABLE notes")
    folder = tmp_path / "another"
    folder.mkdir()
    other = TwoDatabases(databases.legacy, databases.target, folder)
    changed = MARKING.replace('"marked"', '"other"')
    assert _migrate(other, "site_marks:mark", {"site_marks.py": changed}) == 0
    assert _texts(databases) == ["a-other", "b-other"]


@pytest.mark.slow
def test_workers_in_processes_of_their_own_load_the_same_files(databases: TwoDatabases) -> None:
    files = {**SIBLINGS, "transforms.py": WAYS["import"]}
    assert _migrate(databases, "transforms:mark", files, *other_processes.FLAGS) == 0
    assert _texts(databases) == MARKED
