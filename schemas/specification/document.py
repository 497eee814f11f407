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
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_NULLS = ("", "~", "null", "Null", "NULL")

MOST_VALUES = 500_000
"""How many values a file may have when its anchors are written out. A map of all codes of
ICD-9-CM has 30,000; a few lines of anchors of anchors can stand for more than any memory."""


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
        """The location of a path, of which steps that aren't written in the file are left out.

        The models have steps that a user needn't write: ``from: visits`` is ``from.0.table``.
        """
        written: ValuePath = ()
        for step in path:
            if (*written, step) in self.lines:
                written = (*written, step)
        return Location(self.file, self.lines.get(written, 1), ".".join(map(str, written)))


def read_document(path: Path, variables: Mapping[str, str]) -> Document:
    """Reads a specification file, with ``${NAME}`` replaced by ``variables``.

    ``$${NAME}`` stays ``${NAME}``. Raises TransfuseError: USER-001 where the file can't be
    read; SYS-004 where it isn't YAML, isn't a mapping, names a key twice, or uses variables
    that aren't set (all of these at once).
    """
    text = _text(path)
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        raise TransfuseError(_syntax_problem(path, error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                f"not valid YAML: the character U+{ord(text[error.position]):04X} can't stand here",
                f"{path}:{line}",
                "remove it; a text file is expected",
            )
        ) from None
    except RecursionError:
        raise TransfuseError(
            Problem(ErrorCode.SYS_004, "this is nested too deeply", str(path), "make it flatter")
        ) from None
    document = Document(str(path))
    reading = _Reading(document, variables)
    document.data = reading.value(node, ()) if node is not None else None
    if not isinstance(document.data, dict) and not reading.problems:
        reading.problem((), "the file holds no mapping", "begin with 'job: NAME'")
    if reading.problems:
        raise TransfuseError(reading.problems)
    return document


class _FastLoader(yaml.composer.Composer, yaml.CSafeLoader):
    """Nodes are made in Python of what the parser in C finds.

    Both together in C would end the process where a file is nested deeply.
    """

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        yaml.composer.Composer.__init__(self)


def _compose(text: str) -> yaml.Node | None:
    """The root node. Raises yaml.YAMLError, whose words and places are those of one parser."""
    try:
        return yaml.compose(text, Loader=_FastLoader)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                f"the specification can't be read: {error.strerror}",
                str(path),
                "give the path of a specification file (YAML)",
            )
        ) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TransfuseError(
            Problem(
                ErrorCode.USER_001,
                "the specification can't be read: it is not UTF-8 text",
                f"{path}:{line}",
                "give the path of a specification file (YAML), saved as UTF-8",
            )
        ) from None


def _syntax_problem(path: Path, error: yaml.MarkedYAMLError) -> Problem:
    """What the parser says, at the line where the thing begins if it never ends."""
    message, mark, begun = str(error.problem or ""), error.problem_mark, error.context_mark
    if error.context is not None:
        message = (
            f"{error.context}, {message}"
            if message.startswith("but ")
            else f"{message} {error.context}"
        )
        if begun is not None and mark is not None and begun.line < mark.line:
            message += f" that begins at line {begun.line + 1}"
            if "end of stream" in message or "<stream end>" in message:
                mark = begun
    return Problem(
        ErrorCode.SYS_004,
        f"not valid YAML: {message}",
        f"{path}:{mark.line + 1 if mark is not None else 1}",
        "fix the file at this line; values with ': ', '#', '%' or '{' need quotes,"
        " and indentation is made of blanks",
    )


@dataclass
class _Reading:
    document: Document
    variables: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    _open: list[int] = field(default_factory=list)
    _read: int = 0

    def problem(self, path: ValuePath, message: str, remedy: str) -> None:
        where = str(self.document.locate(path))
        self.problems.append(Problem(ErrorCode.SYS_004, message, where, remedy))

    def value(self, node: yaml.Node, path: ValuePath) -> Any:
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self._open:
            self.problem(path, "the anchor contains itself", "write the value out")
            return None
        self._read += 1
        if self._read > MOST_VALUES:
            message = f"the file has more than {MOST_VALUES:,} values, anchors written out"
            self.problem(path[:1], message, "make it smaller")
            raise TransfuseError(self.problems)
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
        # Before the mapping's own keys, whose lines count where they stand in both.
        for key_node, value_node in node.value:
            if _is_merge(key_node):
                here: ValuePath = (*path, "<<")
                self.document.lines[here] = key_node.start_mark.line + 1
                inherited = {**self._merge(value_node, path), **inherited}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if _is_merge(key_node):
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.document.lines.setdefault((*path, "?"), line)
                self.problem((*path, "?"), "a key must be text", "put the key in quotes")
                continue
            key = str(key_node.value)
            here = (*path, key)
            if _UNSTORABLE.search(key):
                self._unstorable(path)
                continue
            if key in found:
                self.document.lines[here] = line
                self.problem(here, f"the key '{key}' stands here a second time", "keep one of them")
                continue
            if key.startswith("x-") and "values" not in path[-1:]:
                continue
            self.document.lines[here] = line
            found[key] = self.value(value_node, here)
        return {**inherited, **found}

    def _merge(self, node: yaml.Node, path: ValuePath) -> dict[str, Any]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for one in nodes:
            value = self.value(one, path)
            if isinstance(value, dict):
                merged = {**value, **merged}
            else:
                here = (*path, "<<")
                self.problem(here, "'<<' takes mappings only", "name an anchor of a mapping")
        return merged

    def _scalar(self, node: yaml.ScalarNode, path: ValuePath) -> str | None:
        text = str(node.value)
        if not node.style and text in _NULLS:
            return None

        def replace(match: re.Match[str]) -> str:
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

        filled = _VARIABLE.sub(replace, text)
        if _UNSTORABLE.search(filled):
            self._unstorable(path)
            return ""
        return filled

    def _unstorable(self, path: ValuePath) -> None:
        self.problem(
            path,
            "this has a character that no PostgreSQL text can have: NUL or half a surrogate pair",
            "leave it out",
        )


def _is_merge(node: yaml.Node) -> bool:
    if not isinstance(node, yaml.ScalarNode):
        return False
    return node.tag == "tag:yaml.org,2002:merge" or (node.value == "<<" and not node.style)
