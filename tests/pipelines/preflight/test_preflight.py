"""What is wrong with the servers is reported before anything is written, all of it together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pipelines.databases.load_compilation import compile_loads
from pipelines.databases.open_databases import open_databases
from pipelines.preflight import check_servers
from schemas.specification.reading import read_specification
from tests.support.databases.as_role import ROLE, AsRole, as_role
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.jobs.small_hospital import TABLES, fill, run, run_json

Capture = pytest.CaptureFixture[str]

LEGACY = """
CREATE TABLE ten (id int PRIMARY KEY, v text); INSERT INTO ten SELECT i, 'v' || i
    FROM generate_series(1, 10) i;
CREATE TABLE hidden (id int PRIMARY KEY, v text, ward text);
INSERT INTO hidden SELECT i, 'v' || i, CASE WHEN i < 4 THEN 'mover' ELSE 'w' END
    FROM generate_series(1, 10) i;
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_ward ON hidden USING (ward = current_user);
CREATE VIEW seen_by_owner AS SELECT id, v FROM hidden;
CREATE VIEW seen_by_reader WITH (security_invoker) AS SELECT id, v FROM hidden;
CREATE VIEW nested AS SELECT * FROM seen_by_reader;
CREATE TABLE forced (LIKE hidden INCLUDING ALL);
ALTER TABLE forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE TABLE documents (id int PRIMARY KEY, body oid);
INSERT INTO documents SELECT i, lo_from_bytea(0, 'text') FROM generate_series(1, 3) i;
CREATE TABLE withheld_documents AS SELECT * FROM documents;
CREATE DOMAIN lo AS oid;
CREATE TABLE files (id int PRIMARY KEY, body lo); INSERT INTO files SELECT * FROM documents;
CREATE TABLE kinds (id int PRIMARY KEY, kind oid); INSERT INTO kinds VALUES (1, 25);
CREATE SEQUENCE numbers;
CREATE VIEW numbered AS SELECT nextval('numbers') AS id, v FROM ten;
CREATE VIEW sampled AS SELECT * FROM ten WHERE random() < 0.5;
CREATE VIEW shuffled AS SELECT row_number() OVER (ORDER BY random()) AS id, v FROM ten;
CREATE TABLE withheld (id int PRIMARY KEY, v text, secret text);
CREATE VIEW over_withheld WITH (security_invoker) AS SELECT id, v FROM withheld;
CREATE SCHEMA closed; CREATE TABLE closed.things (id int PRIMARY KEY, v text);
"""

TARGET = """
CREATE TABLE plain (id int PRIMARY KEY, v text);
CREATE TABLE bodies (id int PRIMARY KEY, body text);
CREATE TABLE guarded (id int PRIMARY KEY, v text);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON guarded USING (true) WITH CHECK (true);
CREATE TABLE ruled (id int PRIMARY KEY, v text);
CREATE RULE "no more" AS ON INSERT TO ruled WHERE new.id > 5 DO INSTEAD NOTHING;
CREATE TABLE published (id int UNIQUE NOT NULL, v text);
CREATE TABLE parted (id int UNIQUE, v text) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (1) TO (100);
CREATE TABLE postponed (id int CONSTRAINT one_id UNIQUE DEFERRABLE, v text);
CREATE TABLE counted (id int PRIMARY KEY, number int GENERATED ALWAYS AS IDENTITY, v text);
CREATE TABLE untouchable (id int PRIMARY KEY, v text, other text);
CREATE SEQUENCE hibernate_sequence;
CREATE TABLE hibernated (id int PRIMARY KEY DEFAULT nextval('hibernate_sequence'), v text);
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE SCHEMA migration;
"""

LOADS = {
    "hidden": "{from: hidden, into: plain, key: [id], copy: [id, v]}",
    "seen_by_owner": "{from: seen_by_owner, into: plain, key: [id], copy: [id, v]}",
    "seen_by_reader": "{from: seen_by_reader, into: plain, key: [id], copy: [id, v]}",
    "nested": "{from: nested, into: plain, key: [id], copy: [id, v]}",
    "forced": "{from: forced, into: plain, key: [id], copy: [id, v]}",
    "queried": "{from: {query: SELECT * FROM hidden}, into: plain, key: [id], copy: [id, v]}",
    "mapped": "{from: ten, into: plain, key: [id], fields: {id: {from: id}, v: {from: v, map: m}}}",
    "documents": "{from: documents, into: bodies, key: [id], copy: [id, body]}",
    "files": "{from: files, into: bodies, key: [id], copy: [id, body]}",
    "asked_for": "{from: {query: 'SELECT id AS no, body FROM documents'}, into: bodies, "
    "fields: {id: {from: no}, body: {from: body}}}",
    "withheld_documents": "{from: withheld_documents, into: bodies, key: [id], copy: [id, body]}",
    "kinds": "{from: kinds, into: bodies, key: [id], fields: {id: {from: id}, body: {from: kind}}}",
    "asked": "{from: documents, into: bodies, key: [id], fields: {id: {from: id}, "
    "body: {sql: 'CAST(body IS NULL AS text)'}}}",
    "numbered": "{from: numbered, into: plain, key: [id], copy: [id, v]}",
    "sampled": "{from: sampled, into: plain, copy: [id, v]}",
    "shuffled": "{from: shuffled, into: plain, key: [id], copy: [id, v]}",
    "withheld": "{from: withheld, into: plain, key: [id], copy: [id, v]}",
    "over_withheld": "{from: over_withheld, into: plain, key: [id], copy: [id, v]}",
    "things": "{from: closed.things, into: plain, key: [id], copy: [id, v]}",
    "guarded": "{from: ten, key: [id], copy: [id, v]}",
    "ruled": "{from: ten, key: [id], copy: [id, v]}",
    "published": "{from: ten, key: [id], write: upsert, copy: [id, v]}",
    "parted": "{from: ten, key: [id], write: upsert, copy: [id, v]}",
    "temporary": "{from: ten, into: TEMPORARY.temporary, copy: [id, v]}",
    "postponed": "{from: ten, key: [id], write: upsert, copy: [id, v]}",
    "counted": "{from: ten, key: [id], write: upsert, copy: [id, v], fields: {number: {from: id}}}",
    "untouchable": "{from: ten, key: [id], copy: [id, v]}",
    "hibernated": "{from: ten, key: [id], copy: [id, v]}",
    "misnamed": "{from: ten, into: plain, key: [id], copy: [id], fields: {v: {from: nothing}}}",
}

SPECIFICATION = "maps: {m: {query: 'SELECT v, ward FROM hidden', on_unmapped: keep}}\ntables:\n"
SPECIFICATION += "".join(f"  {name}: {load}\n" for name, load in LOADS.items())

EVERY = f"ALTER ROLE {ROLE} BYPASSRLS;"

EXPECTED = {
    ("USER-002", "source, public.hidden", EVERY),
    ("USER-002", "source, public.seen_by_reader", EVERY),
    ("USER-002", "source, public.nested", EVERY),
    ("USER-002", "source, public.forced", EVERY),
    ("USER-002", "tables.queried.from.query", EVERY),
    ("USER-002", "maps.m.query", EVERY),
    (
        "TRANS-004",
        "source, public.documents, column body",
        'write from: {query: "SELECT id, lo_get(body) AS body FROM public.documents"},'
        " source_key: [id], and let the column of the target be bytea",
    ),
    (
        "TRANS-004",
        "source, public.files, column body",
        'write from: {query: "SELECT id, lo_get(body) AS body FROM public.files"},'
        " source_key: [id], and let the column of the target be bytea",
    ),
    (
        "TRANS-004",
        "source, query of asked_for, column body",
        'write from: {query: "SELECT no, lo_get(body) AS body FROM (SELECT id AS no, body FROM'
        ' documents) AS q"}, and let the column of the target be bytea',
    ),
    (
        "USER-002",
        "source, public.withheld_documents",
        f"GRANT SELECT (id, body) ON public.withheld_documents TO {ROLE};",
    ),
    (
        "SYS-004",
        "source, public.numbered",
        "take the call out of the query, and let the target number the rows ('generate: sequence')",
    ),
    (
        "SYS-004",
        "source, public.sampled",
        "store its rows first, and read those:"
        ' CREATE MATERIALIZED VIEW "public"."sampled_stored" AS TABLE "public"."sampled";',
    ),
    (
        "SYS-004",
        "source, public.shuffled",
        "store its rows first, and read those:"
        ' CREATE MATERIALIZED VIEW "public"."shuffled_stored" AS TABLE "public"."shuffled";',
    ),
    ("USER-002", "source, public.withheld", f"GRANT SELECT (id, v) ON public.withheld TO {ROLE};"),
    ("USER-002", "source, public.over_withheld", f"GRANT SELECT ON public.withheld TO {ROLE};"),
    ("USER-002", "source, schema closed", f"GRANT USAGE ON SCHEMA closed TO {ROLE};"),
    ("USER-002", "source, closed.things", f"GRANT SELECT (id, v) ON closed.things TO {ROLE};"),
    ("USER-002", "target, public.guarded", EVERY),
    ("TRANS-004", "target, public.ruled", 'ALTER TABLE public.ruled DISABLE RULE "no more";'),
    (
        "TRANS-004",
        "target, public.published",
        "ALTER TABLE public.published REPLICA IDENTITY FULL;",
    ),
    ("TRANS-004", "target, public.parted", "ALTER TABLE public.part REPLICA IDENTITY FULL;"),
    (
        "SYS-004",
        "target, TEMPORARY.temporary",
        "have the other session create an ordinary one:"
        " CREATE TABLE public.moved (LIKE TEMPORARY.temporary INCLUDING ALL);",
    ),
    (
        "TRANS-004",
        "target, public.postponed",
        'ALTER TABLE "public"."postponed" DROP CONSTRAINT "one_id", ADD CONSTRAINT "one_id"'
        ' UNIQUE ("id");',
    ),
    (
        "TRANS-004",
        "target, public.postponed",
        "ALTER TABLE public.postponed REPLICA IDENTITY FULL;",
    ),
    (
        "TRANS-004",
        "target, public.counted",
        'ALTER TABLE "public"."counted" ALTER COLUMN "number" SET GENERATED BY DEFAULT;',
    ),
    (
        "USER-002",
        "target, table public.untouchable",
        f"GRANT INSERT (id, v), SELECT ON public.untouchable TO {ROLE};",
    ),
    (
        "USER-002",
        "target, sequence public.hibernate_sequence",
        f"GRANT SELECT, UPDATE ON SEQUENCE public.hibernate_sequence TO {ROLE};",
    ),
    (
        "USER-002",
        "target, schema migration",
        f"GRANT USAGE, CREATE ON SCHEMA migration TO {ROLE};",
    ),
    ("TRANS-001", "tables.misnamed.fields.v.from", "it has: id, v"),
}


@pytest.fixture
def defective(databases: TwoDatabases) -> Iterator[AsRole]:
    databases.legacy.run(LEGACY)
    databases.target.run(TARGET)
    databases.target.run("CREATE TEMPORARY TABLE temporary (id int PRIMARY KEY, v text)")
    with as_role(databases) as by_role:
        databases.legacy.run(f"REVOKE ALL ON withheld, withheld_documents FROM {ROLE}")
        databases.legacy.run(f"ALTER TABLE forced OWNER TO {ROLE}")
        databases.target.run(
            f"REVOKE ALL ON untouchable FROM {ROLE}; REVOKE ALL ON SEQUENCE hibernate_sequence"
            f" FROM {ROLE}"
        )
        yield by_role


def triples(problems: list[dict[str, str]]) -> set[tuple[str, str, str]]:
    """Code, place and remedy; of a place in the specification, its path."""
    return {
        (p["code"], p["where"].partition("yaml:")[2].partition(" ")[2] or p["where"], p["remedy"])
        for p in problems
    }


def test_one_plan_reports_everything(defective: AsRole, capsys: Capture) -> None:
    own = "SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()"
    (temporary,) = defective.target.values(own)
    defective.write(SPECIFICATION.replace("TEMPORARY", temporary))
    problems = run_json(defective, capsys, ["plan", "SPEC"], status=2)["problems"]
    reported = triples(problems)
    assert {tuple(t.replace(temporary, "TEMPORARY") for t in one) for one in reported} == EXPECTED
    assert len(problems) == len(EXPECTED)
    assert defective.target.values("SELECT count(*) FROM pg_class WHERE relname LIKE 'migr%'") == [
        0
    ]


ODD_LEGACY = """
CREATE TABLE ten (id int PRIMARY KEY, v text);
INSERT INTO ten SELECT i, 'v' || i FROM generate_series(1, 10) i;
CREATE FUNCTION clean(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN trim($1); END $$;
CREATE VIEW cleaned AS SELECT id, clean(v) AS v, (random() * 0)::int AS n FROM ten;
CREATE TABLE pairs (a int, b int, v text); INSERT INTO pairs VALUES (1, 1, 'x'), (1, NULL, 'y');
CREATE TABLE documents (id int PRIMARY KEY, body oid);
INSERT INTO documents SELECT i, lo_from_bytea(0, 'text') FROM generate_series(1, 3) i;
CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE elsewhere (id int PRIMARY KEY, v text) USING other;
INSERT INTO elsewhere SELECT i, repeat('v', 100) FROM generate_series(1, 6000) i;
"""

ODD_TARGET = """
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE TABLE triggered (id int PRIMARY KEY, v text);
CREATE TRIGGER "at work" BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER off BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE triggered DISABLE TRIGGER off;
CREATE TRIGGER on_update BEFORE UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION note();
CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child () INHERITS (parent);
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, v text, n int);
CREATE TABLE pairs (a int NOT NULL, b int, v text, UNIQUE (a, b));
ALTER TABLE pairs REPLICA IDENTITY FULL;
CREATE TABLE elsewhere (id int, v text); CREATE TABLE bodies (id int PRIMARY KEY, body bytea);
CREATE SCHEMA s2;
CREATE SEQUENCE hibernate_sequence; CREATE SEQUENCE s2."Other Numbers";
CREATE SEQUENCE down INCREMENT -1; CREATE SEQUENCE short MAXVALUE 5;
CREATE TABLE one (id int PRIMARY KEY DEFAULT nextval('hibernate_sequence'), v text);
CREATE TABLE two (id numeric PRIMARY KEY DEFAULT nextval('hibernate_sequence'), v text);
CREATE TABLE of_others (id int DEFAULT nextval('hibernate_sequence'));
INSERT INTO of_others VALUES (5000);
CREATE TABLE three (id bigint PRIMARY KEY DEFAULT nextval('s2."Other Numbers"'), v text);
CREATE TABLE four (id int PRIMARY KEY DEFAULT nextval('down'), v text);
CREATE TABLE five (id int PRIMARY KEY DEFAULT nextval('short'), v text);
CREATE TABLE six (id text PRIMARY KEY DEFAULT 'P' || nextval('hibernate_sequence'), v text);
CREATE SEQUENCE of_seven; CREATE SEQUENCE of_eight START 10; CREATE SEQUENCE of_nine;
CREATE FUNCTION seven_id() RETURNS bigint LANGUAGE plpgsql AS
    $$ BEGIN RETURN nextval('of_seven'); END $$;
