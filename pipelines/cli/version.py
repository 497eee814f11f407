"""``version``: which Transfuse this is."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """The version of the installed package, ``unknown`` where only its files are there."""
    try:
        return version("transfuse")
    except PackageNotFoundError:
        return "unknown"


def show_version(as_json: bool) -> None:
    """Prints the versions of Transfuse, Beam and Python."""
    versions = {
        "transfuse": installed_version(),
        "apache-beam": version("apache-beam"),
        "python": platform.python_version(),
    }
    if as_json:
        from pipelines.terminal.console import print_json

        print_json(versions)
        return
    for name, number in versions.items():
        print(f"{name} {number}")
