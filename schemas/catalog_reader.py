"""Reads columns, keys and defaults of a table, view or query from the catalogue.

The catalogue is read with one query per relation kind from ``pg_catalog``, because
``format_type`` is the only spelling that is exact for every type.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from schemas.catalog import Column, Relation
from schemas.column_types import ColumnType, parse_type
from schemas.relation_names import RELATION_OF_NAME, spellings

_COLUMNS = """
SELECT a.attname, a.attnotnull,
       (WITH RECURSIVE d AS (
            SELECT a.atttypid AS type, a.atttypmod AS modifier
            UNION ALL SELECT b.typbasetype, b.typtypmod
            FROM pg_type b JOIN d ON b.oid = d.type WHERE b.typtype = 'd')
        SELECT format_type(d.type, d.modifier)
        FROM d JOIN pg_type b ON b.oid = d.type AND b.typtype <> 'd') AS base,
       format_type(a.atttypid, a.atttypmod) AS spelled,
       a.atthasdef, a.attidentity, a.attgenerated <> '' AS generated,
       (SELECT quote_ident(sn.nspname) || '.' || quote_ident(s.relname)
        FROM (SELECT d.objid, 0 AS place FROM pg_depend d
              WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i')
              UNION ALL
              SELECT d.refobjid, 1 FROM pg_attrdef f
              JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
              WHERE d.refclassid = 'pg_class'::regclass AND f.adrelid = a.attrelid
                AND f.adnum = a.attnum) AS used(oid, place)
        JOIN pg_class s ON s.oid = used.oid AND s.relkind = 'S'
        JOIN pg_namespace sn ON sn.oid = s.relnamespace
        ORDER BY used.place, used.oid LIMIT 1),
       coalesce(k.collisdeterministic, true),
       (WITH RECURSIVE d AS (
            SELECT t.oid, t.typbasetype, t.typnotnull
            UNION ALL SELECT b.oid, b.typbasetype, b.typnotnull
            FROM pg_type b JOIN d ON b.oid = d.typbasetype)
        SELECT bool_or(typnotnull) FROM d) AS domain_not_null,
       coalesce((SELECT pg_get_expr(f.adbin, f.adrelid) !~
            '^[(]?nextval[(]''([^'']|'''')*''::regclass[)][)]?'
            '(::(smallint|integer|bigint|numeric))?$'
        FROM pg_attrdef f WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum), false) AS computed,
       has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation k ON k.oid = a.attcollation
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

_KEYS = """
SELECT i.indisprimary, array_agg(a.attname ORDER BY k.position)
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
  AND i.indexprs IS NULL AND k.position <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary
ORDER BY i.indisprimary DESC, i.indexrelid
"""

_IN_HEAP = """
WITH RECURSIVE tree AS (
    SELECT c.oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
SELECT bool_and(t.relkind IN ('r', 'm', 'p') AND coalesce(m.amname = 'heap', t.relkind = 'p'))
FROM tree JOIN pg_class t USING (oid) LEFT JOIN pg_am m ON m.oid = t.relam
"""


def read_relation(connection: psycopg.Connection, name: str) -> Relation | None:
    """Describes a table or view.

    Args:
        connection: To the database of the relation.
        name: ``table`` or ``schema.table``. A part that contains a dot is quoted as in SQL:
            ``"lab.results"``. The name is looked up in the case in which it is written, then
            folded as SQL would.

    Returns:
        The relation, or None if there is none of this name.

    Raises:
        psycopg.Error: The catalogue can't be read.
    """
    row = None
    for quoted in spellings(name):
        row = connection.execute(
            "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relkind = 'r'"
            " AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid),"
            f" has_table_privilege(c.oid, 'SELECT'), ({_IN_HEAP}) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE c.oid = ({RELATION_OF_NAME.format('%(name)s::text')})".encode(),
            {"name": quoted},
        ).fetchone()
        if row is not None:
            break
    if row is None:
        return None
    oid, schema, table, kind, inherited, whole, in_heap = row
    columns = tuple(_column(values) for values in connection.execute(_COLUMNS, [oid]).fetchall())
    readable = {column.readable for column in columns}
    keys = connection.execute(_KEYS, [oid]).fetchall()
    return Relation(
        schema=schema,
        name=table,
        kind=kind.decode() if isinstance(kind, bytes) else kind,
        columns=columns,
        primary_key=next((tuple(k) for primary, k in keys if primary), ()),
        unique_keys=tuple(tuple(k) for _, k in keys),
        inherited=inherited,
        partly_readable=not whole and True in readable,
        in_heap=bool(in_heap),
    )


def read_query(connection: psycopg.Connection, query: str) -> Relation:
    """Describes the result of a query without running it.

    Args:
        connection: To the database of the query.
        query: A SELECT; a semicolon at its end is allowed.

    Returns:
        A relation of the kind ``q``, without keys.

    Raises:
        psycopg.Error: The server refuses the query.
    """
    text = query.strip().rstrip(";")
    cursor = connection.execute(sql.SQL("SELECT * FROM ({}\n) AS q LIMIT 0").format(sql.SQL(text)))
    columns = []
    for described in cursor.description or ():
        spelled = connection.execute(
            "SELECT format_type(coalesce(nullif(t.typbasetype, 0), t.oid), -1),"
            " format_type(t.oid, %s) FROM pg_type t WHERE t.oid = %s",
            [described._fmod, described.type_code],
        ).fetchone()
        assert spelled is not None
        columns.append(Column(described.name, _column_type(*spelled)))
    return Relation("", "", "q", tuple(columns), query=text)


def _column(row: Sequence[object]) -> Column:
    (
        name,
        not_null,
        base,
        spelled,
        default,
        identity,
        generated,
        sequence,
        fixed,
        domain,
        computed,
        readable,
    ) = row
    letter = identity.decode() if isinstance(identity, bytes) else identity
    return Column(
        name=str(name),
        type=_column_type(str(base), str(spelled)),
        nullable=not (not_null or domain),
        has_default=bool(default) and not generated,
        identity={"a": "always", "d": "by default"}.get(str(letter)),
        generated=bool(generated),
        sequence=None if sequence is None else str(sequence),
        sequence_computed=sequence is not None and bool(computed),
        collation_deterministic=bool(fixed),
        readable=bool(readable),
    )


def _column_type(base: str, spelled: str) -> ColumnType:
    parsed = parse_type(spelled if base.partition("(")[0] == spelled.partition("(")[0] else base)
    return ColumnType(parsed.name, spelled, parsed.length, parsed.precision, parsed.scale)
