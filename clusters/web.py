"""What an engine's web interface says."""

from __future__ import annotations

import http.client
import json
import urllib.request
from contextlib import suppress
from typing import Any

_ANSWERS_WITHIN = 5
"""Seconds."""


def said_at(url: str) -> dict[str, Any]:
    """The JSON object at a URL; nothing where the engine doesn't answer yet, or otherwise."""
    with (
        # An answer that is no JSON is a ValueError.
        suppress(OSError, ValueError, http.client.HTTPException),
        urllib.request.urlopen(url, timeout=_ANSWERS_WITHIN) as answer,
    ):
        found = json.load(answer)
        return found if isinstance(found, dict) else {}
    return {}
