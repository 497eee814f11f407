"""The text of a specification as the job's row keeps it: without passwords and tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from schemas.errors import HIDDEN

_USERINFO = re.compile(r"(://[^\s:/@]*:)(?!\$\{\w+\}@).*@")
_CHANNEL = re.compile(r"(\bto[\"']?\s*:\s*[\"']?[\w+.\-]+)://[^\s\"']*")
_VARIABLE = re.compile(r"[\"']?\$\{\w+\}[\"']?")
_PARAMETER = re.compile(r"((?:ssl)?password\s*=)(?!\$\{\w+\})[^&\s\"']+", re.IGNORECASE)


def text_without_passwords(text: str) -> str:
    """Replaces the passwords of URLs that are written out, in comments too.

    ``${NAME}`` stays: a variable is not filled in, so it gives nothing away. Of a channel of
    ``notify`` everything else is replaced, since tokens are anywhere in its URL or command.

    Args:
        text: a specification that could be read, as written.

    Returns:
        The text with ``***`` in the place of each password.
    """
    for start, stop in sorted(set(_channels(text)), reverse=True):
        if not _VARIABLE.fullmatch(text[start:stop]):
            text = f'{text[:start]}"{HIDDEN}"{text[stop:]}'
    parts, end = [], 0
    for start, stop in sorted(set(_urls(text))):
        # A quoted URL can be written over several lines, or with escapes.
        written = text[start:stop]
        joined = re.sub(r"\\\s*\n\s*", "", written)
        parts += [text[end:start], joined]
        end = stop
    lines = "".join([*parts, text[end:]]).split("\n")
    return "\n".join(hide_passwords(line) for line in lines)


def hide_passwords(line: str) -> str:
    """Replaces passwords of URLs and parameters (``password=``), and the URLs of channels."""
    line = _CHANNEL.sub(rf"\1://{HIDDEN}", line)
    return _PARAMETER.sub(rf"\1{HIDDEN}", _USERINFO.sub(rf"\1{HIDDEN}@", line))


def _channels(text: str) -> Iterator[tuple[int, int]]:
    """Where the URLs of channels, and the arguments of their commands, begin and end."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, part in _entries(root):
        if key != "notify" or not isinstance(part, yaml.SequenceNode):
            continue
        for channel in part.value:
            for name, node in _entries(channel):
                if name == "to":
                    yield node.start_mark.index, node.end_mark.index
                elif name == "command" and isinstance(node, yaml.SequenceNode):
                    for argument in node.value[1:]:
                        yield argument.start_mark.index, argument.end_mark.index


def _urls(text: str) -> Iterator[tuple[int, int]]:
    """Where the URLs of sources and target begin and end."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, part in _entries(root):
        databases = [part] if key in ("source", "target") else []
        if key == "sources":
            databases = [source for _, source in _entries(part)]
        for database in databases:
            for name, url in _entries(database):
                if name == "url":
                    yield url.start_mark.index, url.end_mark.index


def _entries(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield str(key.value), value