CREATE FUNCTION eight_id() RETURNS bigint BEGIN ATOMIC SELECT nextval('of_eight'); END;
CREATE FUNCTION nine_id() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('of_nine') * 10 $$;
CREATE FUNCTION zero_id() RETURNS int LANGUAGE sql AS $$ SELECT count(*)::int FROM one $$;
CREATE TABLE seven (id int PRIMARY KEY DEFAULT seven_id(), v text);
CREATE TABLE eight (id int PRIMARY KEY DEFAULT eight_id(), v text);
CREATE TABLE nine (id int PRIMARY KEY DEFAULT nine_id(), n int UNIQUE DEFAULT zero_id(),
    m int DEFAULT zero_id(), v text);
CREATE PUBLICATION everything FOR ALL TABLES;
"""

ODD = """
tables:
  triggered: {from: ten, key: [id], copy: [id, v]}
  parent: {from: ten, key: [id], copy: [id, v]}
  unlogged: {from: cleaned, source_key: id, copy: [id, v, n]}
  pairs: {from: pairs, key: [a, b], write: upsert, copy: [a, b, v]}
  elsewhere: {from: elsewhere, copy: [id, v]}
  bodies:
    from: {query: "SELECT id, lo_get(body) AS body FROM documents"}
    source_key: id
    key: [id]
    copy: [id, body]
  one: {from: ten, key: [id], copy: [id, v]}
  two: {from: {query: "SELECT id + 1000 AS id, v FROM ten"}, source_key: id, copy: [id, v]}
  three: {from: ten, key: [id], copy: [id, v]}
  four: {from: {query: "SELECT -id AS id, v FROM ten"}, source_key: id, copy: [id, v]}
  five: {from: ten, key: [id], copy: [id, v]}
  six: {from: {query: "SELECT 'P' || id AS id, v FROM ten"}, source_key: id, copy: [id, v]}
  seven: {from: ten, key: [id], copy: [id, v]}
  eight: {from: ten, key: [id], copy: [id, v]}
  nine:
    from: {query: "SELECT id, id AS n, id AS m, v FROM ten"}
    source_key: id
    copy: [id, n, m, v]
