"""Questions that a person answers before something is done that can't simply be done again."""

from __future__ import annotations

import sys


def can_ask() -> bool:
    """Whether a person is there to be asked: stdin is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def is_confirmed(question: str) -> bool:
    """Ask on stderr, and read the answer from the terminal.

    Args:
        question: What is about to be done, with its extent, as a question.

    Returns:
        True if the answer is yes.
    """
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
