"""How much memory this process may use and needs, and which errors mean that there is too little.

Where memory is limited (``ulimit -v``, a batch system), whatever asks next fails: loading a shared
library (ImportError), starting a thread (RuntimeError), an extension that reports nothing
(SystemError). Nothing heavy is imported here, since that may be what fails.
"""

from __future__ import annotations

import errno
import resource
from contextlib import suppress
from pathlib import Path

from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError

_GIB = 2**30

_BASE = int(2.4 * _GIB)
"""Address space of a run without workers. Most of it is reserved and never used: 2.67 GiB were
measured with one worker, 2.98 with two, and 0.35 to 0.4 resident."""

_WORKER = int(0.35 * _GIB)
"""Address space of each worker: stacks and heaps of its threads."""

_LEAST = _GIB
"""Address space without which no verb gets anywhere. Refused before anything is imported: OpenBLAS,
which NumPy loads, asks again and again for what it doesn't get, and no signal is answered then."""

_MARGIN = _GIB // 2
"""How close to its limit a process must have come for a failure without a reason to be a lack of
memory: as much as is asked for at once."""

_TEXTS = (
    "cannot allocate memory",
    "failed to map segment",
    "can't start new thread",
    "can't allocate",
    "out of memory",
    "bad_alloc",
)

_WITHOUT_REASON = (ImportError, RuntimeError, SystemError)
"""Errors, none of a class derived from them, that may be raised for a lack of memory without saying
so. An OSError has a number, and a ModuleNotFoundError or RecursionError a reason of its own."""


def refuse_too_little_memory(workers: int | None = None) -> None:
    """Refuse to start a run for which the limit of address space is too low.

    Args:
        workers: how many partitions a run works on at once; 0 for a command that only reads
            rows, None for what any command needs.

    Raises:
        TransfuseError: SYS-001 with exit status 3.
    """
    limit = _limits().get("v")
    least = _LEAST if workers is None else _BASE + workers * _WORKER
    if limit is not None and limit < least:
        raise TransfuseError(
            memory_problem(2 if workers is None else workers), ExitStatus.INCOMPLETE
        )


def memory_problem(workers: int = 2) -> Problem:
    """The problem that there is too little memory, with what is needed and how to get it."""
    needed = _BASE + workers * _WORKER + _MARGIN
    remedy = f"ulimit -v {needed // 1024} before the command, or unlimited"
    if workers > 0:
        remedy += "; fewer workers (--direct_num_workers=1) and a smaller limits.memory need less"
    return Problem(
        ErrorCode.SYS_001,
        f"there is too little memory: {describe_need(workers)}",
        "this process",
        f"{remedy}. Start again to continue",
    )


def describe_need(workers: int = 2) -> str:
    """What the process needs, and what it may use at most, as part of a sentence."""
    needed = _BASE + workers * _WORKER + _MARGIN
    who = f"{workers} workers need" if workers > 1 else "one worker needs"
    words = f"{who if workers else 'reading rows needs'} {needed / 1e9:.1f} GB of address space"
    limits = {"v": "address space", "d": "data"}
    for flag, limit in _limits().items():
        words += f"; ulimit -{flag} allows {limit / 1e9:.1f} GB of {limits[flag]}"
    return words


def is_memory_shortage(error: BaseException) -> bool:
    """Whether an error, or one that it was raised for, means that memory is exhausted."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if _means_shortage(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _means_shortage(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryException":
        return True
    if isinstance(error, OSError):
        # Libraries raise it with a text alone.
        return error.errno == errno.ENOMEM or (error.errno is None and _tells_shortage(error))
    of_reader = type(error).__module__.startswith("adbc_driver_manager")
    if (of_reader or isinstance(error, _WITHOUT_REASON)) and _tells_shortage(error):
        return True
    return type(error) in _WITHOUT_REASON and _is_near_limit(isinstance(error, SystemError))


def _tells_shortage(error: BaseException) -> bool:
    text = str(error).lower()
    return any(one in text for one in _TEXTS)


def _is_near_limit(ever: bool) -> bool:
    """Whether little is left of what the process may use, or with ``ever`` has once been."""
    names = {"v": "VmPeak" if ever else "VmSize", "d": "VmData"}
    return any(_memory_in_use(names[flag]) > limit - _MARGIN for flag, limit in _limits().items())


def _limits() -> dict[str, int]:
    """The bytes that the process may use, by the flag of ``ulimit`` that limits them."""
    kinds = {"v": resource.RLIMIT_AS, "d": resource.RLIMIT_DATA}
    limits = {flag: resource.getrlimit(kind)[0] for flag, kind in kinds.items()}
    return {flag: limit for flag, limit in limits.items() if limit != resource.RLIM_INFINITY}


def _memory_in_use(name: str) -> int:
    with suppress(OSError, ValueError, MemoryError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
