"""The Java that the engines run on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from schemas.errors import ErrorCode, Problem, TransfuseError

_ANSWERS_WITHIN = 60
"""Seconds."""


def find_java(versions: range) -> Path:
    """The ``java`` of JAVA_HOME, else of PATH.

    Raises TransfuseError (SYS-004) where there is none, or one of none of the ``versions``.
    """
    home = os.environ.get("JAVA_HOME")
    named = str(Path(home) / "bin" / "java") if home else "java"
    wanted = f"Java {versions.start} to {versions.stop - 1}"
    path = shutil.which(named)
    version = None if path is None else _version_of(path)
    if path is None or version is None:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                "there is no Java here",
                named if home else "PATH",
                f"install {wanted}, or have JAVA_HOME name one",
            )
        )
    if version not in versions:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                f"this is Java {version}, and {wanted} is needed",
                path,
                "install one, or have JAVA_HOME name it",
            )
        )
    return Path(path)


def _version_of(java: str) -> int | None:
    """None for what is no Java: macOS has a program of this name that only says so."""
    try:
        output = subprocess.run(
            [java, "-version"],
            check=True,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWERS_WITHIN,
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    # Up to 8 it was "1.8.0_392".
    match = re.search(r'version "(?:1\.)?(\d+)', output)
    return None if match is None else int(match[1])
