"""Questions that a person answers before something is done that can't simply be done again."""

from __future__ import annotations

import sys


def is_confirmed(question: str, yes: bool) -> bool:
    """Asks on stderr, and reads the answer where stdin is a terminal.

    Args:
        question: What is about to be done, with its extent, as a question.
        yes: Whether it was confirmed by ``--yes``.

    Returns:
        True also where nobody is there to be asked: a script says what it wants by its flags.
    """
    if yes or sys.stdin is None or not sys.stdin.isatty():
        return True
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
