"""Sequences from which the defaults of written columns draw numbers through a function.

The catalogue records what a default and a function with an SQL-standard body depend on. Of other
functions there is only the text: a call of nextval with a constant name is recognised, anything
else is reported and not guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from pipelines.databases.sequences import NumberedColumn, advance_sequences, written_sequences
from transforms.model.program import LoadProgram


@dataclass(frozen=True)
class FunctionDefault:
    """A written column whose default calls a volatile function; names as SQL writes them.

    ``sequence`` is None where it isn't known from which one the function draws, if from any.
    ``is_plain``: the column is the sequence's next number and nothing else, and the role may
    advance the sequence.
    """

    table: str
    column: str
    function: str
    sequence: str | None
    is_plain: bool
    is_ascending: bool
    lowest: int
    greatest: int

    @property
    def numbered(self) -> NumberedColumn | None:
        """The column as one that the sequence numbers, if it is plain."""
        if self.sequence is None or not self.is_plain:
            return None
        return NumberedColumn(
            self.sequence,
            self.table,
            self.column,
            self.is_ascending,
            self.lowest,
            self.greatest,
            is_number=True,
            is_plain=True,
        )


_PART = r'(?:"[^"]+"|(?!\d)\w+)'
"""Without a digit in front, with which ``parse_ident`` fails."""

_NAME = rf"{_PART}(?:\.{_PART})?"
_CALL = rf"(?:pg_catalog\.)?nextval\s*\(\s*'{_NAME}'(?:::(?:pg_catalog\.)?regclass)?\s*\)"
_PLAIN = (
    r"^.*(?:\mselect|\mreturn)\s*\(?\s*" + _CALL + r"\s*\)?(?:::\w+)?\s*(?:as\s+\w+)?\s*;?\s*"
    r"(?:end\s*;?)?\s*(?:\$\w*\$\s*)?$"
)
_NUMBER = rf"nextval\s*\(\s*''?({_NAME})''?"

# to_regclass fails where the role may not use the schema of a sequence, from which a function with
# the rights of its owner draws all the same. The catalogue can always be read.
_DEFAULTS = r"""
WITH written AS (
    SELECT DISTINCT c.oid AS relid, a.attnum, f.oid AS expression,
           pg_get_expr(f.adbin, f.adrelid) AS text, t.typcategory = 'N' AS is_number,
           quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS relation,
           quote_ident(a.attname) AS name
    FROM unnest(%(schemas)s::text[], %(tables)s::text[], %(columns)s::text[])
        AS u(schema, name, attribute)
    JOIN pg_namespace n ON n.nspname = u.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = u.attribute
    JOIN pg_type t ON t.oid = a.atttypid
    JOIN pg_attrdef f ON f.adrelid = c.oid AND f.adnum = a.attnum),
called AS (
    SELECT w.*, p.oid AS function, p.prosrc, p.prosrc <> '' AS has_text,
           pg_get_functiondef(p.oid) AS whole
    FROM written w
    JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = w.expression
        AND d.refclassid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.refobjid AND p.provolatile = 'v' AND p.prokind = 'f'
    WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass
                      AND e.objid = p.oid AND e.deptype = 'e')),
drawn AS (
    SELECT called.*, coalesce(s.oid, named.oid) AS sequence,
           count(*) OVER (PARTITION BY relid, attnum) AS number
    FROM called
    LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = called.function
        AND d.refclassid = 'pg_class'::regclass
        AND EXISTS (SELECT FROM pg_class WHERE oid = d.refobjid AND relkind = 'S')
    LEFT JOIN pg_class s ON s.oid = d.refobjid
    LEFT JOIN LATERAL regexp_matches(called.prosrc, %(number)s, 'gi') AS m(names) ON has_text
    LEFT JOIN LATERAL (
        SELECT c.oid FROM (SELECT parse_ident(m.names[1])::name[] AS parts) AS p
        JOIN pg_class c ON c.relname = parts[cardinality(parts)]
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE CASE cardinality(parts) WHEN 1 THEN pg_table_is_visible(c.oid)
              ELSE n.nspname = parts[1] END) AS named ON true)
SELECT relation, name, function::regprocedure::text,
       quote_ident(n.nspname) || '.' || quote_ident(s.relname),
       is_number AND number = 1 AND text ~ '^[\w."]+\(\)$'
           AND CASE WHEN has_text THEN 'begin ' || prosrc ELSE whole END ~* %(plain)s
           AND (NOT has_text OR prosrc !~ ';.*;.*;')
           AND coalesce(has_sequence_privilege(s.oid, 'UPDATE')
               AND has_sequence_privilege(s.oid, 'SELECT')
               AND has_schema_privilege(n.oid, 'USAGE'), false),
       coalesce(q.seqincrement > 0, true), coalesce(q.seqmin, 0), coalesce(q.seqmax, 0)
FROM drawn
LEFT JOIN pg_class s ON s.oid = drawn.sequence AND s.relkind = 'S'
LEFT JOIN pg_sequence q ON q.seqrelid = s.oid
LEFT JOIN pg_namespace n ON n.oid = s.relnamespace
WHERE s.oid IS NOT NULL OR is_number AND EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = relid AND i.indisunique
    AND attnum = ANY (i.indkey::int2[]))
ORDER BY 1, 2, 3, 4
"""


def find_function_defaults(
    target: psycopg.Connection[Any], programs: Iterable[LoadProgram]
) -> list[FunctionDefault]:
    """The written columns whose default calls a volatile function that may number rows.

    Where no sequence is known, only numbers that must be unique.

    Args:
        target: a session to the target.
        programs: the loads.

    Returns:
        One entry for each sequence that is known, or one without.

    Raises:
        psycopg.Error: the server can't be asked.
    """
    columns = sorted(
        {
            (program.table.schema, program.table.name, name)
            for program in programs
            for name in program.target_columns()
        }
    )
    if not columns:
        return []
    schemas, tables, names = zip(*columns, strict=True)
    rows = target.execute(
        _DEFAULTS.encode(),
        {
            "schemas": list(schemas),
            "tables": list(tables),
            "columns": list(names),
            "number": _NUMBER.replace("''?", "'"),
            "plain": _PLAIN,
        },
    ).fetchall()
    return [FunctionDefault(*row) for row in rows]


def advance_written_sequences(
    target: psycopg.Connection[Any], programs: Collection[LoadProgram]
) -> None:
    """Moves every sequence that numbers a written column past all values of its columns.

    Args:
        target: a session to the target.
        programs: the loads.

    Raises:
        psycopg.Error: the server can't be asked.
    """
    defaults = find_function_defaults(target, programs)
    numbered = [column for default in defaults if (column := default.numbered)]
    sequences = [*written_sequences(programs), *(column.sequence for column in numbered)]
    advance_sequences(target, list(dict.fromkeys(sequences)), numbered)
