"""Whether relations of a PostgreSQL source are still what they were.

Another snapshot gives the same rows only if nothing was written in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from schemas.catalog import Relation
from transforms.model.program import LoadProgram
from transforms.sources.postgres.base_tables import base_difference, base_state, has_rows_since


def source_state(source: psycopg.Connection[Any], program: LoadProgram) -> list[dict[str, Any]]:
    """For each relation its rows, its file, and the first transaction that is not in sight.

    For what has no storage of its own (views, queries) file and transaction are None, and there is
    the state of the tables behind it.
    """
    return [_state(source, relation) for relation in program.relations]


def _state(source: psycopg.Connection[Any], relation: Relation) -> dict[str, Any]:
    row = source.execute(sql.SQL("SELECT count(*) FROM {}").format(relation.sql)).fetchone()
    assert row is not None
    if not relation.is_stored:
        readable = [c.name for c in relation.columns if c.readable]
        stored_nowhere = {"rows": row[0], "file": None, "horizon": None, "readable": readable}
        return stored_nowhere | base_state(source, relation)
    stored = source.execute(
        "SELECT pg_relation_filenode(%s::regclass)::int8,"
        " pg_snapshot_xmin(pg_current_snapshot())::text",
        [relation.sql.as_string()],
    ).fetchone()
    assert stored is not None
    return {"rows": row[0], "file": stored[0], "horizon": stored[1]}


def difference(
    source: psycopg.Connection[Any], program: LoadProgram, stored: Sequence[Mapping[str, Any]]
) -> str | None:
    """What of a load's relations isn't as ``source_state`` found it, in words; None for nothing."""
    for relation, before in zip(program.relations, stored, strict=True):
        now = _state(source, relation)
        if now["rows"] != before["rows"]:
            return f"{relation} had {before['rows']} rows and has {now['rows']}"
        if (now["file"] is None) != (before["file"] is None):
            return f"{relation} is no longer the table, or the view, that it was"
        if now.get("readable") != before.get("readable"):
            return f"other columns of {relation} can be read, which its order depends on"
        if now["file"] != before["file"]:
            return f"{relation} was rewritten"
        if before["horizon"] is not None and has_rows_since(
            source, relation.sql, before["horizon"]
        ):
            return f"rows of {relation} were inserted or updated"
        # A version that stored less has said nothing of the tables behind a view.
        behind = "bases" in before and base_difference(source, relation, before, now)
        if behind:
            return behind
    return None
