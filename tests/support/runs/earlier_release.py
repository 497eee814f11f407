"""Runs of an earlier Transfuse, of a commit of this repository."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.databases.two_databases import TwoDatabases
from tests.support.project import PROJECT

VERSION_1 = "0bcb7d1"
"""The last commit whose control tables have no version."""


def extract_release(commit: str, folder: Path) -> Path:
    """Write the files of a commit into a folder; skips the test in a clone without the commit.

    Args:
        commit: An abbreviated hash.
        folder: An empty folder.

    Returns:
        The folder, in which ``python -m pipelines`` is the Transfuse of that commit.
    """
    archive = subprocess.run(
        ["git", "archive", commit, "pipelines", "transforms", "schemas"],
        cwd=PROJECT,
        capture_output=True,
        check=False,
    )
    if archive.returncode != 0:
        pytest.skip(f"this clone hasn't got the commit {commit}, whose Transfuse is to run")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def run_release(
    release: Path, databases: TwoDatabases, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a command of an earlier Transfuse to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=release,
        env=_environment(release, databases),
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def release_running(
    release: Path, databases: TwoDatabases, specification: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Let an earlier Transfuse migrate in a process that is killed at the end of the context."""
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines", "migrate", specification],
        cwd=release,
        env=_environment(release, databases),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _environment(release: Path, databases: TwoDatabases) -> dict[str, str]:
    return {**os.environ, **databases.variables, "PYTHONPATH": str(release)}
