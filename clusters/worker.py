"""``python -m clusters.worker ADDRESS ID``: one of Beam's Python workers.

What ends a step goes to the engine and to the log without its text, which may hold values of rows.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from pipelines.logs import log_to_stderr

# Before Beam is imported, which logs meanwhile.
log_to_stderr()

from apache_beam.portability.api import beam_fn_api_pb2  # noqa: E402
from apache_beam.runners.worker.sdk_worker import SdkHarness  # noqa: E402


class Worker(SdkHarness):
    """Beam's worker; what it is asked to do fails with the kind of the error alone."""

    def _execute(self, task: Callable[[], Any], request: Any) -> None:
        def told_without_values() -> Any:
            try:
                return task()
            except Exception as error:
                if os.environ.get("TRANSFUSE_DEBUG"):
                    raise
                return beam_fn_api_pb2.InstructionResponse(
                    instruction_id=request.instruction_id,
                    error=f"{type(error).__name__}; with TRANSFUSE_DEBUG=1 the workers tell more",
                )

        super()._execute(told_without_values, request)


def main(address: str, name: str) -> None:
    """Works for the engine whose control service is at ``address`` until that ends."""
    worker = Worker(address, worker_id=name, state_cache_size=0, data_buffer_time_limit_ms=-1)
    try:
        worker.run()
    except Exception as error:
        # An engine hangs up in the middle of a word, which Beam raises.
        logging.getLogger("transfuse").debug("%s has ended: %s", name, type(error).__name__)


if __name__ == "__main__":
    main(*sys.argv[1:])
