"""Finding the refused rows: chunks in PL/pgSQL, or halves from the client.

Both write what the server takes, in the order of the ordinals, so that of two rows which
exclude each other the first is written. A candidate (the rows of one ordinal) is written
whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from schemas.catalog import Column
from schemas.violations import ORDINAL
from transforms.target_rows.constraints import TargetConstraints
from transforms.target_rows.refusals import REFUSED_STATES, RETRIED_CLASSES, Refusal, is_refusal
from transforms.target_rows.statements import REFUSALS, ROWS, TEXTS, convert, verbatim

Statement = Callable[[sql.Composable], sql.Composed]
"""A condition on staged rows to the statement that writes them; it returns one row of two
numbers: rows written, and new ones among them."""

Result = TypeVar("Result")

_CANDIDATES_AT_ONCE = 10
"""With one bad row in a hundred, ten to thirty in a block with an EXCEPTION take the same
time; with more bad rows fewer are better."""


def attempt(connection: psycopg.Connection, write: Callable[[], Result]) -> Result | Refusal:
    """Runs ``write`` in a savepoint, deferred constraints checked; what it gave, or why not.

    Raises psycopg.Error, with the savepoint taken back, where no row is to blame.
    """
    try:
        with connection.transaction():
            result = write()
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            return result
    except psycopg.Error as error:
        if not is_refusal(error.sqlstate):
            raise
        return Refusal.of(error)


def bisect(
    connection: psycopg.Connection,
    candidates: Sequence[int],
    write: Callable[[int, int], tuple[int, int]],
) -> tuple[tuple[int, int], list[tuple[int, Refusal]]]:
    """Writes the candidates of ascending ordinals by halves of what is refused.

    ``write`` gets the first and the last ordinal to write. Returns the sums of what it
    gave, and the refused ordinals with their reasons.
    """
    written = inserted = 0
    refused = []
    parts = [list(candidates)] if len(candidates) else []
    while parts:
        part = parts.pop()
        result = attempt(connection, lambda part=part: write(part[0], part[-1]))  # type: ignore[misc]
        if not isinstance(result, Refusal):
            written, inserted = written + result[0], inserted + result[1]
        elif len(part) == 1:
            refused.append((part[0], result))
        else:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
    return (written, inserted), refused


def bisect_batch(
    connection: psycopg.Connection,
    rows: pa.RecordBatch,
    write: Callable[[pa.RecordBatch], tuple[int, int]],
) -> tuple[tuple[int, int], list[tuple[int, Refusal]]]:
    """``bisect`` over the rows of a batch in ascending order of ``_ordinal``."""
    ordinals = rows.column(ORDINAL).to_numpy()

    def write_between(low: int, high: int) -> tuple[int, int]:
        start, end = np.searchsorted(ordinals, [low, high + 1])
        return write(rows.slice(start, end - start))

    return bisect(connection, np.unique(ordinals).tolist(), write_between)


def trace_writing(
    connection: psycopg.Connection, statement: Statement, source: sql.Composable = ROWS
) -> tuple[int, int]:
    """Runs ``statement`` on the rows of ``source`` in chunks, then candidate by candidate.

    The causes go to ``transfuse_refusals``: those of each row of a refused candidate that
    is refused on its own, else the candidate's.
    """
    member = sql.SQL(_MEMBER).format(
        write=statement(sql.SQL("ctid = tracing.place")), note=_note(), raise_others=_raise_others()
    )
    return _trace(connection, source, statement, member)


def trace_conversion(
    connection: psycopg.Connection, columns: Sequence[Column], constraints: TargetConstraints
) -> None:
    """Converts ``transfuse_texts`` into ``transfuse_rows``, whole candidates.

    The causes go to ``transfuse_refusals``: each value that can't be converted.
    """
    values = sql.Composed(
        [
            sql.SQL(_VALUE).format(
                declared=verbatim(stored.declared),
                base=verbatim(stored.base),
                name=sql.Identifier(stored.name),
                texts=TEXTS,
                note=_note(sql.Literal(stored.name)),
                raise_others=_raise_others(),
            )
            for column, stored in zip(columns, constraints.stored, strict=True)
            if not (column.type.is_native and stored.declared == stored.base)
        ]
    )
    _trace(connection, TEXTS, lambda condition: convert(constraints, condition), values)


def _trace(
    connection: psycopg.Connection,
    source: sql.Composable,
    statement: Statement,
    examine: sql.Composable,
) -> tuple[int, int]:
    ordinal = sql.Identifier(ORDINAL)
    block = sql.SQL(_TRACE).format(
        at_once=sql.Literal(_CANDIDATES_AT_ONCE),
        ordinal=ordinal,
        source=source,
        refusals=REFUSALS,
        write_part=statement(
            sql.SQL("{} BETWEEN tracing.part.low AND tracing.part.high").format(ordinal)
        ),
        write_candidate=statement(sql.SQL("{} = tracing.candidate").format(ordinal)),
        note=_note(),
        raise_others=_raise_others(),
        examine=examine,
    )
    connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(source, ordinal))
    connection.execute(sql.SQL("DO {}").format(sql.Literal(block.as_string(connection))))
    found = connection.execute("SELECT current_setting('transfuse.wrote')").fetchone()
    assert found is not None
    written, inserted = found[0].split()
    return int(written), int(inserted)


def _raise_others() -> sql.Composed:
    return sql.SQL(
        "IF left(SQLSTATE, 2) = ANY ({}::text[]) AND SQLSTATE <> ALL ({}::text[]) THEN"
        " RAISE; END IF;"
    ).format(sql.Literal(RETRIED_CLASSES), sql.Literal(REFUSED_STATES))


def _note(column: sql.Composable = sql.SQL("tracing.field")) -> sql.Composed:  # noqa: B008
    return sql.SQL(_NOTE).format(column=column, refusals=REFUSALS)


# The variables are qualified by the block's label: a column may have the name of any of
# them, and in doubt the column is meant.
_TRACE = """
#variable_conflict use_column
<<tracing>>
DECLARE
    part record;
    candidate int4;
    place tid;
    state text;
    rule text;
    field text;
    whole {refusals}[];
    causes {refusals}[];
    wrote int8;
    fresh int8;
    written int8 := 0;
    inserted int8 := 0;
