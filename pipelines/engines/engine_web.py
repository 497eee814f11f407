"""What an engine's web interface says."""

from __future__ import annotations

import http.client
import json
import urllib.request
from contextlib import suppress
from typing import Any

_ANSWERS_WITHIN = 10
"""Seconds."""


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Whoever runs a job there has to reach it without a proxy: Beam's job server knows of none."""


def answer_of(url: str, method: str = "GET") -> dict[str, Any]:
    """The JSON object that a request of that method is answered with.

    Empty where the engine doesn't answer (yet), or otherwise, as another service does.
    """
    with (
        # An answer that is no JSON is a ValueError, as is a URL that is none; another service
        # than an engine may not speak HTTP.
        suppress(OSError, ValueError, http.client.HTTPException),
        _DIRECT.open(urllib.request.Request(url, method=method), timeout=_ANSWERS_WITHIN) as answer,
    ):
        document = json.load(answer)
        return document if isinstance(document, dict) else {}
    return {}
