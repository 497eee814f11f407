"""Keeps values of arguments out of the list of processes, which every user of a machine can read.

A URL with a password is meant to come from the environment, and a row for ``try`` from stdin. Where
they are arguments nevertheless, they can be seen only for the moment that Python takes to start.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_FLAG = b"--var"

_ARG_START = 48
"""The field of /proc/self/stat, from 1, with the address of the first argument (proc(5))."""


def hide_arguments() -> None:
    """Overwrites the values of ``--var NAME=VALUE``, and rows in JSON, where the system reads this
    process's command line. Python has a copy of its own. Where there is no /proc, nothing is done.
    """
    with suppress(OSError, ValueError, IndexError):
        line = Path("/proc/self/cmdline").read_bytes()
        places = _places(line)
        # The second field is the program's name in parentheses, which may have blanks.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        address = int(fields[_ARG_START - 3])
        if places and address:
            _overwrite(address, line, places)


def _overwrite(address: int, line: bytes, places: list[tuple[int, int]]) -> None:
    import ctypes

    # What lies there must be what was read.
    if ctypes.string_at(address, len(line)) == line:
        for begin, end in places:
            ctypes.memset(address + begin, ord("x"), end - begin)


def _places(line: bytes) -> list[tuple[int, int]]:
    """Where what is to be hidden lies in a command line, whose arguments end with NUL."""
    places = []
    begin, is_value = 0, False
    for argument in line.split(b"\0"):
        end = begin + len(argument)
        if argument.startswith(b"{"):
            places.append((begin, end))
        elif is_value or argument.startswith(_FLAG + b"="):
            name_ends = argument.find(b"=", 0 if is_value else len(_FLAG) + 1)
            if name_ends >= 0:
                places.append((begin + name_ends + 1, end))
        is_value = argument == _FLAG
        begin = end + 1
    return places
