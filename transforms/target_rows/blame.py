"""Decides whether rows are at fault for a refusal, or something that concerns all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NoReturn

import psycopg

from transforms.target_rows.refusals import Refusal, is_about_row

Refused = Sequence[tuple[Refusal, list[int]]]
"""Each reason for refusals, with the ordinals of the candidates."""

Proof = Callable[[Refusal, int], bool]
"""Whether a refusal of some candidates (their number) is known to be about them, although no
other row of the batch was written."""


def raise_if_no_row_is_to_blame(
    refused: Refused,
    try_one: Callable[[int | None], Refusal | None],
    proof: Proof | None = None,
) -> None:
    """Raises the real cause where the target takes no row of a batch.

    A trigger or an input function can raise any SQLSTATE for a single row, and a missing privilege
    or a failing trigger refuses every row. What tells them apart is whether other rows pass, so
    this is called where none did.

    Args:
        refused: what the target refused when it was to write them.
        try_one: tries to write one candidate, or (None) none at all, and rolls it back; gives the
            refusal.
        proof: what else is known about the rows.

    Raises:
        psycopg.Error: the error of the statement without rows, or that of the first candidate
            whose SQLSTATE doesn't say that it is about the row.
    """
    refused = [(refusal, ordinals) for refusal, ordinals in refused if ordinals]
    if not refused:
        return
    raise_if_statement_is_to_blame(try_one(None), {refusal.sqlstate for refusal, _ in refused})
    doubtful = [(r, ordinals) for r, ordinals in refused if not is_about_row(r.sqlstate)]
    count = sum(len(ordinals) for _, ordinals in doubtful)
    for refusal, ordinals in doubtful:
        # Where the server itself found it out, its error never came here.
        reason = refusal if refusal.error is not None else try_one(ordinals[0])
        if reason is None:
            _raise(refusal)
        if not is_about_row(reason.sqlstate) and not (proof and proof(reason, count)):
            _raise(reason)


def raise_if_statement_is_to_blame(empty: Refusal | None, states: Collection[str]) -> None:
    """Raises what refuses a statement without rows: a right, a trigger of the statement.

    Args:
        empty: how the server refuses the statement without rows.
        states: the SQLSTATEs with which it refuses rows. A trigger may also object to a statement
            because it is without rows.

    Raises:
        psycopg.Error: the statement's error.
    """
    if empty is not None and empty.sqlstate in states:
        _raise(empty)


def _raise(refusal: Refusal) -> NoReturn:
    if refusal.error is not None:
        raise refusal.error
    if refusal.stands_in:
        raise psycopg.errors.TriggeredActionException("a trigger of the statement takes rows away")
    try:
        error = psycopg.errors.lookup(refusal.sqlstate)
    except KeyError:
        error = psycopg.DatabaseError
    raise error("the target refused a row that it takes when it is tried again")
