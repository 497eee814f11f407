"""Where other processes can reach a process: what it and its children listen on."""

from __future__ import annotations

from contextlib import suppress

import psutil


def family_of(pid: int) -> list[psutil.Process]:
    """A process with all that it has started."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def listening(pid: int) -> set[str]:
    """Addresses of TCP, and of Unix sockets, on which a process or a child of it takes requests."""
    found = set()
    for process in family_of(pid):
        with suppress(psutil.NoSuchProcess):
            for one in process.net_connections("all"):
                if one.status == psutil.CONN_LISTEN and one.laddr:
                    found.add(f"{one.laddr.ip}:{one.laddr.port}")
                elif isinstance(one.laddr, str) and one.laddr:
                    found.add(one.laddr)
                elif one.type == 2 and one.laddr and not one.raddr:
                    found.add(f"udp {one.laddr.ip}:{one.laddr.port}")
    return found
