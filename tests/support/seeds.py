"""Seeds of tests that try one invariant at random moments: a few each time, more on request.

Forty kills prove one invariant: ten of them for each change are enough.
"""

from __future__ import annotations

from typing import Any

import pytest


def seeds(always: int, thoroughly: int) -> list[Any]:
    """Parameters from 0 on: the first ones for each run of the slow tests, the others marked.

    Args:
        always: how many seeds each run of the slow tests tries, ten at most.
        thoroughly: how many ``./run_tests.sh --thorough`` tries.
    """
    marked = [pytest.param(n, marks=pytest.mark.thorough) for n in range(always, thoroughly)]
    return [*range(always), *marked]
