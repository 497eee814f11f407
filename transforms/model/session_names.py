"""The names that servers list sessions under (``application_name`` in ``pg_stat_activity``).

A name holds the verb, the run and the part that the session has in it, and the job at the end: the
server cuts a name off after 63 bytes. A URL that has a name of its own keeps it.
"""

from __future__ import annotations


class ProcessSessions:
    """The name of sessions of this process that aren't named otherwise.

    Attributes:
        verb: What the command does; ``from Python`` without a command line.
        name: The name.
    """

    verb = "from Python"
    name = "transfuse from Python"


def session_name(verb: str, job: str, run: int = 0, part: str = "launcher") -> str:
    """The name of a session.

    Args:
        verb: The verb of the command, such as ``migrate``.
        job: The job.
        run: The number of the run; 0 before it begins, and where there is none.
        part: What the session is for: ``launcher``, ``reader``, ``writer``, ``watcher`` or
            ``preflight``.
    """
    return f"transfuse {verb} {f'run {run} ' if run else ''}{part} of {job}"
