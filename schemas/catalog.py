"""Tables, views and queries of a database: their columns, keys, and how they can be read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from psycopg import sql

from schemas.column_types import ColumnType


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
    column, else the one that the default calls, whichever table owns it."""
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
    """Obstacles to reading a relation in several parts, by several sessions."""

    foreign: tuple[str, ...] = ()
    """The foreign tables that its rows come from: each session sees them at another instant."""
    volatile: tuple[str, ...] = ()
    """The volatile functions that are called for its rows, with the types of their arguments."""
    unsteady: bool = False
    """Whether one of PostgreSQL's own volatile functions decides which rows there are."""
    refused: str = ""
    """Why the server wouldn't answer, without any value: the role lacks a right to the relation."""
    filtering: tuple[tuple[str, str], ...] = ()
    """The functions that turn row-level security on again for the tables that they read, each with
    the role from which rows may be hidden."""
    ties: tuple[str, ...] = ()
    """The window functions and clauses (DISTINCT ON, LIMIT) whose result depends on which of
    several rows that are equal in their order comes first."""

    @property
    def is_repeatable(self) -> bool:
        """Whether two sessions under one snapshot get the same rows."""
        return not (self.foreign or self.volatile or self.ties)


@dataclass(frozen=True)
class Relation:
    """A table, view or query: its columns in order, and its keys.

    ``kind`` is the letter of ``pg_class.relkind`` (``r`` table, ``p`` partitioned table,
    ``v`` view, ``m`` materialised view, ``f`` foreign table), or ``q`` for a query, whose
    text is ``query``.
    """

    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    """Empty where there is none."""
    unique_keys: tuple[tuple[str, ...], ...] = ()
    """The plain (not partial, not on expressions) unique keys, the primary key among them."""
    query: str | None = None
    inherited: bool = False
    """Whether other tables inherit from it; a SELECT on it returns their rows too."""
    partly_readable: bool = False
    """Whether the role may select only some columns, and none of the system's."""
    in_heap: bool = True
    """Whether the table, and each that inherits from it or is its partition, is stored by
    PostgreSQL's own access method, in which a row keeps its place. Irrelevant for views and
    queries, which aren't stored."""
    access: ReadAccess = field(default_factory=ReadAccess)
    """For views, queries and partitioned tables: the parts that can differ at a second reading."""
    has_unsure_names: bool = False
    """Whether its columns are named by the first line of a file, which may be a row."""
    _by_name: dict[str, Column] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._by_name.update({c.name: c for c in self.columns})

    def column(self, name: str) -> Column | None:
        """Finds a column by its exact name, else the only one whose name differs in case.

        Returns:
            The column, or None if there is none, or several that differ in case only.
        """
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
        """The expression to sort its rows by, so that each has the same place at each reading.

        Stored rows stay where they are. The rows of other relations are distinguished by all of
        their values; the order of two equal rows makes no difference.
        """
        if self.kind in ("r", "m", "p") and self.in_heap and not self.partly_readable:
            return sql.SQL("tableoid, ctid")
        alias = sql.Identifier("q" if self.query is not None else self.name)
        values = sql.SQL("{}.*").format(alias)
        if self.partly_readable:
            values = sql.SQL(", ").join(sql.Identifier(c.name) for c in self.columns if c.readable)
        return sql.SQL('ROW({})::text COLLATE "C"').format(values)

    def as_source(self) -> Relation:
        """Drops the keys that don't hold for all rows that a SELECT on the relation returns.

        No index reaches beyond a table to those that inherit from it, and a key can't be used
        where the role may not select its columns.

        Returns:
            The relation with the other keys.
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
        """The item of a FROM clause: the qualified name, or the query in parentheses."""
        if self.query is not None:
            return sql.SQL("({}\n) AS q").format(sql.SQL(self.query.strip().rstrip(";")))
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        if self.query is not None:
            return "the query"
        return f"{self.schema}.{self.name}" if self.schema else self.name
