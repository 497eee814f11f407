"""Checks of both servers before anything runs: what would make a run wrong, stuck or refused."""

from pipelines.preflight.check_servers import check_servers, compile_and_check
from pipelines.preflight.finding import Finding

__all__ = ["Finding", "check_servers", "compile_and_check"]
