"""The parts of which the table of verbs is made."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class Argument:
    """A flag or a positional argument; ``options`` are those of ``add_argument``."""

    def __init__(self, name: str, help: str, **options: Any) -> None:
        self.name = name
        self.options = {"help": help, **options}


@dataclass(frozen=True)
class Verb:
    """A verb, or an action of a group."""

    name: str
    help: str
    run: Callable[[argparse.Namespace, list[str]], int]
    arguments: tuple[Argument, ...] = ()
    """Those of its own, beside the common ones."""
    takes_flags: bool = False
    """Whether flags that aren't listed go to Beam."""
    needs: tuple[str, ...] = ()
    """The flags that it can't do without."""
    reads_specification: bool = True
    """Whether it takes a specification, and with it the common flags."""


@dataclass(frozen=True)
class VerbGroup:
    """A word that is followed by an action."""

    name: str
    help: str
    actions: tuple[Verb, ...]
