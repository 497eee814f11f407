"""Output for people and for scripts: problems on stderr, tables and JSON on stdout."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import IO, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.errors import Category, ErrorCode, Problem
from transforms.model.log_event import log_problem

PRINTED = logging.getLogger("transfuse.printed")
"""The logger of problems that are printed: only log files have them once more."""
PRINTED.propagate = False
PRINTED.addHandler(logging.NullHandler())


def stderr() -> Console:
    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def stdout() -> Console:
    width = None if sys.stdout.isatty() else 160
    return _Stdout(highlight=False, markup=False, emoji=False, width=width)


class _Stdout(Console):
    def on_broken_pipe(self) -> None:
        _forget_reader(self.file)


def _forget_reader(stream: IO[str]) -> None:
    """Discard the output of a stream that is no longer read; the command's status stays."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    print_lost_stdout()


def print_lost_stdout() -> None:
    message = "stdout was closed before all output was written"
    remedy = "nothing else is lost; see the exit status, or ask again"
    print_problems([Problem(ErrorCode.USER_004, message, "stdout", remedy)])


def table_of(
    title: str, texts: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[str]]
) -> Table:
    """A table whose first columns hold texts, taken as they are, and whose others numbers."""
    table = Table(title=title)
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def printable(value: str | None) -> str:
    """A value of a row as text, quoted if blanks would be overlooked."""
    if value is None:
        return "NULL"
    plain = value.isprintable() and value == value.strip() and value not in ("", "NULL")
    return value if plain else repr(value)


def print_problems(problems: Sequence[Problem]) -> None:
    """Print problems on stderr, one line each, with its remedy below it.

    On a terminal a last line names ``explain`` if the cause is to be looked for.
    """
    console = stderr()
    for problem in problems:
        log_problem(PRINTED, logging.ERROR, problem)
        where = f"{problem.where}: " if problem.where else ""
        console.print(f"[bold red]{problem.code.value}[/] ", end="")
        console.print(f"{where}{problem.message}", markup=False)
        if problem.remedy:
            console.print(f"  -> {problem.remedy}", style="dim", markup=False)
    code = next((problem.code for problem in problems if _needs_diagnosis(problem.code)), None)
    if code is not None and console.is_terminal:
        console.print(f"To find the cause: transfuse explain {code.value}", style="dim")


def _needs_diagnosis(code: ErrorCode) -> bool:
    """Whether the cause is outside of the specification, where a remedy can't know it."""
    if code.category is Category.CONNECTION:
        return True
    return code.category is Category.SYSTEM and code is not ErrorCode.SYS_004


def problem_documents(problems: Sequence[Problem]) -> list[dict[str, str]]:
    """Problems as ``--json`` has them."""
    names = ("where", "message", "remedy")
    return [{"code": p.code.value, **{n: getattr(p, n) for n in names}} for p in problems]


def print_warnings(problems: Sequence[Problem]) -> None:
    """Print problems that don't keep the command from going on, as ``print_problems`` does."""
    console = stderr()
    for problem in problems:
        log_problem(PRINTED, logging.WARNING, problem)
        where = f"{problem.where}: " if problem.where else ""
        console.print(f"[bold yellow]warning {problem.code.value}[/] ", end="")
        console.print(f"{where}{problem.message}", markup=False)
        if problem.remedy:
            console.print(f"  -> {problem.remedy}", style="dim", markup=False)


_json_alone: ContextVar[TextIO | None] = ContextVar("_json_alone", default=None)


@contextmanager
def stdout_for_json() -> Iterator[None]:
    """Leaves stdout to ``print_json``.

    What else is printed meanwhile, by a Python function of the user's for instance, goes to
    stderr.
    """
    token = _json_alone.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _json_alone.reset(token)


def print_json(document: object) -> None:
    """One JSON document on stdout, if anybody reads it."""
    stream = _json_alone.get() or sys.stdout
    # Characters that the encoding lacks would be shown as Python writes them.
    ascii_only = not (stream.encoding or "").lower().startswith("utf")
    text = json.dumps(document, indent=2, ensure_ascii=ascii_only, default=str)
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        _forget_reader(stream)
