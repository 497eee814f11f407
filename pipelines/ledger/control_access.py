"""What is needed to change rows of control tables where changes are published."""

from __future__ import annotations

import sqlalchemy

_UNIDENTIFIED = """
SELECT format('ALTER TABLE %I.%I REPLICA IDENTITY FULL', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = coalesce(:schema, current_schema()) AND c.relname = ANY(:names)
    AND c.relreplident = 'd' AND pg_has_role(c.relowner, 'USAGE')
    AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
"""


def identify_rows(connection: sqlalchemy.Connection, metadata: sqlalchemy.MetaData) -> None:
    """Lets rows without a key be changed where updates are published: tables that an earlier
    version made as well as those of this one."""
    names = [table.name for table in metadata.sorted_tables]
    values = {"schema": metadata.schema, "names": names}
    statements = connection.execute(sqlalchemy.text(_UNIDENTIFIED), values).scalars().all()
    for statement in statements:
        # With parameters, even none, a percent sign of a name would be taken for one.
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
