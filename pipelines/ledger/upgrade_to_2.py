"""The contents of control tables of version 1, as version 2 reads them.

Of a load of which nothing is committed the plan is forgotten, so that all of it is this version's.
What other loads have stored is converted where that is exact. Where it isn't, the rows are compared
again by the next run, or the load is refused with a reason: nothing is guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from schemas.catalog_reader import read_relation
from schemas.specification.stored_text import text_without_passwords
from transforms.compare.equal_keys import is_alike_as_text
from transforms.ledger.ledger_session import LedgerSession

_SKIPS = "which rows are skipped"
_KEYS_UNCOMPARED = (
    "version 1 of the control tables compared its keys as text, and the target takes keys as equal"
    " whose texts differ"
)


def carry_over(session: LedgerSession) -> None:
    """Convert the contents of all jobs, in the caller's transaction.

    Args:
        session: To control tables that have the shape of version 2, locked against others.

    Raises:
        psycopg.Error: The server refuses a statement.
    """
    for table in (
        "migration_duplicates",
        "migration_group_findings",
        "migration_partitions",
        "migration_loads",
    ):
        session.execute(_FORGET_UNBEGUN, forgotten=session.table(table))
    for statement in _COMPARE_AGAIN:
        session.execute(statement)
    session.execute(_ORDER_LOSERS)
    session.execute(_REFUSE_UNSEEN_SOURCES)
    _convert_loads(session)
    _convert_jobs(session)


_FORGET_UNBEGUN = """
DELETE FROM {forgotten} f USING {migration_loads} l
WHERE f.job_id = l.job_id AND f.load = l.load AND NOT l.settled AND NOT EXISTS
    (SELECT FROM {migration_partitions} p
     WHERE p.job_id = l.job_id AND p.load = l.load AND p.state = 'done')
"""
"""An empty table has no partitions, and is done with when its load is settled."""

_UNFINISHED = """
    (SELECT job_id, load FROM {migration_partitions} GROUP BY job_id, load
     HAVING bool_or(state <> 'done')) AS unfinished
"""
"""The loads that are begun, but not complete, once those that aren't begun are forgotten."""

_COMPARE_AGAIN = (
    f"""
    INSERT INTO {{migration_earlier_findings}}
        (job_id, load, rule, partition_id, ordinal, winner_key)
    SELECT job_id, load, '', partition_id, ordinal, winner_key
    FROM {{migration_duplicates}} JOIN {_UNFINISHED} USING (job_id, load)
    UNION ALL SELECT job_id, load, rule, partition_id, ordinal, NULL
    FROM {{migration_group_findings}} JOIN {_UNFINISHED} USING (job_id, load)
    """,
    f"DELETE FROM {{migration_duplicates}} d USING {_UNFINISHED}"
    " WHERE d.job_id = unfinished.job_id AND d.load = unfinished.load",
    f"DELETE FROM {{migration_group_findings}} g USING {_UNFINISHED}"
    " WHERE g.job_id = unfinished.job_id AND g.load = unfinished.load",
    f"UPDATE {{migration_loads}} l SET compared = false FROM {_UNFINISHED}"
    " WHERE l.job_id = unfinished.job_id AND l.load = unfinished.load",
)

_ORDER_LOSERS = """
WITH kept AS
    (SELECT d.*, l.definition::jsonb #>> '{{load,duplicates,keep}}' = 'last' AS is_last,
        l.definition::jsonb #> '{{load,duplicates,order}}' <> '[]' AS is_ordered
     FROM {migration_duplicates} d JOIN {migration_loads} l USING (job_id, load)),
grouped AS
    (SELECT *, CASE WHEN is_ordered AND winner_key IS NOT NULL THEN md5(winner_key) ELSE claim END
        AS digest FROM kept),
counted AS
    (SELECT *, count(*) OVER w AS losers,
        row_number() OVER (w ORDER BY partition_id COLLATE "C", ordinal) AS number
     FROM grouped WINDOW w AS (PARTITION BY job_id, load, digest))
UPDATE {migration_duplicates} d SET key_digest = c.digest, place = CASE
    WHEN c.is_ordered AND (c.losers > 1 OR c.winner_key IS NULL) THEN NULL
    WHEN c.is_last THEN c.losers - c.number + 2 ELSE c.number + 1 END
FROM counted c WHERE (d.job_id, d.load, d.partition_id, d.ordinal)
    = (c.job_id, c.load, c.partition_id, c.ordinal)
"""
"""Without an order the claims of one key are alike, and rows come in the order of their places.
With one only the winner is known to be before its losers."""

_REFUSE_UNSEEN_SOURCES = f"""
INSERT INTO {{migration_refused_loads}} (job_id, load, verb, reason)
SELECT job_id, load, 'migrate', 'version 1 of the control tables recorded nothing by which a change'
    ' behind its view, query, or foreign, partitioned or partly readable table could be noticed'
FROM {{migration_loads}} l JOIN {_UNFINISHED} USING (job_id, load)
WHERE EXISTS (SELECT FROM jsonb_array_elements(l.source_state) AS state
    WHERE state -> 'file' = 'null' AND NOT state ? 'bases')
"""


