"""Finding the refused rows by halves, from the client: where PL/pgSQL may not be used.

Here and in ``trace`` what the server takes is written in the order of the ordinals, so that of
two rows which exclude each other the first is written. A candidate (the rows of one ordinal) is
written whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from schemas.violations import ORDINAL
from transforms.target_rows.target_errors import (
    DROPPED,
    TargetError,
    is_about_server,
    is_out_of_memory,
)

Result = TypeVar("Result")


class RowsDropped(Exception):
    """The server left rows out of a statement without an error, as a trigger can make it do.

    ``state`` stands for what a trigger did, as in ``refusals``.
    """

    def __init__(self, state: str = DROPPED) -> None:
        super().__init__(state)
        self.state = state


def attempt(connection: psycopg.Connection, write: Callable[[], Result]) -> Result | TargetError:
    """Run ``write`` in a savepoint, and check deferred constraints; its result, or the error.

    Rows that the server leaves out (``RowsDropped``) are refused like others, and what triggers
    did with them is taken back. Raises psycopg.Error where the server or the connection failed.
    """
    try:
        with connection.transaction():
            result = write()
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            return result
    except RowsDropped as dropped:
        return TargetError(dropped.state)
    except psycopg.Error as error:
        if is_about_server(error, connection):
            raise
        return TargetError.of(error)


def try_out(connection: psycopg.Connection, write: Callable[[], object]) -> TargetError | None:
    """Run ``write`` as ``attempt`` does, and always roll it back; the error, if it failed."""

    def write_in_vain() -> None:
        with connection.transaction() as trial:
            write()
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            raise psycopg.Rollback(trial)

    return attempt(connection, write_in_vain)


def bisect(
    connection: psycopg.Connection,
    candidates: Sequence[int],
    write: Callable[[int, int], tuple[int, int]],
    hopeless: bool = True,
    is_large: Callable[[int], bool] = lambda _: False,
) -> tuple[tuple[int, int], list[tuple[int, TargetError]]]:
    """Write the candidates of ascending ordinals by halves of what is refused.

    Args:
        connection: the target, in a transaction.
        candidates: their ordinals.
        write: gets the first and the last ordinal to write.
        hopeless: all at once has failed already.
        is_large: whether the candidate alone can need more memory than the server has.

    Returns:
        The sums of what ``write`` gave, and the refused ordinals with their reasons.

    Raises:
        psycopg.Error: the server or the connection failed.
    """
    halving = _Halving(connection, write, is_large)
    parts = [(candidates, hopeless)] if candidates else []
    while parts:
        part, hopeless = parts.pop()
        if len(part) == 1 or not hopeless:
            if not halving.write_part(part) and len(part) > 1:
                parts.append((part, True))
            continue
        left, right = part[: len(part) // 2], part[len(part) // 2 :]
        # Of two halves one is refused: the other, where this one is taken.
        whole = halving.write_part(left)
        parts.append((right, whole))
        if not whole and len(left) > 1:
            parts.append((left, True))
    return halving.counts, halving.refused


class _Halving:
    """Writes parts of the candidates, and keeps the sums and the refused ones."""

    def __init__(
        self,
        connection: psycopg.Connection,
        write: Callable[[int, int], tuple[int, int]],
        is_large: Callable[[int], bool],
    ) -> None:
        self._connection = connection
        self._write = write
        self._is_large = is_large
        self.counts = (0, 0)
        self.refused: list[tuple[int, TargetError]] = []

    def write_part(self, part: Sequence[int]) -> bool:
        """Write a part, and note the error of one candidate; whether the target takes the part."""
        result = attempt(self._connection, lambda: self._write(part[0], part[-1]))
        if not isinstance(result, TargetError):
            self.counts = (self.counts[0] + result[0], self.counts[1] + result[1])
            return True
        if len(part) == 1:
            if result.raised and is_out_of_memory(result.raised) and not self._is_large(part[0]):
                raise result.raised
            self.refused.append((part[0], result))
        return False


def bisect_batch(
    connection: psycopg.Connection,
    rows: pa.RecordBatch,
    write: Callable[[pa.RecordBatch], tuple[int, int]],
    hopeless: bool = True,
) -> tuple[tuple[int, int], list[tuple[int, TargetError]]]:
    """``bisect`` over the rows of a batch in ascending order of ``_ordinal``."""
    ordinals = rows.column(ORDINAL).to_numpy()

    def write_between(low: int, high: int) -> tuple[int, int]:
        start, end = np.searchsorted(ordinals, [low, high + 1])
        return write(rows.slice(start, end - start))

    return bisect(
        connection,
        np.unique(ordinals).tolist(),
        write_between,
        hopeless,
        lambda ordinal: is_large_candidate(rows, ordinal),
    )


_LARGE = 1 << 20


def is_large_candidate(rows: pa.RecordBatch, ordinal: int) -> bool:
    """Whether the candidate's rows have more than a megabyte."""
    return int(select_candidate(rows, ordinal).nbytes) > _LARGE


def select_candidate(rows: pa.RecordBatch, ordinal: int) -> pa.RecordBatch:
    """The rows of one candidate."""
    return rows.filter(pc.equal(rows.column(ORDINAL), pa.scalar(ordinal, pa.int32())))
