"""The facts of a specification that commands of the guide are filled in with.

They hold names only: hosts, databases, roles, tables, columns. Passwords are never taken over.
"""

from __future__ import annotations

from dataclasses import dataclass

_OF_FILES = ("_file", "_row")
"""The columns that rows of files have beside their own."""


@dataclass(frozen=True)
class JobServer:
    """A database that a specification names.

    Attributes:
        label: ``target``, ``source``, or ``source NAME``.
        hosts: Host and port of each server; several for a URL with several hosts.
        database: The database.
        role: The role that the migration uses.
    """

    label: str
    hosts: tuple[tuple[str, str], ...]
    database: str
    role: str

    @property
    def place(self) -> str:
        """``source legacy:5432/his``."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.label} {hosts}/{self.database}"


@dataclass(frozen=True)
class JobRelation:
    """A relation of a source database that a load reads.

    Attributes:
        server: The source.
        table: The table as in the specification; None for a query.
        query: The query without passwords; None for a table.
        made_columns: Columns that ``unpivot`` or ``split`` make, which the relation lacks.
    """

    server: JobServer
    table: str | None
    query: str | None
    made_columns: frozenset[str]


@dataclass(frozen=True)
class JobField:
    """A field of a load.

    Attributes:
        name: The target's column.
        columns: The source columns of ``from``.
        required: Whether the field is required.
        parent: The load that it refers to.
        has_codes: Whether a map of medical codes translates it.
        has_map: Whether any map translates it.
        is_generated: Whether its value is generated.
    """

    name: str
    columns: tuple[str, ...]
    required: bool
    parent: str | None
    has_codes: bool
    has_map: bool
    is_generated: bool


@dataclass(frozen=True)
class JobLoad:
    """A load: its target table, key, fields, and the relations in source databases."""

    name: str
    into: str
    relations: tuple[JobRelation, ...]
    key: tuple[str, ...]
    source_key: tuple[str, ...]
    fields: tuple[JobField, ...]

    @property
    def reference_column(self) -> str | None:
        """The target's column that references to this load have."""
        if len(self.key) == 1:
            return self.key[0]
        return min((field.name for field in self.fields if field.is_generated), default=None)

    @property
    def reference_source_column(self) -> str | None:
        """The source column with the keys that references to this load have; None if unclear."""
        column = self.reference_column
        field = next((field for field in self.fields if field.name == column), None)
        if field is not None and len(field.columns) == 1 and not field.has_map:
            return field.columns[0]
        if field is not None and field.is_generated and len(self.source_key) == 1:
            return self.source_key[0]
        return None

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The source columns that make the target's key; empty if it isn't made of columns."""
        fields = {field.name: field for field in self.fields}
        columns: list[str] = []
        for name in self.key:
            if name not in fields or not fields[name].columns:
                return ()
            columns += fields[name].columns
        return tuple(columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """The source columns that fields are copied or made from."""
        columns = (column for field in self.fields for column in field.columns)
        return tuple(dict.fromkeys(column for column in columns if column not in _OF_FILES))

    @property
    def needed_columns(self) -> tuple[str, ...]:
        """The source columns that must have a value."""
        needed = [f.columns[0] for f in self.fields if f.required and f.columns]
        return tuple(dict.fromkeys([*self.key_columns, *needed]))


@dataclass(frozen=True)
class JobFacts:
    """A job.

    Attributes:
        file: The path of the specification, as it was given.
        job: The job.
        replaced_job: Whether the job isn't that of the file.
        control_schema: The schema of the control tables; None for the default one.
        target: The target.
        sources: The source databases.
        loads: The loads.
        metrics_port: The port of monitor.metrics_port; 9464 where there is none.
        notes: What couldn't be filled in, and why.
    """

    file: str
    job: str
    replaced_job: bool
    control_schema: str | None
    target: JobServer
    sources: tuple[JobServer, ...]
    loads: tuple[JobLoad, ...]
    metrics_port: str
    notes: tuple[str, ...]

    @property
    def servers(self) -> tuple[JobServer, ...]:
        """All databases, the sources first."""
        return (*self.sources, self.target)
