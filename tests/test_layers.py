"""Imports point one way: clusters -> pipelines -> transforms -> schemas; schemas knows no Beam."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RANK = {"schemas": 0, "transforms": 1, "pipelines": 2, "clusters": 3}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module


@pytest.mark.parametrize("package", RANK)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        for name in imports_of(path):
            there = RANK.get(name.partition(".")[0], -1)
            assert there <= RANK[package], f"{path.relative_to(ROOT)} imports {name}"


def test_schemas_know_no_beam() -> None:
    for path in (ROOT / "schemas").rglob("*.py"):
        assert not [n for n in imports_of(path) if n.partition(".")[0] == "apache_beam"], path


def test_nothing_but_pipelines_reads_the_command_line() -> None:
    for package in ("schemas", "transforms"):
        for path in (ROOT / package).rglob("*.py"):
            assert "argparse" not in imports_of(path), path
