from tests.support.databases.fixtures import databases

__all__ = ["databases"]
