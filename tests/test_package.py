"""The packages and the files that ``pip install .`` installs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.code_maps.packaged_codes import GEM_FILES
from tests.support.project import PROJECT

LOOKS_UP = """
from schemas.code_maps.gem_file import packaged_gem
from schemas.code_maps.target_check import Outdated, target_check
for direction in {directions}:
    target_check(packaged_gem("icd", direction), Outdated.WARN, None)
print("whole", packaged_gem.__globals__["__file__"])
"""


def test_an_installed_package_has_the_maps_and_releases(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    sources = tmp_path / "project"
    for name in ("schemas", "transforms", "pipelines", "setup.py", "pyproject.toml", "README.md"):
        if (PROJECT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT / name, sources / name, ignore=ignored)
        else:
            shutil.copy(PROJECT / name, sources / name)
    installed = tmp_path / "installed"
    # What a wheel holds; the wheel itself would need further packages.
    build = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(installed)]
    subprocess.run(build, cwd=sources, check=True, capture_output=True)
    script = LOOKS_UP.format(directions=list(GEM_FILES))
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r})\n{script}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.startswith(f"whole {installed}")
