"""Loads the Python modules beside a specification under names of their own.

Such a module may have any name, that of one of ours included (``transforms.py``), and must not
take the place of another module of the process. So the folder of the specification isn't put on
``sys.path``; it becomes a package with a private name, and its modules are submodules of that.
In their ``import`` statements, and only there, a module of the folder comes before an installed
one, as it does in a script. An installed module never sees the files of the folder.
"""

from __future__ import annotations

import builtins
import hashlib
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module, invalidate_caches
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from transforms.model.python_function import PythonFunction

_PREFIX = "_transfuse_site_"
_LOCK = threading.Lock()


def load_module(function: PythonFunction) -> ModuleType:
    """Import the module of a function; raises whatever importing it raises."""
    top = function.module.partition(".")[0]
    if not function.folder or not lies_beside(function.folder, top):
        return import_module(function.module)
    return import_module(f"{_open_package(function.folder, function.sha256)}.{function.module}")


def lies_beside(folder: str | Path, module: str) -> bool:
    """Whether an import of the top-level ``module`` means a file or package in ``folder``.

    A folder without ``__init__.py`` is a package only where nothing else has the name, as
    everywhere in Python.
    """
    spec = PathFinder.find_spec(module, [str(folder)])
    if spec is None or spec.has_location:
        return spec is not None
    return any(Path(folder, module).rglob("*.py")) and not _is_installed(module)


def _is_installed(module: str) -> bool:
    return module in sys.modules or find_spec(module) is not None


def _open_package(folder: str, sha256: str) -> str:
    """The name of the package whose submodules are the modules of ``folder``."""
    name = _PREFIX + hashlib.sha256(f"{folder}\0{sha256}".encode()).hexdigest()[:16]
    with _LOCK:
        if name not in sys.modules:
            if _FINDER not in sys.meta_path:
                sys.meta_path.insert(0, _FINDER)
            # Files may have come since the folder was last listed.
            invalidate_caches()
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [folder]
            package = module_from_spec(spec)
            vars(package)["__builtins__"] = {
                **vars(builtins),
                "__import__": _importer(name, folder),
            }
            sys.modules[name] = package
    return name


class _SiteFinder(MetaPathFinder):
    """Finds submodules of the private packages, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_PREFIX):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _SiteLoader(spec.loader.name, spec.loader.path)
        return spec


_FINDER = _SiteFinder()


class _SiteLoader(SourceFileLoader):
    """Runs a module with the ``import`` statement of its package."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        # Always from the source: byte code is stored with a time in seconds, so it can't show
        # two versions of one second apart, and the folder isn't ours to write to.
        return self.source_to_code(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        package = sys.modules[module.__name__.partition(".")[0]]
        vars(module)["__builtins__"] = vars(package)["__builtins__"]
        super().exec_module(module)


def _importer(package: str, folder: str) -> Callable[..., ModuleType]:
    """The ``__import__`` for the modules of a package: see the documentation of the built-in."""
    is_beside = cache(lambda module: lies_beside(folder, module))

    def import_beside(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or not is_beside(top) or _imports_itself(f"{package}.{top}", globals or {}):
            return __import__(name, globals, locals, fromlist or (), level)
        module = __import__(f"{package}.{name}", globals, locals, fromlist or ())
        return module if fromlist else sys.modules[f"{package}.{top}"]

    return import_beside


def _imports_itself(imported: str, importing: Mapping[str, Any]) -> bool:
    """Whether ``json.py`` says ``import json``, which means the installed module."""
    module = imported.partition(".")[2]
    is_file = importing.get("__name__") == imported and "__path__" not in importing
    return is_file and _is_installed(module)
