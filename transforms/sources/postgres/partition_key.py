"""A partition key: columns by which the server itself orders and compares rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from schemas.catalog import Relation
from schemas.errors import ErrorCode, Problem, TransfuseError


@dataclass(frozen=True)
class KeyCut:
    """A place in the order of the keys: just before the key ``values``, or just after it.

    ``values`` are the server's text forms of the columns of the key.
    """

    values: tuple[str, ...]
    after: bool = False


@dataclass(frozen=True)
class _KeyColumn:
    name: str
    type: sql.Identifier
    operators: str
    """The schema of the operators that belong to the type's own order."""

    def literal(self, value: str) -> sql.Composable:
        return sql.SQL("{}::{}").format(sql.Literal(value), self.type)

    def operator(self, symbol: str) -> sql.Composable:
        # Only a qualified operator is found whatever the reading session's search path is;
        # citext, say, would otherwise silently be compared as text.
        if self.operators == "pg_catalog":
            return sql.SQL(symbol)
        return sql.SQL("OPERATOR({}.{})").format(sql.Identifier(self.operators), sql.SQL(symbol))


@dataclass(frozen=True)
class PartitionKey:
    """Renders conditions on the key; all of them can be joined by AND as they are."""

    columns: tuple[_KeyColumn, ...]

    @property
    def names(self) -> list[sql.Identifier]:
        return [sql.Identifier(c.name) for c in self.columns]

    @property
    def present(self) -> sql.Composable:
        """No column of the key is NULL. A declared NOT NULL isn't relied on: since
        PostgreSQL 18 it can be not yet validated, or not hold for inheriting tables."""
        return sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(n) for n in self.names)

    @property
    def absent(self) -> sql.Composable:
        """Some column of the key is NULL."""
        nulls = [sql.SQL("{} IS NULL").format(n) for n in self.names]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(nulls))

    def before(self, cut: KeyCut) -> sql.Composable:
        """The key lies before the cut."""
        return self._compare("<=" if cut.after else "<", cut.values)

    def between(self, start: KeyCut | None, stop: KeyCut | None) -> sql.Composable:
        """The key is present and lies from ``start`` up to ``stop``; None is open."""
        parts = [self.present]
        if start is not None and stop is not None and start.values == stop.values:
            parts.append(self._compare("=", start.values))
        else:
            if start is not None:
                parts.append(self._compare(">" if start.after else ">=", start.values))
            if stop is not None:
                parts.append(self.before(stop))
        return sql.SQL(" AND ").join(parts)

    def _compare(self, symbol: str, values: Sequence[str]) -> sql.Composable:
        pairs = list(zip(self.columns, values, strict=True))
        if len(pairs) == 1 or any(c.operators != "pg_catalog" for c in self.columns):
            return _lexicographic(symbol, pairs)
        return sql.SQL("({}) {} ({})").format(
            sql.SQL(", ").join(self.names),
            sql.SQL(symbol),
            sql.SQL(", ").join(c.literal(v) for c, v in pairs),
        )


def _lexicographic(symbol: str, pairs: Sequence[tuple[_KeyColumn, str]]) -> sql.Composable:
    """The row comparison spelled out, for columns whose operators lie in several schemas."""
    (column, value), rest = pairs[0], pairs[1:]

    def first(wanted: str) -> sql.Composable:
        return sql.SQL("{} {} {}").format(
            sql.Identifier(column.name), column.operator(wanted), column.literal(value)
        )

    if not rest:
        return first(symbol)
    equal = sql.SQL("{} AND {}").format(first("="), _lexicographic(symbol, rest))
    if symbol == "=":
        return equal
    return sql.SQL("({} OR {})").format(first(symbol[0]), equal)


_TYPES = """
SELECT t.oid, CASE WHEN n.nspname <> 'pg_catalog' THEN n.nspname END, t.typname,
       coalesce((SELECT s.nspname FROM pg_opclass c
           JOIN pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
           JOIN pg_amop a ON a.amopfamily = c.opcfamily AND a.amopstrategy = 1
               AND a.amoplefttype = t.oid AND a.amoprighttype = t.oid
           JOIN pg_operator o ON o.oid = a.amopopr
           JOIN pg_namespace s ON s.oid = o.oprnamespace
           WHERE c.opcdefault AND c.opcintype = t.oid), 'pg_catalog')
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = ANY (%s)
"""


def read_partition_key(
    connection: psycopg.Connection, relation: Relation, by: Sequence[str]
) -> PartitionKey:
    """Look up how the columns ``by`` of ``relation`` are ordered.

    Raises TransfuseError with SYS-004 where a column doesn't exist or its type has no order,
    psycopg.Error where the server can't be asked. The transaction goes on in either case.
    """
    columns = []
    for name in by:
        column = relation.column(name)
        if column is None:
            raise TransfuseError(
                Problem(
                    ErrorCode.SYS_004,
                    f"the partition column {name} doesn't exist",
                    where=str(relation),
                    remedy="name an existing column under partition",
                )
            )
        columns.append(column.name)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    try:
        with connection.transaction():
            described = connection.execute(
                sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT 0").format(
                    names, relation.sql, sql.SQL(", ").join(map(sql.Identifier, columns))
                )
            ).description
    except (psycopg.errors.UndefinedFunction, psycopg.errors.IndeterminateCollation) as error:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                f"the server has no order for the partition key {', '.join(columns)}",
                where=str(relation),
                remedy="name columns of a type that can be sorted under partition",
            )
        ) from error
    # The description gives the base type of a domain, which is the one that has an order.
    oids = [c.type_code for c in described or ()]
    types = {
        oid: (sql.Identifier(*filter(None, (schema, name))), operators)
        for oid, schema, name, operators in connection.execute(_TYPES, [oids])
    }
    return PartitionKey(
        tuple(_KeyColumn(c, *types[oid]) for c, oid in zip(columns, oids, strict=True))
    )
