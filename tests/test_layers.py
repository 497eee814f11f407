"""Imports point one way: between the packages, and between the folders inside them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import PROJECT

RANK = {"schemas": 0, "transforms": 1, "pipelines": 2, "clusters": 3}

FOLDERS = {
    # From the bottom up. A file that lies in the package itself ranks as the folder "".
    "schemas": ("", "guide", "conversions", "sql", "code_maps", "ready_rules", "specification"),
    "transforms": (
        "model",
        "resources",
        "postgres",
        "sql",
        "keys",
        "ledger",
        "mapping",
        "target_rows",
        "references",
        "compare",
        "sources",
        "sources/postgres",
        "sources/files",
        "compiling",
        "commit",
        "prediction",
        "steps",
    ),
    "pipelines": (
        "terminal",
        "explain",
        "audit",
        "logs",
        "engines",
        "connections",
        "ledger",
        "databases",
        "maps",
        "notify",
        "incidents",
        "monitor",
        "preflight",
        "planning",
        "rejects",
        "codes",
        "removal",
        "watch",
        "preview",
        "doctor",
        "run",
        "cli/reports",
        "cli",
        "",
    ),
    "clusters": ("",),
}


def imports_of(path: Path) -> Iterator[str]:
    """Each module that a file imports; of ``from package import name`` also ``package.name``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_of(package: str) -> list[Path]:
    """The files with code, without those that only say what lives in a folder."""
    files = sorted((PROJECT / package).rglob("*.py"))
    assert files
    return files


def folder_of(path: Path, package: str) -> str:
    folder = path.parent.relative_to(PROJECT / package).as_posix()
    return "" if folder == "." else folder


@pytest.mark.parametrize("package", RANK)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    for path in modules_of(package):
        for name in imports_of(path):
            there = RANK.get(name.partition(".")[0], -1)
            assert there <= RANK[package], f"{path.relative_to(PROJECT)} imports {name}"


@pytest.mark.parametrize("package", FOLDERS)
def test_a_folder_imports_only_what_lies_below_it(package: str) -> None:
    rank = {folder: number for number, folder in enumerate(FOLDERS[package])}
    for path in modules_of(package):
        here = folder_of(path, package)
        if here == "code_maps/packaged":
            continue
        assert here in rank or path.name == "__init__.py", f"{here} has no rank"
        for name in imports_of(path):
            module = PROJECT.joinpath(*name.split(".")).with_suffix(".py")
            if name.partition(".")[0] != package or not module.is_file():
                continue
            there = folder_of(module, package)
            top = len(rank) if path.name == "__init__.py" and here == "" else rank.get(here, -1)
            assert rank[there] <= top, f"{path.relative_to(PROJECT)} imports {name}"


def test_every_folder_says_what_lives_there() -> None:
    for package, folders in FOLDERS.items():
        for folder in folders:
            tree = ast.parse(
                (PROJECT / package / folder / "__init__.py").read_text(encoding="utf-8")
            )
            assert ast.get_docstring(tree), f"{package}/{folder}"


def test_no_two_modules_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for package in (*RANK, "demo", "bench", "specs", "tests"):
        for path in modules_of(package):
            if path.name not in ("__init__.py", "__main__.py", "conftest.py"):
                places.setdefault(path.name, []).append(str(path.relative_to(PROJECT)))
    assert not [paths for paths in places.values() if len(paths) > 1]


@pytest.mark.parametrize("package", ["schemas", "transforms", "pipelines"])
def test_the_folders_of_tests_are_those_of_the_packages(package: str) -> None:
    root = PROJECT / "tests" / package
    folders = {path.parent.relative_to(root).as_posix() for path in root.rglob("test_*.py")}
    assert folders - {"."} <= {*FOLDERS[package]}


def test_no_test_module_is_imported() -> None:
    """Tests share what lives in tests/support and tests/oracle; these import no test either."""
    for path in modules_of("tests"):
        for name in imports_of(path):
            module = PROJECT.joinpath(*name.split(".")).with_suffix(".py")
            if module.is_relative_to(PROJECT / "tests") and module.is_file():
                folder = module.relative_to(PROJECT / "tests").parts[0]
                assert folder in ("support", "oracle"), f"{path} imports {name}"
                assert not module.name.startswith("test_"), f"{module} is a test module"


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for package in RANK:
        for path in modules_of(package):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    place = f"{path.relative_to(PROJECT)}:{node.lineno}"
                    places.setdefault(node.name, []).append(place)
    assert not {name: where for name, where in places.items() if len(where) > 1}


CONTROL_TABLE = "(migration_[a-z_]+|code_mappings)"
IN_SQL = re.compile(
    rf"\{{{CONTROL_TABLE}\}}|\b(FROM|INTO|UPDATE|JOIN|TABLE|ANALYZE)\s+[\w.{{\"]*{CONTROL_TABLE}"
    f"|^{CONTROL_TABLE}$"
)
NAMES_FOR_GRANTS = "pipelines/preflight/target_rights.py"
"""It lists the rights that a role needs on each table, and reads none of them."""

LABEL = ("transforms/mapping/code_translator.py", "code_mappings")
"""The name of a decision in the rows that it has translated."""


def statements_on_control_tables(path: Path) -> list[str]:
    """The texts of a file, without docstrings, that name a control table as SQL does."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in docstrings
    ]
    return [text for text in texts if IN_SQL.search(text)]


@pytest.mark.parametrize("package", ["transforms", "pipelines", "clusters"])
def test_sql_on_control_tables_is_in_the_ledger(package: str) -> None:
    for path in modules_of(package):
        place = path.relative_to(PROJECT).as_posix()
        if folder_of(path, package) == "ledger" or place == NAMES_FOR_GRANTS:
            continue
        statements = [text for text in statements_on_control_tables(path) if (place, text) != LABEL]
        assert not statements, f"{place}: {statements}"


def test_schemas_know_no_beam() -> None:
    for path in (PROJECT / "schemas").rglob("*.py"):
        assert not [n for n in imports_of(path) if n.partition(".")[0] == "apache_beam"], path


def test_nothing_but_pipelines_reads_the_command_line() -> None:
    for package in ("schemas", "transforms"):
        for path in (PROJECT / package).rglob("*.py"):
            assert "argparse" not in imports_of(path), path
