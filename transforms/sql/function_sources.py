"""Digests of the files that Python functions are made of."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from transforms.model.python_function import PythonFunction
from transforms.sql.site_modules import lies_beside


def digest_of_functions(functions: Collection[PythonFunction]) -> str | None:
    """A digest that changes with the functions.

    Args:
        functions: the ones of a field, which can be imported.

    Returns:
        The SHA-256 of the files of their modules, and of all modules and packages beside the
        specification that these import; None without functions.
    """
    if not functions:
        return None
    (folder,) = {Path(function.folder) for function in functions}
    modules = {function.module for function in functions}
    return _digest(_files_beside(modules, folder) | _installed_files(modules, folder))


def digest_of_modules(modules: Collection[str], folder: str) -> str:
    """A digest of those ``modules`` that lie in ``folder``, and of what they import from there."""
    return _digest(_files_beside(modules, Path(folder))) if folder else ""


def _digest(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        content = path.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _installed_files(modules: Collection[str], folder: Path) -> dict[str, Path]:
    """The files of installed modules, by module."""
    files = {}
    for module in modules:
        if not lies_beside(folder, module.partition(".")[0]):
            spec = find_spec(module)
            if spec is not None and spec.origin and Path(spec.origin).is_file():
                files[module] = Path(spec.origin)
    return files


def _files_beside(modules: Collection[str], folder: Path) -> dict[str, Path]:
    """The files of modules in the folder, and of those that they import, by place in it."""
    files: dict[str, Path] = {}
    waiting, seen = [module.partition(".")[0] for module in modules], set[str]()
    while waiting:
        module = waiting.pop()
        if module in seen or not lies_beside(folder, module):
            continue
        seen.add(module)
        # All of a package counts, since it imports from itself.
        for path in (folder / f"{module}.py", *sorted((folder / module).rglob("*.py"))):
            if path.is_file():
                place = path.relative_to(folder)
                files[place.as_posix()] = path
                waiting += _imports(path, depth=len(place.parts))
    return files


def _imports(path: Path, depth: int) -> Iterator[str]:
    """The top-level modules that a file imports, those of its folder's top included."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        # The function can't be imported either, which is reported where it is looked up.
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level in (0, depth):
            if node.module:
                yield node.module.partition(".")[0]
            else:
                yield from (alias.name for alias in node.names)
