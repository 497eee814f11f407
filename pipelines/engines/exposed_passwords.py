"""Passwords in URLs on a cluster: URLs go to the engine with the steps, and lie on its disks."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg.conninfo import conninfo_to_dict

from schemas.errors import Problem, TransfuseError
from schemas.specification.model import Part
from schemas.specification.root import Specification

_SECRETS = ("password", "sslpassword")


def refuse_exposed_passwords(specification: Specification) -> None:
    """Refuses URLs that hold a password, for a run on Flink or Spark.

    Args:
        specification: that of the run.

    Raises:
        TransfuseError: SYS-004, exit status 2, for each such URL.
    """
    problems = list(_password_problems(specification))
    if problems:
        raise TransfuseError(problems)


def _password_problems(specification: Specification) -> Iterator[Problem]:
    databases: list[tuple[Part, str | None]] = [
        (source, source.url) for source in specification.named_sources.values()
    ]
    for part, url in [*databases, (specification.target, specification.target.url)]:
        if url is not None and any(name in conninfo_to_dict(url) for name in _SECRETS):
            yield part.problem(
                "the URL holds a password, which would lie on the disks of the engine",
                "url",
                remedy="keep it in a service file of the launcher and of each pool, and write"
                " postgresql:///?service=NAME (docs/clusters.md, 'Secrets')",
            )
