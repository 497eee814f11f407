"""A step of the guide: a sentence, and the command or statement that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class CommandLanguage(str, Enum):
    """The language of a command."""

    SHELL = "shell"
    SQL = "sql"
    YAML = "yaml"
    """A part of the specification."""
    PG_HBA = "pg_hba.conf"
    """A line of the server's file of that name."""


class CommandScope(str, Enum):
    """Where a command belongs, and for what it is repeated when it is filled in."""

    MACHINE = "this machine"
    JOB = "the specification"
    LOADS = "each load"
    TARGET = "the target"
    SERVERS = "each database"
    NETWORK = "each server that is reached over a network"
    SOURCE_TABLES = "each table of a source database"
    SOURCE_ROWS = "each table or query of a source database"
    TARGET_TABLES = "each target table"
    SOURCE_REFERENCES = "each reference within a source database"
    TARGET_REFERENCES = "each reference within the target"
    CODE_COLUMNS = "each source column with codes of a medical code system"


@dataclass(frozen=True)
class GuideStep:
    """A step of a diagnosis or of a resolution.

    Attributes:
        text: The sentence.
        command: A template with ``{placeholders}``; empty if the step is only advice.
        language: The language of the command.
        scope: Where the command belongs.
        replaces: The first words of the guide's statements that this one stands for.
        differs: Why it isn't the guide's own; required with ``replaces``.
    """

    text: str
    command: str = ""
    language: CommandLanguage = CommandLanguage.SHELL
    scope: CommandScope = CommandScope.MACHINE
    replaces: tuple[str, ...] = ()
    differs: str = ""


def advice(text: str) -> GuideStep:
    """A step without a command."""
    return GuideStep(text)


def shell(
    text: str,
    command: str,
    scope: CommandScope = CommandScope.MACHINE,
    replaces: tuple[str, ...] = (),
    differs: str = "",
) -> GuideStep:
    """A step with a shell command."""
    return GuideStep(text, command, CommandLanguage.SHELL, scope, replaces, differs)


def transfuse(
    text: str,
    command: str,
    replaces: tuple[str, ...] = (),
    differs: str = "",
    scope: CommandScope = CommandScope.JOB,
) -> GuideStep:
    """A step with a command of Transfuse, which takes the specification."""
    return GuideStep(text, command, CommandLanguage.SHELL, scope, replaces, differs)


def sql(
    text: str,
    command: str,
    scope: CommandScope,
    replaces: tuple[str, ...] = (),
    differs: str = "",
) -> GuideStep:
    """A step with an SQL statement."""
    return GuideStep(text, command.strip("\n"), CommandLanguage.SQL, scope, replaces, differs)


def specification(
    text: str, command: str, replaces: tuple[str, ...] = (), differs: str = ""
) -> GuideStep:
    """A step with a part of the specification."""
    return GuideStep(
        text, command.strip("\n"), CommandLanguage.YAML, CommandScope.MACHINE, replaces, differs
    )
