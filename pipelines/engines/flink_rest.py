"""What Flink's REST interface says of a cluster, and how a job that nobody waits for is ended.

All of it is done as far as it goes: who may talk to that interface, and how, is the cluster's own
affair, and Beam's job server may know more of it than this process.
"""

from __future__ import annotations

import logging
from typing import Any

from pipelines.engines.engine_web import answer_of

logger = logging.getLogger("transfuse")

_ENDED = ("FINISHED", "CANCELED", "FAILED")


def slots_of(master: str) -> int | None:
    """How many slots a cluster has, by the URL of its interface; None where it makes them when
    they are asked for, or doesn't say, which is warned of."""
    slots = answer_of(f"{master}/overview").get("slots-total")
    if not isinstance(slots, int):
        logger.warning(
            "%s doesn't answer as Flink's REST interface does; unless it asks for a password, see"
            " whether the address is that of rest.port (8081 by default), not of"
            " jobmanager.rpc.port",
            master,
        )
        return None
    return slots or None


def was_cancelled(master: str, name: str) -> bool:
    """Whether the last job of that name was cancelled, as far as the cluster says."""
    states = [job.get("state") for job in _jobs(master, name) or ()]
    return "CANCELED" in states or "CANCELLING" in states


def cancel_job(master: str, name: str) -> bool:
    """Cancels the jobs of that name that are still running; False where the cluster doesn't say
    what runs there."""
    jobs = _jobs(master, name)
    for job in jobs or ():
        if job.get("state") not in _ENDED:
            answer_of(f"{master}/jobs/{job['jid']}?mode=cancel", "PATCH")
    return jobs is not None


def _jobs(master: str, name: str) -> list[dict[str, Any]] | None:
    """The jobs of that name; None where the cluster doesn't say what runs there."""
    jobs = answer_of(f"{master}/jobs/overview").get("jobs")
    if not isinstance(jobs, list):
        return None
    return [job for job in jobs if job.get("name") == name]
