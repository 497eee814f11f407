"""The values of a command's placeholders, for each object of a job that the command is for."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.explain.job_facts import (
    JobFacts,
    JobField,
    JobLoad,
    JobRelation,
    JobServer,
)
from pipelines.explain.sql_names import quote_name, quote_relation
from schemas.guide.guide_step import CommandScope


@dataclass(frozen=True)
class Filling:
    """The values of placeholders for one object.

    Attributes:
        place: Where the command runs.
        in_sql: The value of each placeholder in a statement.
        in_shell: Those of the placeholders that commands have.
    """

    place: str
    in_sql: Mapping[str, str]
    in_shell: Mapping[str, str]


def fillings_of(
    scope: CommandScope, facts: JobFacts, loads: Sequence[JobLoad]
) -> Iterator[Filling]:
    """The fillings of a scope.

    Args:
        scope: The scope of a step.
        facts: The facts of the job.
        loads: Those of its loads that are wanted.
    """
    return _FILLINGS[scope](facts, loads)


def _filling(
    facts: JobFacts,
    place: str,
    server: JobServer | None = None,
    load: JobLoad | None = None,
    **in_sql: str,
) -> Filling:
    file = shlex.quote(facts.file)
    job = f" --job {shlex.quote(facts.job)}" if facts.replaced_job else ""
    values = {
        "job_name": facts.job,
        "control": f"{quote_name(facts.control_schema)}." if facts.control_schema else "",
        **in_sql,
    }
    in_shell = {
        "specification": f"{file}{job}",
        "specification_file": file,
        "metrics_port": shlex.quote(facts.metrics_port),
    }
    if load is not None:
        row = json.dumps(dict.fromkeys(load.columns), ensure_ascii=False)
        in_shell |= {"load": shlex.quote(load.name), "row": shlex.quote(row)}
    if server is not None:
        values |= {
            "database": quote_name(server.database),
            "database_name": server.database,
            "role": quote_name(server.role),
            "role_name": server.role,
        }
        in_shell |= {
            "host": shlex.quote(",".join(host for host, _ in server.hosts)),
            "port": shlex.quote(",".join(port for _, port in server.hosts)),
            "database": shlex.quote(server.database),
            "role": shlex.quote(server.role),
        }
    return Filling(place, values, in_shell)


def _of_machine(facts: JobFacts, _: Sequence[JobLoad]) -> Iterator[Filling]:
    yield _filling(facts, "")


def _of_loads(facts: JobFacts, loads: Sequence[JobLoad]) -> Iterator[Filling]:
    for load in loads:
        yield _filling(facts, "", load=load)


def _of_target(facts: JobFacts, _: Sequence[JobLoad]) -> Iterator[Filling]:
    yield _filling(facts, facts.target.place, facts.target)


def _of_servers(facts: JobFacts, _: Sequence[JobLoad]) -> Iterator[Filling]:
    for server in facts.servers:
        yield _filling(facts, server.place, server)


def _of_network(facts: JobFacts, _: Sequence[JobLoad]) -> Iterator[Filling]:
    """Of each host that isn't a Unix socket."""
    for server in facts.servers:
        for host, port in server.hosts:
            if not host.startswith(("/", "@")):
                alone = JobServer(server.label, ((host, port),), server.database, server.role)
                yield _filling(facts, alone.place, alone)


def _rows_of(relation: JobRelation) -> str:
    """A table or a query as an item of FROM."""
    if relation.table is not None:
        return quote_relation(relation.table)
    return "(" + str(relation.query).strip().rstrip(";") + ")"


def _of_source_tables(facts: JobFacts, loads: Sequence[JobLoad]) -> Iterator[Filling]:
    for load in loads:
        for relation in load.relations:
            if relation.table is not None:
                table = quote_relation(relation.table)
                yield _filling(
                    facts, relation.server.place, relation.server, load, source_table=table
                )


