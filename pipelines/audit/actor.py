"""The person who acts, and the machine and process that do it."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass

from schemas.errors import ErrorCode, Problem, TransfuseError

LONGEST_NAME = 100
"""Characters of a person's name at most."""


@dataclass(frozen=True)
class Actor:
    """Who acts.

    Attributes:
        person: The name of ``--by``, else that of the user of the operating system.
        host: The name of the machine.
        process: The number of the process.
    """

    person: str
    host: str
    process: int


class _ThisProcess:
    """For whom this process acts; None for the user of the operating system."""

    person: str | None = None


def act_for(person: str | None) -> None:
    """Have the following calls of this process recorded under a person's name.

    Args:
        person: The name; None for the user of the operating system.

    Raises:
        TransfuseError: USER-001 for a blank name, one with control characters, or one that is
            longer than 100 characters.
    """
    if person is not None and not (
        person.strip() and person.isprintable() and len(person) <= LONGEST_NAME
    ):
        message = f"a name has 1 to {LONGEST_NAME} printable characters"
        problem = Problem(ErrorCode.USER_001, message, "--by", "write --by 'Jane Doe'")
        raise TransfuseError(problem)
    _ThisProcess.person = None if person is None else person.strip()


def current_actor() -> Actor:
    """Who acts now."""
    return Actor(_ThisProcess.person or _system_user(), socket.gethostname(), os.getpid())


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        # A container may run under a number without a name.
        return f"uid {os.getuid()}"
