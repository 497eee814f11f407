"""What the Python functions of a field are made of: a digest of the files that define them."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from schemas.sql.transformations import is_python_function


def digest_of_functions(transforms: Sequence[str], folder: str) -> str | None:
    """Tells functions from what they were before somebody changed them.

    Args:
        transforms: the transformations of a field, of which some may be ``module:function``.
        folder: the one of the specification, where modules are looked for first.

    Returns:
        The SHA-256 of the files of their modules, and of all modules and packages in the folder
        that these import; None without Python functions.
    """
    modules = {t.partition(":")[0] for t in transforms if is_python_function(t)}
    if not modules:
        return None
    digest = hashlib.sha256()
    for name, path in sorted(_files(modules, Path(folder)).items()):
        content = path.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _files(modules: set[str], folder: Path) -> dict[str, Path]:
    """The files by their place in the folder, those from elsewhere by their module."""
    found: dict[str, Path] = {}
    waiting, seen = [*modules], set[str]()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        beside = [path for path in _beside(module, folder) if path.is_file()]
        if not beside and module in modules:
            installed = find_spec(module)
            if installed is not None and installed.origin and Path(installed.origin).is_file():
                found[module] = Path(installed.origin)
        for path in beside:
            found[path.relative_to(folder).as_posix()] = path
            waiting += _imported(path)
    return found


def _beside(module: str, folder: Path) -> list[Path]:
    """Where a module in the folder may be, and all of its package, which imports from itself."""
    top = module.partition(".")[0]
    return [folder / f"{top}.py", *sorted((folder / top).rglob("*.py"))]


def _imported(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        # Whether it can be imported is told where functions are looked for.
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
