"""Checks what a target table does behind our back: policies, triggers, rules, publications."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipelines.databases.open_databases import Databases
from pipelines.preflight.finding import Finding, blocker, warning
from pipelines.preflight.target_uses import TargetUse, target_uses
from schemas.errors import ErrorCode
from transforms.model.program import LoadProgram
from transforms.postgres.row_security import current_role, exemption

_FACTS = """
WITH RECURSIVE named AS (
    SELECT u.number, c.*, n.nspname
    FROM unnest(%(schemas)s::text[], %(names)s::text[]) WITH ORDINALITY AS u(schema, name, number)
    JOIN pg_namespace n ON n.nspname = u.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name),
tree(number, oid, depth) AS (
    SELECT number, oid, 0 FROM named
    UNION SELECT tree.number, i.inhrelid, 1 FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid),
parts AS (
    SELECT tree.number, tree.depth, c.oid, c.relkind, c.relpersistence,
           quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
    FROM tree JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace)
SELECT named.number, quote_ident(named.nspname) || '.' || quote_ident(named.relname),
    row_security_active(named.oid),
    ARRAY(SELECT DISTINCT quote_ident(t.tgname) || ' ON ' || p.name FROM parts p
          JOIN pg_trigger t ON t.tgrelid = p.oid
          WHERE p.number = named.number AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
            AND t.tgparentid = 0 AND (t.tgtype & 4 > 0 OR t.tgtype & 16 > 0 AND u.updated)
          ORDER BY 1),
    ARRAY(SELECT quote_ident(r.rulename) FROM pg_rewrite r
          WHERE r.ev_class = named.oid AND r.ev_enabled IN ('O', 'A')
            AND (r.ev_type = '3' OR r.ev_type = '2' AND u.updated) ORDER BY 1),
    ARRAY(SELECT p.name FROM parts p WHERE p.number = named.number AND p.relkind = 'f' ORDER BY 1),
    ARRAY(SELECT p.name FROM parts p WHERE p.number = named.number AND p.relpersistence = 'u'
          ORDER BY 1),
    named.relpersistence = 't',
    ARRAY(SELECT p.name FROM parts p WHERE p.number = named.number AND p.depth > 0
          AND named.relkind = 'r' ORDER BY 1),
    ARRAY(SELECT DISTINCT p.name FROM parts p
          JOIN published b ON b.relid = p.oid
              OR b.relid IN (SELECT relid FROM pg_partition_ancestors(p.oid))
          WHERE p.number = named.number AND u.updated AND p.relkind = 'r' AND NOT EXISTS (
              SELECT FROM pg_class c LEFT JOIN pg_index i ON i.indrelid = c.oid AND CASE
                  c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END
              WHERE c.oid = p.oid AND (c.relreplident = 'f' OR i.indexrelid IS NOT NULL))
          ORDER BY 1)
FROM named JOIN unnest(%(updated)s::bool[]) WITH ORDINALITY AS u(updated, number) USING (number)
ORDER BY named.number
"""

_PUBLISHED = """
published AS (
    SELECT DISTINCT t.relid FROM pg_publication b
    CROSS JOIN LATERAL pg_get_publication_tables(b.pubname) AS t
    WHERE b.pubupdate),
"""


@dataclass(frozen=True)
class _Facts:
    """What the catalogue says of a table and of its partitions, names as SQL writes them."""

    name: str
    has_policies: bool
    triggers: list[str]
    rules: list[str]
    foreign: list[str]
    unlogged: list[str]
    is_temporary: bool
    inheriting: list[str]
    unidentified: list[str]
    """The table, or those of its partitions, of which updates are published and rows have no
    identity."""


def check_target_tables(databases: Databases, programs: Mapping[str, LoadProgram]) -> list[Finding]:
    """Findings on the tables that loads write or refer to, in one query."""
    uses = target_uses(programs)
    target = databases.target
    query = _FACTS.replace("tree(number", f"{_PUBLISHED.lstrip()}tree(number", 1)
    rows = target.execute(
        query.encode(),
        {
            "schemas": [schema for schema, _ in uses],
            "names": [name for _, name in uses],
            "updated": [bool(use.updated) for use in uses.values()],
        },
    ).fetchall()
    role = current_role(target)
    ordered = list(uses.values())
    return [
        finding
        for number, *facts in rows
        for finding in _of_table(ordered[number - 1], _Facts(*facts), role)
    ]


def _of_table(use: TargetUse, facts: _Facts, role: str) -> Iterator[Finding]:
    if facts.has_policies:
        yield blocker(
            ErrorCode.USER_002,
            use.where,
            f"row-level security hides rows of {facts.name} from the role {role}, or refuses them",
            exemption(role),
        )
    if facts.is_temporary:
        yield blocker(
            ErrorCode.SYS_004,
            use.where,
            "it is a temporary table of another session, which nobody else can write to",
            "have the other session create an ordinary one:"
            f" CREATE TABLE public.moved (LIKE {facts.name} INCLUDING ALL);",
        )
    if use.loads:
        yield from _refusals(use, facts)
        yield from _warnings(use, facts)


def _refusals(use: TargetUse, facts: _Facts) -> Iterator[Finding]:
    if facts.rules:
        yield blocker(
            ErrorCode.TRANS_004,
            use.where,
            f"the rules {', '.join(facts.rules)} rewrite some statements that write to it and not"
            " others: COPY knows no rules",
            " ".join(f"ALTER TABLE {facts.name} DISABLE RULE {rule};" for rule in facts.rules),
        )
    if facts.unidentified:
        yield blocker(
            ErrorCode.TRANS_004,
            use.where,
            "its rows are updated, and a publication has updates of"
            f" {', '.join(facts.unidentified)}, whose rows have no primary key or replica identity",
            " ".join(f"ALTER TABLE {name} REPLICA IDENTITY FULL;" for name in facts.unidentified),
        )


def _warnings(use: TargetUse, facts: _Facts) -> Iterator[Finding]:
    if facts.triggers:
        yield warning(
            ErrorCode.TRANS_004,
            use.where,
            "triggers fire for the rows that are written, and can change, refuse or drop them: "
            + ", ".join(facts.triggers),
            "if their work isn't wanted while migrating: "
            + " ".join(map(_disable_trigger, facts.triggers)),
        )
    if facts.foreign:
        yield warning(
            ErrorCode.TRANS_004,
            use.where,
            "rows go to foreign tables, whose server commits them by itself: after a crash they may"
            f" be there and not be counted ({', '.join(facts.foreign)})",
            "connect to that server as the target",
        )
    if facts.unlogged:
        yield warning(
            ErrorCode.TRANS_004,
            use.where,
            "it is unlogged: a crash of the server empties it",
            "before it is used: "
            + " ".join(f"ALTER TABLE {name} SET LOGGED;" for name in facts.unlogged),
        )
    if facts.inheriting:
        yield warning(
            ErrorCode.TRANS_004,
            use.where,
            f"{', '.join(facts.inheriting)} inherit from it, and no key of it is compared with the"
            " rows that are there",
            " ".join(f"ALTER TABLE {child} NO INHERIT {facts.name};" for child in facts.inheriting),
        )


def _disable_trigger(trigger: str) -> str:
    name, _, table = trigger.rpartition(" ON ")
    return f"ALTER TABLE {table} DISABLE TRIGGER {name};"
