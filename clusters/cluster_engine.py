"""What the two engines have in common: what is needed to start one, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clusters.processes import Processes

HOST = "127.0.0.1"
"""What an engine itself opens can't be reached from another machine: none of it asks who is there.
Beam's servers within it listen on all interfaces, which no setting changes (docs/clusters.md)."""

WORKERS = 2
"""Processes of an engine that run steps, with a slot each."""


@dataclass(frozen=True)
class Installation:
    """An engine's files: its ``java``, the folder of its jars, and a jar that names all of them."""

    java: Path
    jars: Path
    names: tuple[str, ...]
    job_server: Path

    @property
    def launcher(self) -> str:
        """The flag by which a job server runs on this Java: PATH may have another, or none."""
        return f"--job_server_java_launcher={self.java}"


@dataclass(frozen=True)
class Cluster:
    """A running cluster: its web address, and the flags by which Beam runs a pipeline on it.

    ``environment`` are further variables for the process that submits one.
    """

    web: str
    flags: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """``java`` are the versions that it runs on, ``driver`` is the class of Beam's job server,
    ``opens`` are the packages that it must see into. ``start`` starts a cluster, and raises
    TransfuseError (SYS-005) where it doesn't come up."""

    name: str
    java: range
    driver: str
    opens: tuple[str, ...]
    start: Callable[[Processes, Installation], Cluster]


def open_flags(packages: tuple[str, ...]) -> list[str]:
    """Flags of ``java`` that open packages (``module/package``) to unnamed modules."""
    return [f"--add-opens={package}=ALL-UNNAMED" for package in packages]
