"""The PL/pgSQL with which ``trace`` finds refused rows: templates for one DO block.

``TRACE`` is the block; ``WRITE``, ``NOTE`` and one of ``MEMBER`` and ``VALUE`` go into it.
"""

from __future__ import annotations

# The variables are qualified by the block's label: a column may have the name of any of
# them, and in doubt the column is meant.
TRACE = """
#variable_conflict use_column
<<tracing>>
DECLARE
    part record;
    candidate int4;
    place tid;
    state text;
    rule text;
    field text;
    relation text;
    whole {refusals}[];
    causes {refusals}[];
    wrote int8;
    fresh int8;
    sent int8;
    deleted int8;
    updated int8;
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
            {write_part}
            {mark}
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
                    {write_candidate}
                    {mark}
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

WRITE = """
{before}
{write} INTO tracing.wrote, tracing.fresh, tracing.sent;
IF tracing.wrote = {keys_changed} THEN RAISE EXCEPTION USING ERRCODE = {renamed}; END IF;
IF tracing.wrote <> tracing.sent THEN RAISE EXCEPTION USING ERRCODE = {dropped}; END IF;
SET CONSTRAINTS ALL IMMEDIATE;
{judge}
"""

MEMBER = """
BEGIN
    {write}
EXCEPTION WHEN assert_failure OR OTHERS THEN
    {raise_others}
    {note}
END;
"""

VALUE = """
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

NOTE = """
GET STACKED DIAGNOSTICS
    state = RETURNED_SQLSTATE, rule = CONSTRAINT_NAME, field = COLUMN_NAME, relation = TABLE_NAME;
IF tracing.state = '23514' AND tracing.rule = '' AND tracing.relation <> '' THEN
    state := {no_partition};
END IF;
causes := tracing.causes || ROW(
    tracing.candidate, tracing.state, nullif(tracing.rule, ''), nullif({column}, '')
)::{refusals};
"""
