"""Databases in other encodings than UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.databases.two_databases import Database, TwoDatabases


@contextmanager
def encoded(databases: TwoDatabases, encoding: str) -> Iterator[Database]:
    """A database in another encoding on the same server."""
    name = f"{databases.legacy.name}_{encoding.lower()}"
    databases.legacy.run(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        " TEMPLATE template0"
    )
    yield Database(databases.legacy.url.replace(databases.legacy.name, name))
    databases.legacy.run(f"DROP DATABASE {name} WITH (FORCE)")