"""

WARNINGS = {
    (
        "SYS-004",
        "source, public.cleaned",
        "store its rows first, and read those:"
        ' CREATE MATERIALIZED VIEW "public"."cleaned_stored" AS TABLE "public"."cleaned";',
    ),
    (
        "TRANS-004",
        "target, public.triggered",
        "if their work isn't wanted while migrating:"
        ' ALTER TABLE public.triggered DISABLE TRIGGER "at work";',
    ),
    ("TRANS-004", "target, public.parent", "ALTER TABLE public.child NO INHERIT public.parent;"),
    (
        "TRANS-004",
        "target, public.unlogged",
        "before it is used: ALTER TABLE public.unlogged SET LOGGED;",
    ),
    (
        "TRANS-004",
        "tables.pairs.key",
        "write 'required: true' at the field b, or"
        ' ALTER TABLE "public"."pairs" ALTER COLUMN "b" SET NOT NULL;',
    ),
    (
        "TRANS-004",
        "target, public.six",
        "after the migration: SELECT setval('public.hibernate_sequence', GREATEST_NUMBER_IN_USE);",
    ),
    (
        "TRANS-004",
        "target, public.nine",
        "after the migration: SELECT setval('public.of_nine', (SELECT max(id) FROM public.nine));",
    ),
    (
        "TRANS-004",
        "target, public.nine",
        "after the migration, if it draws numbers from a sequence: SELECT setval('SEQUENCE',"
        " (SELECT max(n) FROM public.nine));",
    ),
}


@pytest.mark.slow
def test_what_a_run_can_live_with_is_a_warning(databases: TwoDatabases, capsys: Capture) -> None:
    databases.legacy.run(ODD_LEGACY)
    databases.target.run(ODD_TARGET)
    databases.write(ODD, HEADER.replace("{retry:", "{memory: 20MB, retry:"))
    plan = run_json(databases, capsys, ["plan", "SPEC"])
    assert triples(plan["problems"]) == WARNINGS
    document = run_json(databases, capsys, ["migrate", "SPEC"])
    assert triples(document["problems"]) == WARNINGS
    assert document["state"] == "complete"
    target = databases.target
    for table, following in {
        "one": 5001,
        "two": 5002,
        "three": 11,
        "four": -11,
        "seven": 11,
        "eight": 11,
        "triggered": None,
    }.items():
        if following is not None:
            made = f"INSERT INTO {table} (v) VALUES ('application') RETURNING id"
            assert target.values(made) == [following], table
    assert target.values("SELECT last_value FROM short") == [5]
    assert target.values("SELECT DISTINCT body FROM bodies") == [b"text"]
    predicates = "SELECT predicate FROM migration.migration_partitions WHERE load = 'elsewhere'"
    assert len(target.values(predicates)) > 1
    assert not any("ctid" in predicate for predicate in target.values(predicates))


def test_nothing_is_said_of_sound_servers(databases: TwoDatabases, capsys: Capture) -> None:
    fill(databases)
    databases.write(TABLES)
    with as_role(databases) as by_role:
        assert run(by_role, "plan", "SPEC") == 0
        assert "warning" not in capsys.readouterr().err


def test_more_tables_take_no_more_queries(
    databases: TwoDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    execute = psycopg.Connection.execute

    def counted(connection: Any, query: Any, *values: Any, **options: Any) -> Any:
        asked.append(query)
        return execute(connection, query, *values, **options)

    def queries_for(tables: int) -> int:
        loads = [f"  t{i}: {{from: t{i}, key: [id], copy: [id]}}\n" for i in range(tables)]
        path = databases.write("tables:\n" + "".join(loads))
        specification = read_specification(path, databases.variables)
        with open_databases(specification) as opened:
            programs, _ = compile_loads(opened, "2020-01-01T00:00:00+00:00")
            asked.clear()
            with monkeypatch.context() as patched:
                patched.setattr(psycopg.Connection, "execute", counted)
                assert check_servers(opened, programs) == []
            return len(asked)

    for i in range(20):
        for database in (databases.legacy, databases.target):
            database.run(f"CREATE TABLE t{i} (id serial PRIMARY KEY)")
    assert queries_for(20) == queries_for(1) < 25
