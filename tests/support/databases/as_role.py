"""Migrations by a role that has no more rights than it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg.conninfo import conninfo_to_dict

from tests.support.databases.two_databases import TwoDatabases

ROLE, PASSWORD = "mover", "carries-everything"


@dataclass(frozen=True)
class AsRole(TwoDatabases):
    """Migrations are the role's; scripts run as the owner of the databases."""

    @property
    def variables(self) -> dict[str, str]:
        urls = {"LEGACY_URL": self.legacy, "TARGET_URL": self.target}
        return {
            name: f"postgresql://{ROLE}:{PASSWORD}@/{database.name}"
            f"?host={conninfo_to_dict(database.url)['host']}"
            for name, database in urls.items()
        }


@contextmanager
def as_role(databases: TwoDatabases) -> Iterator[AsRole]:
    """Lets the role read all tables that are there, write them, and make control tables."""
    databases.target.run(
        f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}';"
        f"GRANT CREATE ON DATABASE {databases.target.name} TO {ROLE};"
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE};"
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE}"
    )
    databases.legacy.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ROLE}")
    try:
        yield AsRole(databases.legacy, databases.target, databases.folder)
    finally:
        databases.legacy.run(f"DROP OWNED BY {ROLE}")
        databases.target.run(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