def _of_source_rows(facts: JobFacts, loads: Sequence[JobLoad]) -> Iterator[Filling]:
    for load in loads:
        for relation in load.relations:
            needed = [c for c in load.needed_columns if c not in relation.made_columns]
            key = load.key_columns or load.source_key
            if not needed or not key or relation.made_columns & {*key}:
                continue
            counts = [
                f"count(*) FILTER (WHERE nullif(btrim({quote_name(c)}::text), '') IS NULL)"
                f" AS {quote_name(c)}"
                for c in needed
            ]
            yield _filling(
                facts,
                relation.server.place,
                relation.server,
                load,
                source_rows=_rows_of(relation),
                missing_counts=",\n    ".join(counts),
                key_columns=", ".join(map(quote_name, key)),
            )


def _of_target_tables(facts: JobFacts, loads: Sequence[JobLoad]) -> Iterator[Filling]:
    for table in dict.fromkeys(load.into for load in loads):
        yield _filling(facts, facts.target.place, facts.target, target_table=quote_relation(table))


def _references(
    facts: JobFacts, loads: Sequence[JobLoad]
) -> Iterator[tuple[JobLoad, JobField, JobLoad]]:
    """Each reference by a single column: the load, the field, and the load of the parent."""
    by_name = {load.name: load for load in facts.loads}
    for load in loads:
        for field in load.fields:
            if field.parent in by_name:
                yield load, field, by_name[field.parent]


def _of_source_references(facts: JobFacts, loads: Sequence[JobLoad]) -> Iterator[Filling]:
    """Where child and parent are read from one source, and the parent from one relation."""
    for load, field, parent in _references(facts, loads):
        column = parent.reference_source_column
        if column is None or len(parent.relations) != 1 or len(field.columns) != 1:
            continue
        (above,) = parent.relations
        for relation in load.relations:
            made = field.columns[0] in relation.made_columns or column in above.made_columns
            if field.has_map or made or relation.server != above.server:
                continue
            yield _filling(
                facts,
                relation.server.place,
                relation.server,
                load,
                child_table=_rows_of(relation),
                child_column=quote_name(field.columns[0]),
                parent_table=_rows_of(above),
                parent_column=quote_name(column),
            )


def _of_target_references(facts: JobFacts, loads: Sequence[JobLoad]) -> Iterator[Filling]:
    for load, field, parent in _references(facts, loads):
        if parent.reference_column is not None:
            yield _filling(
                facts,
                facts.target.place,
                facts.target,
                load,
                child_table=quote_relation(load.into),
                child_column=quote_name(field.name),
                parent_table=quote_relation(parent.into),
                parent_column=quote_name(parent.reference_column),
            )


def _of_code_columns(facts: JobFacts, loads: Sequence[JobLoad]) -> Iterator[Filling]:
    for load in loads:
        for field in load.fields:
            for relation in load.relations:
                if field.has_codes and len(field.columns) == 1:
                    if field.columns[0] in relation.made_columns:
                        continue
                    yield _filling(
                        facts,
                        relation.server.place,
                        relation.server,
                        load,
                        source_rows=_rows_of(relation),
                        code_column=quote_name(field.columns[0]),
                    )


_FILLINGS: dict[CommandScope, Callable[[JobFacts, Sequence[JobLoad]], Iterator[Filling]]] = {
    CommandScope.MACHINE: _of_machine,
    CommandScope.JOB: _of_machine,
    CommandScope.LOADS: _of_loads,
    CommandScope.TARGET: _of_target,
    CommandScope.SERVERS: _of_servers,
    CommandScope.NETWORK: _of_network,
    CommandScope.SOURCE_TABLES: _of_source_tables,
    CommandScope.SOURCE_ROWS: _of_source_rows,
    CommandScope.TARGET_TABLES: _of_target_tables,
    CommandScope.SOURCE_REFERENCES: _of_source_references,
    CommandScope.TARGET_REFERENCES: _of_target_references,
    CommandScope.CODE_COLUMNS: _of_code_columns,
}
