"""Decides whether rows are at fault for a refusal, or something that concerns all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

import psycopg

from transforms.target_rows.refusals import Refusal, is_about_row

Refused = Sequence[tuple[Refusal, list[int]]]
"""Each reason for refusals, with the ordinals of the candidates."""

Proof = Callable[[str, int], bool]
"""Whether an SQLSTATE with which the target refuses some candidates (their number) is known to be
about them, although no other row of the batch was written."""


def raise_if_no_row_is_to_blame(
    refused: Refused,
    write_one: Callable[[int | None], Refusal | None],
    proof: Proof | None = None,
) -> None:
    """Raises the real cause where the target takes no row of a batch.

    A trigger or an input function can raise any SQLSTATE for a single row, and a missing privilege
    or a failing trigger refuses every row. What tells them apart is whether other rows pass, so
    this is called where none did.

    Args:
        refused: what the target refused when it was to write them.
        write_one: tries to write one candidate, or (None) none at all; gives the refusal.
        proof: what else is known about the rows.

    Raises:
        psycopg.Error: the error of the first candidate whose SQLSTATE doesn't say that it is
            about the row.
    """
    doubtful = [(r.sqlstate, ordinals) for r, ordinals in refused if not is_about_row(r.sqlstate)]
    if not doubtful:
        return
    statement = write_one(None)
    if statement is not None:
        _raise(statement)
    count = sum(len(ordinals) for _, ordinals in doubtful)
    if proof is not None and all(proof(state, count) for state, _ in doubtful):
        return
    for _, ordinals in doubtful:
        refusal = write_one(ordinals[0])
        if refusal is not None and not is_about_row(refusal.sqlstate):
            _raise(refusal)


def _raise(refusal: Refusal) -> NoReturn:
    raise refusal.error or psycopg.DatabaseError("the target refuses every row")
