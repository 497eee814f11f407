"""Output of ``version``: a line for each of the versions, or JSON."""

from __future__ import annotations

from collections.abc import Mapping


def print_versions(versions: Mapping[str, str], as_json: bool) -> None:
    """Print names and versions."""
    if as_json:
        from pipelines.terminal.console import print_json

        print_json(versions)
        return
    for name, number in versions.items():
        print(f"{name} {number}")
