"""Arguments that a verb doesn't take: what to say about them.

Nothing is imported here that a ``--help`` doesn't need; flags for Beam are judged in
``pipelines.engines.beam_flags``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence

from schemas.errors import ErrorCode, Problem, TransfuseError

_DRY_RUN = "dryrun"

_OTHER_WORDS = frozenset(
    ("noop", "preview", "rehearse", "simulate", "simulation", "whatif", "noexecute", "justprint")
)
"""How other tools spell a dry run, as letters only."""

_LIKE_A_DRY_RUN = 0.8
"""Similarity from which a flag counts as a mistyped ``--dry-run``. No flag of Beam comes near."""


def closest(word: str, words: Iterable[str]) -> str | None:
    """The most similar of some words; None if none is similar."""
    matches = difflib.get_close_matches(word, list(words), 1, 0.65)
    return matches[0] if matches else None


def names_of(flags: Sequence[str]) -> list[str]:
    """The names of flags, without their values: ``--a`` of ``--a=1``."""
    return [flag.partition("=")[0] for flag in flags if flag.startswith("-")]


def refuse_dry_run(flags: Sequence[str], remedy: str) -> None:
    """Refuses ``--dry-run`` in any spelling, since Beam takes one and runs nevertheless.

    Args:
        flags: What the verb doesn't take itself.
        remedy: How to see what the verb would do.

    Raises:
        TransfuseError: USER-001, with ``remedy``.
    """
    problems = [
        Problem(ErrorCode.USER_001, f"{name}: this verb has no dry run", "", remedy)
        for name in names_of(flags)
        if _means_dry_run(name)
    ]
    if problems:
        raise TransfuseError(problems)


def _means_dry_run(name: str) -> bool:
    letters = re.sub(r"[^a-z]", "", name.lower())
    if name == "-n" or letters in _OTHER_WORDS:
        return True
    similar = difflib.SequenceMatcher(None, letters.removeprefix("no"), _DRY_RUN).ratio()
    return similar >= _LIKE_A_DRY_RUN


def describe_unknown(
    unknown: Sequence[str], own: Collection[str], beam: Collection[str] = ()
) -> str:
    """Says what is wrong with arguments that nobody takes, each with a suggestion.

    Args:
        unknown: The arguments.
        own: The flags of the verb.
        beam: Those that it passes on.
    """
    return "; ".join(
        message + (f" ({suggestion})" if suggestion else "")
        for message, suggestion in explain_unknown(unknown, own, beam)
    )


def explain_unknown(
    unknown: Sequence[str], own: Collection[str], beam: Collection[str] = ()
) -> list[tuple[str, str]]:
    """For each unknown argument a message and a suggestion, which may be empty.

    A value that follows an unknown flag is part of it.
    """
    explained: list[tuple[str, str]] = []
    for previous, argument in zip(["", *unknown], unknown, strict=False):
        if not argument.startswith("-") or argument == "-":
            if not previous.startswith("-"):
                explained.append((f"unexpected argument '{argument}'", ""))
            continue
        name = argument.partition("=")[0]
        if name in own:
            explained.append((f"{name} stands before the verb", "put it after the verb"))
            continue
        meant = closest(name, own) or closest(name.replace("_", "-"), own) or closest(name, beam)
        owner = "this verb nor of Beam" if beam else "this verb"
        explained.append(
            (
                f"{name} is {'neither a' if beam else 'no'} flag of {owner}",
                f"did you mean {meant}?" if meant else "",
            )
        )
    return explained
