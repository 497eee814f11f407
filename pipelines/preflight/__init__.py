"""Checks of both servers before a run; ``check_servers`` has the list."""

from pipelines.preflight.check_servers import check_servers
from pipelines.preflight.finding import Finding

__all__ = ["Finding", "check_servers"]
