"""Decides whether rows are at fault for an error, or something that concerns all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NoReturn

import psycopg

from transforms.target_rows.target_errors import TargetError, is_about_row

TargetErrors = Sequence[tuple[TargetError, list[int]]]
"""Each error, with the ordinals of the candidates."""

Proof = Callable[[TargetError, int], bool]
"""Whether an error of some candidates (their number) is known to be about them, although no
other row of the batch was written."""


def raise_if_no_row_is_to_blame(
    refused: TargetErrors,
    try_one: Callable[[int | None], TargetError | None],
    proof: Proof | None = None,
) -> None:
    """Raise the error of the partition if the target takes no row of a batch.

    A trigger or an input function can raise any SQLSTATE for a single row, and a missing privilege
    or a failing trigger refuses every row. The difference is whether other rows pass, so
    this is called where none did.

    Args:
        refused: what the target refused when it was to write them.
        try_one: tries to write one candidate, or (None) none at all, and rolls it back; gives the
            error.
        proof: what else is known about the rows.

    Raises:
        psycopg.Error: the error of the statement without rows, or that of the first candidate
            whose SQLSTATE doesn't say that it is about the row.
    """
    refused = [(error, ordinals) for error, ordinals in refused if ordinals]
    if not refused:
        return
    raise_if_statement_is_to_blame(try_one(None), {error.sqlstate for error, _ in refused})
    doubtful = [(r, ordinals) for r, ordinals in refused if not is_about_row(r.sqlstate)]
    count = sum(len(ordinals) for _, ordinals in doubtful)
    for error, ordinals in doubtful:
        # Where the server itself found it out, its error never came here.
        reason = error if error.raised is not None else try_one(ordinals[0])
        if reason is None:
            _raise(error)
        if not is_about_row(reason.sqlstate) and not (proof and proof(reason, count)):
            _raise(reason)


def raise_if_statement_is_to_blame(empty: TargetError | None, states: Collection[str]) -> None:
    """Raise the error of a statement without rows: a missing right, a trigger of the statement.

    Args:
        empty: how the server refuses the statement without rows.
        states: the SQLSTATEs with which it refuses rows. A trigger may also object to a statement
            because it is without rows.

    Raises:
        psycopg.Error: the statement's error.
    """
    if empty is not None and empty.sqlstate in states:
        _raise(empty)


def _raise(error: TargetError) -> NoReturn:
    if error.raised is not None:
        raise error.raised
    if error.stands_in:
        raise psycopg.errors.TriggeredActionException("a trigger of the statement takes rows away")
    try:
        kind = psycopg.errors.lookup(error.sqlstate)
    except KeyError:
        kind = psycopg.DatabaseError
    raise kind("the target refused a row that it takes when it is tried again")
