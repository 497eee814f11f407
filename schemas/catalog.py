"""What a database says of its tables: columns, keys, defaults.

The catalogue is read with one query per relation kind from ``pg_catalog``, because
``format_type`` is the only spelling of a type that is exact for every type there is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import sql

from schemas.column_types import ColumnType, parse_type


@dataclass(frozen=True)
class Column:
    """A column; ``identity`` is ``always``, ``by default`` or None; ``generated`` is computed."""

    name: str
    type: ColumnType
    nullable: bool = True
    has_default: bool = False
    identity: str | None = None
    generated: bool = False
    sequence: str | None = None
    """The qualified name of the sequence that numbers come from: that of an identity or serial
    column, else the one that the default calls, whoever owns it."""
    sequence_computed: bool = False
    """Whether the default is more than the next number of ``sequence``."""
    collation_deterministic: bool = True
    readable: bool = True
    """Whether the role may select it."""

    @property
    def must_be_given(self) -> bool:
        """Whether an insert that leaves the column out is refused by the server."""
        return not (self.nullable or self.has_default or self.identity or self.generated)


@dataclass(frozen=True)
class ReadAccess:
    """What stands in the way of reading a relation in several parts.

    ``foreign`` are the foreign tables that its rows come from: each session sees them at another
    instant. ``volatile`` are the volatile functions that are called for its rows, with their
    arguments' types; ``unsteady`` says that one of PostgreSQL's own decides which rows there are.
    ``refused`` is why the server wouldn't say (it names no value): the role has no right to it.
    ``filtering`` are the functions that turn row-level security on again for what they read, each
    with the role to which rows may be hidden. ``ties`` are the window functions and clauses
    (DISTINCT ON, LIMIT) whose result depends on which of several rows that are alike in their order
    comes first.
    """

    foreign: tuple[str, ...] = ()
    volatile: tuple[str, ...] = ()
    unsteady: bool = False
    refused: str = ""
    filtering: tuple[tuple[str, str], ...] = ()
    ties: tuple[str, ...] = ()

    @property
    def is_repeatable(self) -> bool:
        """Whether two sessions under one snapshot get the same rows."""
        return not (self.foreign or self.volatile or self.ties)


@dataclass(frozen=True)
class Relation:
    """A table, view or query: its columns in order, and its keys.

    ``kind`` is the letter of ``pg_class.relkind`` (``r`` table, ``p`` partitioned table,
    ``v`` view, ``m`` materialised view, ``f`` foreign table), or ``q`` for a query, whose
    text is ``query``. ``primary_key`` is empty where there is none; ``unique_keys`` are
    the plain (not partial, not on expressions) unique keys, the primary key among them.
    ``inherited``: other tables inherit from it, and whoever reads it gets their rows too.
    ``partly_readable``: the role may select some columns only, and none of the system's.
    ``in_heap``: the table, and each that inherits from it or is its partition, is stored by
    PostgreSQL's own access method, in which a row keeps its place; views and queries aren't stored.
    ``access`` is what the server said when it was asked how to read a view or query, or one with
    partitions: what of it can't be read twice alike.
    ``has_unsure_names``: its columns are named by the first line of a file, which may be a row.
    """

    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    query: str | None = None
    inherited: bool = False
    partly_readable: bool = False
    in_heap: bool = True
    access: ReadAccess = field(default_factory=ReadAccess)
    has_unsure_names: bool = False
    _by_name: dict[str, Column] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._by_name.update({c.name: c for c in self.columns})

    def column(self, name: str) -> Column | None:
        """The column of that name: the exact one, else the only one that differs in case."""
        exact = self._by_name.get(name)
        if exact is not None:
            return exact
        alike = [c for c in self.columns if c.name.lower() == name.lower()]
        return alike[0] if len(alike) == 1 else None

    @property
    def is_stored(self) -> bool:
        """Whether it has pages of its own that can be seen: a table or a materialised view."""
        return self.kind in ("r", "m") and self.in_heap and not self.partly_readable

    @property
    def has_physical_ranges(self) -> bool:
        """Whether a ctid is the place of one row, and a range of pages all that it reads.

        Each of the tables that inherit from another counts its pages from 0.
        """
        return self.is_stored and not self.inherited

    @property
    def order(self) -> sql.Composable:
        """What its rows can be sorted by so that each has the same place whenever it is read.

        Physical rows stay where they are. Those of anything else are told apart by all of
        their values; which of two that are alike comes first makes no difference.
        """
        if self.kind in ("r", "m", "p") and self.in_heap and not self.partly_readable:
            return sql.SQL("tableoid, ctid")
        alias = sql.Identifier("q" if self.query is not None else self.name)
        values = sql.SQL("{}.*").format(alias)
        if self.partly_readable:
            values = sql.SQL(", ").join(sql.Identifier(c.name) for c in self.columns if c.readable)
        return sql.SQL('ROW({})::text COLLATE "C"').format(values)

    def as_source(self) -> Relation:
        """The relation with the keys that hold for all rows that are read from it.

        No index reaches beyond a table to those that inherit from it, and keys of columns
        that the role may not select are none to it.
        """
        if self.inherited:
            return replace(self, primary_key=(), unique_keys=())
        if not self.partly_readable:
            # Where the role may read no column at all, that is what is reported.
            return self
        hidden = {column.name for column in self.columns if not column.readable}
        return replace(
            self,
            primary_key=() if hidden & {*self.primary_key} else self.primary_key,
            unique_keys=tuple(key for key in self.unique_keys if not hidden & {*key}),
        )

    @property
    def sql(self) -> sql.Composable:
        """What stands behind FROM: the qualified name, or the query in parentheses."""
        if self.query is not None:
            return sql.SQL("({}\n) AS q").format(sql.SQL(self.query.strip().rstrip(";")))
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        if self.query is not None:
            return "the query"
        return f"{self.schema}.{self.name}" if self.schema else self.name


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


_NAMED = """
SELECT named.oid FROM (SELECT parse_ident(nullif({0}, '')) AS parts) AS p
JOIN pg_class named ON named.relname = p.parts[cardinality(p.parts)]::name
JOIN pg_namespace around ON around.oid = named.relnamespace
WHERE CASE WHEN cardinality(p.parts) = 2 THEN around.nspname = p.parts[1]
      ELSE around.nspname = ANY (current_schemas(true) || string_to_array(
          translate(current_setting('search_path'), '" ', ''), ',')::name[]) END