def _convert_loads(session: LedgerSession) -> None:
    rows = session.execute(
        "SELECT l.job_id, l.load, l.definition, l.source_state, unfinished.load IS NOT NULL,"
        " EXISTS (SELECT FROM {migration_duplicates} d WHERE d.job_id = l.job_id"
        "  AND d.load = l.load), j.decisions"
        " FROM {migration_loads} l JOIN {migration_jobs} j USING (job_id)"
        f" LEFT JOIN {_UNFINISHED} ON unfinished.job_id = l.job_id AND unfinished.load = l.load"
    ).fetchall()
    for job, load, text, state, is_unfinished, has_losers, decisions in rows:
        definition = json.loads(text)
        if is_unfinished and not _writes_decisions_alike(definition, decisions):
            _refuse(session, job, load, "migrate", _TARGETS_AS_THEY_STOOD)
        elif is_unfinished and any("files" in one for one in state) and _may_be_narrow(definition):
            _refuse(session, job, load, "migrate", _BLANK_LINES)
        if has_losers and not _compares_as_text(session, definition):
            _refuse(session, job, load, "replay", _KEYS_UNCOMPARED)
        session.execute(
            "UPDATE {migration_loads} SET definition = %(definition)s"
            " WHERE job_id = %(of)s AND load = %(load)s",
            {"definition": json.dumps(_convert_definition(definition)), "of": job, "load": load},
        )


_BLANK_LINES = (
    "its files may have a single column, and version 1 of the control tables was written when blank"
    " lines of such files were left out and not counted"
)


def _refuse(session: LedgerSession, job: str, load: str, verb: str, reason: str) -> None:
    session.execute(
        "INSERT INTO {migration_refused_loads} (job_id, load, verb, reason)"
        " VALUES (%(of)s, %(load)s, %(verb)s, %(reason)s) ON CONFLICT DO NOTHING",
        {"of": job, "load": load, "verb": verb, "reason": reason},
    )


def _convert_definition(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition with the keys that a specification has since, as they were meant then."""
    if "source" in definition:
        definition["source"] = {"escape": None, "follow_links": False, **definition["source"]}
    for entry in definition["maps"].values():
        policy = entry.get("policy") or {}
        policy |= {case: "no_target" for case, value in policy.items() if value == "keep_source"}
    load = definition["load"]
    generated = [name for name, field in load["fields"].items() if (field or {}).get("generate")]
    if generated and len(load["key"]) == 1 and load["key"][0] not in generated:
        # The generated key was stored of skipped rows, which have none.
        definition["stored"][_SKIPS] = False
    return definition


def _may_be_narrow(definition: Mapping[str, Any]) -> bool:
    """Whether the load may read files with one column, by the columns that it names."""
    load = definition["load"]
    relations = load["from"]
    if all(str(one.get("file")).endswith((".parquet", ".avro")) for one in relations):
        return False
    named = {name for field in load["fields"].values() for name in (field or {}).get("from") or []}
    named |= {*(load.get("copy") or []), *(load.get("source_key") or [])}
    for one in relations:
        spread = one.get("unpivot") or one.get("split") or {}
        made = {*spread["columns"]} if one.get("unpivot") else {spread.get("into")}
        named -= {*made, spread.get("position")}
    return len(named) <= 1


def _compares_as_text(session: LedgerSession, definition: Mapping[str, Any]) -> bool:
    """Whether the target takes keys as equal exactly if their texts are."""
    table = read_relation(session.connection, definition["load"]["into"])
    columns = [None if table is None else table.column(name) for name in definition["load"]["key"]]
    return all(column is not None and is_alike_as_text(column) for column in columns)


_NOTATIONS = {
    "dotted": re.compile(r"[A-Z0-9]{1,3}|[A-Z0-9]{3}\.[A-Z0-9]{1,4}"),
    "undotted": re.compile(r"[A-Z0-9]{1,7}"),
    "as_source": re.compile(r"[A-Z0-9]{1,3}"),
}
"""Targets that a map writes in its notation as they stand."""

_TARGETS_AS_THEY_STOOD = (
    "version 1 of the control tables was written when targets that the site had decided on were"
    " written as they stood, and now they are written in the notation of the map"
)


def _writes_decisions_alike(
    definition: Mapping[str, Any], decisions: Mapping[str, Mapping[str, list[str | None]]]
) -> bool:
    """Whether the site's decisions on codes of a load's maps give the same text as before."""
    return all(
        _NOTATIONS[entry.get("notation") or "as_source"].fullmatch(target)
        for name, entry in definition["maps"].items()
        for targets in decisions.get(name, {}).values()
        for target in targets
        if target is not None
    )


def _convert_jobs(session: LedgerSession) -> None:
    """Store decisions without dots, as they are compared now, and texts without passwords."""
    rows = session.execute(
        "SELECT job_id, specification, decisions FROM {migration_jobs}"
    ).fetchall()
    for job, text, decisions in rows:
        undotted = {
            name: {
                code: [target and _without_dot(target) for target in targets]
                for code, targets in of_map.items()
            }
            for name, of_map in decisions.items()
        }
        session.execute(
            "UPDATE {migration_jobs} SET specification = %(text)s, decisions = %(decisions)s"
            " WHERE job_id = %(of)s",
            {"text": text_without_passwords(text), "decisions": Jsonb(undotted), "of": job},
        )


def _without_dot(target: str) -> str:
    return target.replace(".", "") if _NOTATIONS["dotted"].fullmatch(target) else target
