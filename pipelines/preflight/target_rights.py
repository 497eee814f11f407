"""Checks that the role may do to the target all that the specification needs, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.databases.open_databases import Databases
from pipelines.databases.sequences import split_name
from pipelines.preflight.finding import Finding, blocker
from pipelines.preflight.rights import ANY, Right, missing_rights, unusable_schemas
from pipelines.preflight.target_uses import TargetUse, target_uses
from schemas.control_tables import control_metadata
from schemas.errors import ErrorCode
from schemas.specification.policies import KeyGenerator
from transforms.model.program import LoadProgram
from transforms.postgres.row_security import current_role
from transforms.references.generated_keys import own_sequence_name

_READ, _ADD, _CHANGE, _REMOVE = "SELECT", "INSERT", "UPDATE", "DELETE"

CONTROL_RIGHTS: Mapping[str, tuple[str, ...]] = {
    "migration_schema": (_READ,),
    "migration_jobs": (_READ, _ADD, _CHANGE),
    "migration_loads": (_READ, _ADD, _CHANGE, _REMOVE),
    "migration_partitions": (_READ, _ADD, _CHANGE, _REMOVE),
    "migration_errors": (_READ, _ADD, _CHANGE, _REMOVE),
    "migration_keys": (_READ, _ADD, _REMOVE),
    "migration_placeholders": (_READ, _ADD),
    "migration_duplicates": (_READ, _ADD, _CHANGE, _REMOVE),
    "migration_group_findings": (_READ, _ADD, _REMOVE),
    "migration_write_marks": (_READ, _ADD, _REMOVE),
    "migration_written_rows": (_READ, _ADD),
    "migration_maps": (_READ, _ADD, _REMOVE),
    "code_mappings": (_READ,),
    "migration_refused_loads": (_READ, _ADD),
    "migration_earlier_findings": (_READ, _REMOVE),
    "migration_runs": (_READ, _ADD, _CHANGE),
    "migration_audit": (_READ, _ADD),
    "migration_metrics": (_READ, _ADD, _REMOVE),
    "migration_alerts": (_READ, _ADD, _CHANGE),
    "migration_incidents": (_READ, _ADD, _CHANGE),
    "migration_halts": (_READ,),
}
"""What a run does to control tables that are there already; to all others, everything."""


def check_target_rights(databases: Databases, programs: Mapping[str, LoadProgram]) -> list[Finding]:
    """USER-002 for each object of the target on which the role lacks a right that it needs."""
    uses = target_uses(programs)
    return [*_on_tables(databases, programs, uses), *_on_control_tables(databases, programs)]


def _on_tables(
    databases: Databases,
    programs: Mapping[str, LoadProgram],
    uses: Mapping[tuple[str, str], TargetUse],
) -> Iterator[Finding]:
    target = databases.target
    role = current_role(target)
    sequences = _sequence_rights(programs, uses)
    schemas = {schema for schema, _ in uses} | {right.schema for right in sequences}
    for schema in unusable_schemas(target, schemas):
        yield _lacking(
            f"schema {schema}", role, "USAGE", f"GRANT USAGE ON SCHEMA {schema} TO {role};"
        )
    tables = [right for key, use in uses.items() for right in _table_rights(key, use)]
    for missing in missing_rights(target, [*tables, *sequences]):
        kind = "sequence" if missing.is_sequence else "table"
        yield _lacking(f"{kind} {missing.name}", role, ", ".join(missing.privileges), missing.grant)


def _lacking(where: str, role: str, privileges: str, grant: str) -> Finding:
    return blocker(
        ErrorCode.USER_002, f"target, {where}", f"the role {role} lacks {privileges}", grant
    )


def _table_rights(key: tuple[str, str], use: TargetUse) -> Iterator[Right]:
    for privilege, columns in (("INSERT", use.inserted), ("UPDATE", use.updated)):
        yield from (Right(*key, privilege, column) for column in columns)
    if use.whole:
        yield Right(*key, "SELECT")
    elif use.read:
        yield from (Right(*key, "SELECT", column) for column in use.read)
    elif use.loads:
        # Its rows are counted.
        yield Right(*key, "SELECT", ANY)


def _sequence_rights(
    programs: Mapping[str, LoadProgram], uses: Mapping[tuple[str, str], TargetUse]
) -> list[Right]:
    rights = []
    for use in uses.values():
        if use.inserted:
            rights += [_on_sequence(c.sequence, "USAGE") for c in use.numbered()]
    for program in programs.values():
        for name in program.target_columns():
            column = program.table.column(name)
            if column is not None and column.sequence is not None:
                rights += [_on_sequence(column.sequence, p) for p in ("SELECT", "UPDATE")]
        generated = program.generated
        if generated is not None and generated.sequence is not None:
            rights.append(_on_sequence(generated.sequence, "USAGE"))
    return rights


def _on_sequence(name: str | None, privilege: str) -> Right:
    assert name is not None
    return Right(*split_name(name), privilege)


_CONTROL = """
SELECT s.name, quote_ident(s.name), quote_ident(current_database()), n.oid IS NOT NULL,
    has_database_privilege(current_database(), 'CREATE'),
    coalesce(has_schema_privilege(n.oid, 'USAGE'), false),
    coalesce(has_schema_privilege(n.oid, 'CREATE'), false),
    ARRAY(SELECT c.relname::text FROM pg_class c
          WHERE c.relnamespace = n.oid AND c.relname = ANY(%(names)s))
FROM (SELECT coalesce(%(schema)s, current_schema(),
    (SELECT nspname FROM pg_namespace WHERE nspname = 'public')) AS name) AS s
LEFT JOIN pg_namespace n ON n.nspname = s.name
"""


def _on_control_tables(
    databases: Databases, programs: Mapping[str, LoadProgram]
) -> Iterator[Finding]:
    target, schema = databases.target, databases.specification.target.control_schema
    tables = [table.name for table in control_metadata(schema).sorted_tables]
    own = [
        own_sequence_name(program.table, program.generated)
        for program in programs.values()
        if program.generated is not None
        and program.generated.kind is KeyGenerator.SEQUENCE
        and program.generated.sequence is None
    ]
    row = target.execute(_CONTROL.encode(), {"schema": schema, "names": [*tables, *own]}).fetchone()
    assert row is not None
    name, quoted, database, exists, may_create_schema, usable, may_create, present = row
    role = current_role(target)
    if not exists:
        if not may_create_schema:
            yield _lacking(
                f"database {database}",
                role,
                f"CREATE for the control schema {quoted}",
                f"GRANT CREATE ON DATABASE {database} TO {role};",
            )
        return
    lacking = ["USAGE"] if not usable else []
    if not may_create and not {*tables, *own} <= {*present}:
        lacking.append("CREATE")
    if lacking:
        privileges = ", ".join(lacking)
        yield _lacking(
            f"schema {quoted}",
            role,
            f"{privileges} for the control tables",
            f"GRANT {privileges} ON SCHEMA {quoted} TO {role};",
        )
    rights = [
        Right(name, table, privilege)
        for table in tables
        if table in present
        for privilege in CONTROL_RIGHTS.get(table, (_READ, _ADD, _CHANGE, _REMOVE))
    ]
    rights += [Right(name, sequence, "USAGE") for sequence in own if sequence in present]
    for missing in missing_rights(target, rights):
        kind = "sequence" if missing.is_sequence else "control table"
        yield _lacking(f"{kind} {missing.name}", role, ", ".join(missing.privileges), missing.grant)
