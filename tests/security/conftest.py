from tests.pipelines.conftest import databases

__all__ = ["databases"]
