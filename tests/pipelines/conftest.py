"""Two databases for each test of migrations."""

from tests.support.databases.fixtures import databases, shared_databases, undisturbed

__all__ = ["databases", "shared_databases", "undisturbed"]
