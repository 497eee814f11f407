"""What a process of another user finds of a run: a script, and how it is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

NOBODY = 65534

_SCRIPT = r"""
import ctypes, json, os, signal, socket, stat, sys

asked = json.load(sys.stdin)
assert os.getuid() == os.geteuid() == asked["user"] and not os.access("/etc/shadow", os.R_OK)
found = []


def tried(what, act):
    try:
        act()
    except OSError:
        return
    found.append(what)


def opened(path):
    open(path, "rb").close()


def read(path):
    # What has ended, and isn't waited for yet, can be opened and has nothing.
    with open(path, "rb") as file:
        if not file.read(1):
            raise OSError


def connected(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)


for pid in asked["pids"]:
    for name in ("environ", "mem", "maps", "stack", "auxv"):
        tried(f"/proc/{pid}/{name}", lambda: read(f"/proc/{pid}/{name}"))
    for name in ("fd", "cwd"):
        tried(f"/proc/{pid}/{name}", lambda: os.listdir(f"/proc/{pid}/{name}"))
    tried(f"signal to {pid}", lambda: os.kill(pid, signal.SIGCONT))
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            line = file.read().decode(errors="replace")
    except OSError:
        line = ""
    for secret in asked["secrets"]:
        if secret in line:
            found.append(f"'{secret}' in the arguments of {pid}")

for root in asked["roots"]:
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if path in asked["known"]:
                continue
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode):
                tried(f"folder {path}", lambda: os.listdir(path))
            elif stat.S_ISSOCK(mode):
                tried(f"socket {path}", lambda: connected(path))
            else:
                tried(f"file {path}", lambda: opened(path))
            if not stat.S_ISLNK(mode) and os.access(path, os.W_OK):
                found.append(f"{path} can be written to")
print(json.dumps(found))
"""


def paths_below(roots: Iterable[Path]) -> list[str]:
    return [str(path) for root in roots for path in root.rglob("*")]


def findings(
    pids: Sequence[int], roots: Sequence[Path], known: Sequence[str], secrets: Sequence[str]
) -> list[str]:
    """What another user can read or disturb of processes, and of what is new below folders that
    everybody can look into. The test is skipped where no process can be another user's."""
    if os.geteuid() != 0:
        pytest.skip("only root can have another user look for a way in")
    asked = {
        "user": NOBODY,
        "pids": list(pids),
        "roots": [str(root) for root in roots],
        "known": list(known),
        "secrets": list(secrets),
    }
    # This Python may lie where others can't start it.
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        try:
            ended = subprocess.run(
                [python, "-I", "-S", "-c", _SCRIPT],
                input=json.dumps(asked),
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                env={},
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
            )
        except OSError:
            continue
        assert ended.returncode == 0, ended.stderr
        return [str(one) for one in json.loads(ended.stdout)]
    pytest.skip("another user can start no Python here")
