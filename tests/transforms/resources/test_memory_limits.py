"""Which errors mean that memory is exhausted, in a process that once came near its limit."""

from __future__ import annotations

import subprocess
import sys

from tests.support.project import PROJECT

SCRIPT = """
import errno, mmap, resource
from adbc_driver_manager import AdbcStatusCode, ProgrammingError
from transforms.resources.memory_limits import is_memory_shortage

def size():
    for line in open("/proc/self/status"):
        if line.startswith("VmSize:"):
            return int(line.split()[1]) * 1024

limit = size() + (1 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
block = mmap.mmap(-1, 900 << 20)
block.close()
for error in (FileNotFoundError(errno.ENOENT, "none"), PermissionError(errno.EACCES, "no"),
              ModuleNotFoundError("No module named 'x'"), ImportError("cannot import name 'x'"),
              RuntimeError("a defect"), RecursionError("too deep"),
              ProgrammingError("a type is unknown", status_code=AdbcStatusCode.NOT_FOUND)):
    assert not is_memory_shortage(error), repr(error)
for error in (OSError(errno.ENOMEM, "x"), OSError("Cannot allocate memory"), MemoryError(),
              ImportError("x.so: failed to map segment from shared object"),
              RuntimeError("can't start new thread"), SystemError("error without exception"),
              ProgrammingError("dlopen() failed: x.so: failed to map segment from shared object",
                               status_code=AdbcStatusCode.NOT_FOUND)):
    assert is_memory_shortage(error), repr(error)
block = mmap.mmap(-1, 900 << 20)
assert is_memory_shortage(ImportError("x")) and is_memory_shortage(RuntimeError("x"))
assert not is_memory_shortage(FileNotFoundError(errno.ENOENT, "none"))
"""


def test_only_errors_that_come_from_a_lack_of_memory() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert printed.returncode == 0, printed.stderr
