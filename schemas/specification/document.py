"""A YAML document whose values remember the line on which they stand.

Scalars stay text as they are written (``no``, ``010``, ``250.00``), because keys and
constants of a specification are hospital data; the models turn what is a number or a
truth value into one. Only a plain ``null``, ``~`` or nothing at all is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from schemas.errors import ErrorCode, Problem, TransfuseError

ValuePath = tuple["str | int", ...]
"""The way to a value: keys of mappings and positions in lists."""

_VARIABLE = re.compile(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True)
class Location:
    """Where something stands: ``file:line path``."""

    file: str
    line: int
    path: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.path}".rstrip()


@dataclass
class Document:
    """The values of a file, and the line of each path in it."""

    file: str
    data: Any = None
    lines: dict[ValuePath, int] = field(default_factory=dict)

    def locate(self, path: ValuePath) -> Location:
        """The location of a path, or of the nearest thing around it that has a line."""
        around = path
        while around and around not in self.lines:
            around = around[:-1]
        return Location(self.file, self.lines.get(around, 1), ".".join(map(str, path)))


def read_document(path: Path, variables: Mapping[str, str]) -> Document:
    """Reads a specification file, with ``${NAME}`` replaced by ``variables``.

    ``$${NAME}`` stays ``${NAME}``. Raises TransfuseError: USER-001 where the file can't be
    read; SYS-004 where it isn't YAML, isn't a mapping, names a key twice, or uses variables
    that aren't set (all of these at once).
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"the specification can't be read: {reason}",
                str(path),
                "give the path of a specification file (YAML)",
            )
        ) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                f"not valid YAML: {error.problem or error.context}",
                f"{path}:{line}",
                "mend the file at this line; values with ': ', '#', '%' or '{' need quotes",
            )
        ) from None
    except yaml.YAMLError as error:
        raise TransfuseError(
            Problem(ErrorCode.SYS_004, f"not valid YAML: {error}", f"{path}:1", "mend the file")
        ) from None
    document = Document(str(path))
    reading = _Reading(document, variables)
    document.data = reading.value(node, ()) if node is not None else None
    if not isinstance(document.data, dict) and not reading.problems:
        reading.problem((), "the file holds no mapping", "begin with 'job: NAME'")
    if reading.problems:
        raise TransfuseError(reading.problems)
    return document


@dataclass
class _Reading:
    document: Document
    variables: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    _open: list[int] = field(default_factory=list)

    def problem(self, path: ValuePath, message: str, remedy: str) -> None:
        where = str(self.document.locate(path))
        self.problems.append(Problem(ErrorCode.SYS_004, message, where, remedy))

    def value(self, node: yaml.Node, path: ValuePath) -> Any:
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self._open:
            self.problem(path, "the anchor contains itself", "write the value out")
            return None
        self._open.append(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(n, (*path, i)) for i, n in enumerate(node.value)]
            return self._scalar(node, path)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: ValuePath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        inherited: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.document.lines.setdefault((*path, "?"), line)
                self.problem((*path, "?"), "a key must be text", "put the key in quotes")
                continue
            key = str(key_node.value)
            if key_node.tag == "tag:yaml.org,2002:merge" or (key == "<<" and not key_node.style):
                inherited = {**self._merged(value_node, path), **inherited}
                continue
            here = (*path, key)
            if key in found:
                self.document.lines[here] = line
                self.problem(here, f"the key '{key}' stands here a second time", "keep one of them")
                continue
            if key.startswith("x-") and "values" not in path[-1:]:
                continue
            self.document.lines[here] = line
            found[key] = self.value(value_node, here)
        return {**inherited, **found}

    def _merged(self, node: yaml.Node, path: ValuePath) -> dict[str, Any]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for one in nodes:
            value = self.value(one, path)
            if isinstance(value, dict):
                merged = {**value, **merged}
            else:
                self.problem(path, "'<<' takes mappings only", "name an anchor of a mapping")
        return merged

    def _scalar(self, node: yaml.ScalarNode, path: ValuePath) -> str | None:
        text = str(node.value)
        if node.style is None and text in _NULLS:
            return None

        def replaced(match: re.Match[str]) -> str:
            escaped, name = match.groups()
            if escaped:
                return match[0][1:]
            if name not in self.variables:
                self.problem(
                    path,
                    f"the variable {name} is not set",
                    f"set it in the environment or with --var {name}=...",
                )
                return ""
            return self.variables[name]

        return _VARIABLE.sub(replaced, text)