BEGIN
    FOR part IN
        SELECT min(ordinal) AS low, max(ordinal) AS high
        FROM (SELECT ordinal, (row_number() OVER (ORDER BY ordinal) - 1) / {at_once} AS number
              FROM (SELECT DISTINCT {ordinal} AS ordinal FROM {source}) AS candidates) AS numbered
        GROUP BY number ORDER BY number
    LOOP
        BEGIN
            {write_part} INTO tracing.wrote, tracing.fresh;
            SET CONSTRAINTS ALL IMMEDIATE;
            written := tracing.written + tracing.wrote;
            inserted := tracing.inserted + tracing.fresh;
        EXCEPTION WHEN assert_failure OR OTHERS THEN
            {raise_others}
            FOR candidate IN
                SELECT DISTINCT {ordinal} FROM {source}
                WHERE {ordinal} BETWEEN tracing.part.low AND tracing.part.high ORDER BY 1
            LOOP
                causes := '{{}}';
                BEGIN
                    {write_candidate} INTO tracing.wrote, tracing.fresh;
                    SET CONSTRAINTS ALL IMMEDIATE;
                    written := tracing.written + tracing.wrote;
                    inserted := tracing.inserted + tracing.fresh;
                EXCEPTION WHEN assert_failure OR OTHERS THEN
                    {raise_others}
                    {note}
                    whole := tracing.causes;
                    causes := '{{}}';
                    BEGIN
                        FOR place IN
                            SELECT ctid FROM {source}
                            WHERE {ordinal} = tracing.candidate ORDER BY ctid
                        LOOP
                            {examine}
                        END LOOP;
                        -- What the rows did one by one must not stay.
                        RAISE EXCEPTION USING ERRCODE = 'TF000';
                    EXCEPTION WHEN SQLSTATE 'TF000' THEN
                    END;
                    INSERT INTO {refusals}
                    SELECT * FROM unnest(CASE cardinality(tracing.causes)
                                         WHEN 0 THEN tracing.whole ELSE tracing.causes END);
                END;
            END LOOP;
        END;
    END LOOP;
    PERFORM set_config('transfuse.wrote', tracing.written || ' ' || tracing.inserted, true);
END
"""

_MEMBER = """
BEGIN
    {write} INTO tracing.wrote, tracing.fresh;
    SET CONSTRAINTS ALL IMMEDIATE;
EXCEPTION WHEN assert_failure OR OTHERS THEN
    {raise_others}
    {note}
END;
"""

_VALUE = """
BEGIN
    DECLARE
        value {declared} := (SELECT {name}::{base} FROM {texts} WHERE ctid = tracing.place);
    BEGIN
    END;
EXCEPTION WHEN assert_failure OR OTHERS THEN
    {raise_others}
    {note}
END;
"""

_NOTE = """
GET STACKED DIAGNOSTICS
    state = RETURNED_SQLSTATE, rule = CONSTRAINT_NAME, field = COLUMN_NAME;
causes := tracing.causes || ROW(
    tracing.candidate, tracing.state, nullif(tracing.rule, ''), nullif({column}, '')
)::{refusals};
"""
