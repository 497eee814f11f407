"""The versions of Transfuse and of what it runs on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """The version of the installed package, ``unknown`` if only its files are there."""
    try:
        return version("transfuse")
    except PackageNotFoundError:
        return "unknown"


def installed_versions() -> dict[str, str]:
    """The versions of Transfuse, Beam and Python by name."""
    return {
        "transfuse": installed_version(),
        "apache-beam": version("apache-beam"),
        "python": platform.python_version(),
    }