ORDER BY array_position(current_schemas(true), around.nspname) LIMIT 1
"""
"""The relation of a name. Unlike ``to_regclass`` it finds what is in a schema that the role may not
use, so that this can be reported with all else."""

_IN_HEAP = """
WITH RECURSIVE tree AS (
    SELECT c.oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
SELECT bool_and(t.relkind IN ('r', 'm', 'p') AND coalesce(m.amname = 'heap', t.relkind = 'p'))
FROM tree JOIN pg_class t USING (oid) LEFT JOIN pg_am m ON m.oid = t.relam
"""


def read_foreign_keys(connection: psycopg.Connection, names: Sequence[str]) -> set[tuple[str, str]]:
    """Which of the tables ``names``, spelled as for ``read_relation``, refer by a foreign key to
    which others of them. Raises psycopg.Error."""
    spelled = [(name, *(_spellings(name) or ["", ""])) for name in names]
    found = {
        name: oid
        for name, oid in connection.execute(
            f"SELECT name, coalesce(({_NAMED.format('one')}), ({_NAMED.format('other')}))"
            " FROM unnest(%s::text[], %s::text[], %s::text[]) AS u(name, one, other)".encode(),
            [list(column) for column in zip(*spelled, strict=True)] or [[], [], []],
        ).fetchall()
        if oid is not None
    }
    referring = set(
        connection.execute(
            "SELECT DISTINCT conrelid, confrelid FROM pg_constraint WHERE contype = 'f'"
            " AND conrelid = ANY(%(oids)s) AND confrelid = ANY(%(oids)s)",
            {"oids": list(found.values())},
        ).fetchall()
    )
    return {
        (child, parent)
        for child, one in found.items()
        for parent, other in found.items()
        if (one, other) in referring and one != other
    }


def read_relation(connection: psycopg.Connection, name: str) -> Relation | None:
    """Describes the table or view ``name`` (``table`` or ``schema.table``), None if absent.

    Parts are quoted as in SQL where they hold a dot: ``"lab.results"``.
    The name is looked up as a reader would write it in SQL, and failing that in the case
    in which it is written. Raises psycopg.Error.
    """
    row = None
    for quoted in _spellings(name):
        row = connection.execute(
            "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relkind = 'r'"
            " AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid),"
            f" has_table_privilege(c.oid, 'SELECT'), ({_IN_HEAP}) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE c.oid = ({_NAMED.format('%(name)s::text')})".encode(),
            {"name": quoted},
        ).fetchone()
        if row is not None:
            break
    if row is None:
        return None
    oid, schema, table, kind, inherited, whole, in_heap = row
    columns = tuple(_column(found) for found in connection.execute(_COLUMNS, [oid]).fetchall())
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

    Raises psycopg.Error where the server refuses the query.
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
        columns.append(Column(described.name, _typed(*spelled)))
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
        type=_typed(str(base), str(spelled)),
        nullable=not (not_null or domain),
        has_default=bool(default) and not generated,
        identity={"a": "always", "d": "by default"}.get(str(letter)),
        generated=bool(generated),
        sequence=None if sequence is None else str(sequence),
        sequence_computed=sequence is not None and bool(computed),
        collation_deterministic=bool(fixed),
        readable=bool(readable),
    )


def _typed(base: str, spelled: str) -> ColumnType:
    parsed = parse_type(spelled if base.partition("(")[0] == spelled.partition("(")[0] else base)
    return ColumnType(parsed.name, spelled, parsed.length, parsed.precision, parsed.scale)


def quoting_hint(name: str) -> str:
    """What else to try where there is no table of a name with a dot; empty without one."""
    if "." not in name or '"' in name:
        return ""
    return f"; if the dot belongs to the name, quote it as in SQL: '\"{name}\"'"


def _spellings(name: str) -> list[str]:
    """The quoted name as it is written, and as SQL reads it. Empty where it is none."""
    shape = _RELATION_NAME.fullmatch(name)
    if shape is None:
        return []
    parts = [part for part in shape.groups() if part is not None]
    folded = [p if p.startswith('"') else p.lower() for p in parts]
    # Always quoted: the server refuses to look up what isn't the shape of a name.
    return [
        ".".join(p if p.startswith('"') else '"' + p.replace('"', '""') + '"' for p in spelled)
        for spelled in (parts, folded)
    ]


_PART = r"""("(?:[^"]|"")+"|[^".][^.]*)"""
_RELATION_NAME = re.compile(rf"(?:{_PART}\.)?{_PART}", re.DOTALL)
"""A table's name, or a schema's and its. A part that has a dot stands in double quotes."""
