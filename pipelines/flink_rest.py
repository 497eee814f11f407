"""What Flink's REST interface says of a cluster, and how a job that nobody waits for is ended.

All of it is done as far as it goes: who may talk to that interface, and how, is the cluster's own
affair, and Beam's job server may know more of it than this process.
"""

from __future__ import annotations

import http.client
import json
import urllib.request
from contextlib import suppress
from typing import Any

_ANSWERS_WITHIN = 10
"""Seconds."""

_ENDED = ("FINISHED", "CANCELED", "FAILED")


def slots_of(master: str) -> int | None:
    """How many slots a cluster has, by the URL of its interface; None where it doesn't say, or
    makes them when they are asked for."""
    slots = _asked(f"{master}/overview").get("slots-total")
    return slots if isinstance(slots, int) and slots > 0 else None


def cancel_job(master: str, name: str) -> None:
    """Cancels the jobs of that name that are still running."""
    for job in _asked(f"{master}/jobs/overview").get("jobs", []):
        if job.get("name") == name and job.get("state") not in _ENDED:
            _asked(f"{master}/jobs/{job['jid']}?mode=cancel", "PATCH")


def _asked(url: str, method: str = "GET") -> dict[str, Any]:
    """The answer; nothing where there is none."""
    with (
        # An answer that is no JSON is a ValueError, as is a URL that is none; another service
        # than Flink may not speak HTTP.
        suppress(OSError, ValueError, http.client.HTTPException),
        urllib.request.urlopen(
            urllib.request.Request(url, method=method), timeout=_ANSWERS_WITHIN
        ) as answer,
    ):
        found = json.load(answer)
        return found if isinstance(found, dict) else {}
    return {}
