"""The foreign keys between tables of a database."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from schemas.relation_names import RELATION_OF_NAME, spellings


def read_foreign_keys(connection: psycopg.Connection, names: Sequence[str]) -> set[tuple[str, str]]:
    """Reads which of some tables refer to which others of them by a foreign key.

    Args:
        connection: To the database of the tables.
        names: The tables, spelled as for ``read_relation``. Unknown ones are left out.

    Returns:
        Pairs of names, as they were passed: child and parent. Never a table with itself.

    Raises:
        psycopg.Error: The catalogue can't be read.
    """
    lookups = [(name, *(spellings(name) or ["", ""])) for name in names]
    as_written, as_folded = (RELATION_OF_NAME.format(column) for column in ("written", "folded"))
    oids = {
        name: oid
        for name, oid in connection.execute(
            f"SELECT name, coalesce(({as_written}), ({as_folded}))"
            " FROM unnest(%s::text[], %s::text[], %s::text[]) AS u(name, written, folded)".encode(),
            [list(column) for column in zip(*lookups, strict=True)] or [[], [], []],
        ).fetchall()
        if oid is not None
    }
    referring = set(
        connection.execute(
            "SELECT DISTINCT conrelid, confrelid FROM pg_constraint WHERE contype = 'f'"
            " AND conrelid = ANY(%(oids)s) AND confrelid = ANY(%(oids)s)",
            {"oids": list(oids.values())},
        ).fetchall()
    )
    return {
        (child, parent)
        for child, one in oids.items()
        for parent, other in oids.items()
        if (one, other) in referring and one != other
    }
