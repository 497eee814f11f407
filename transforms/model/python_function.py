"""A site's Python function, as a compiled field names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PythonFunction:
    """A transformation written in Python: an Arrow array in, one as long out.

    ``folder`` is that of the specification, where its module is looked for first (empty: among
    the installed modules only). ``sha256`` is the digest of all modules there that the
    specification uses, so that a process that outlives a run loads them again once they change.
    """

    module: str
    name: str
    folder: str = ""
    sha256: str = ""
