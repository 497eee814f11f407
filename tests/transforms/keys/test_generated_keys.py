"""Keys that the migration makes, and references that follow them."""

from __future__ import annotations

import uuid

import pytest

from schemas.summary import Summary
from tests.support.databases.as_role import ROLE, as_role
from tests.support.databases.two_databases import HEADER, TwoDatabases
from tests.support.jobs.small_hospital import run_json

# -- generated keys through several levels ----------------------------------------------------

LEGACY = """
CREATE TABLE regions (code text PRIMARY KEY, name text);
INSERT INTO regions VALUES ('N', 'north'), ('S', 'south'), ('X', NULL);
CREATE TABLE houses (site text, no int, region text, name text, PRIMARY KEY (site, no));
INSERT INTO houses VALUES ('A"', 1, 'N', 'a1'), ('A"', 2, 'S', 'a2'), ('B,', 1, 'X', 'b1'),
    ('B,', 2, 'Q', 'b2'), ('C', 1, NULL, 'c1');
CREATE TABLE wards (id int PRIMARY KEY, site text, house int, name text);
INSERT INTO wards VALUES (1, 'A"', 1, 'one'), (2, 'A"', 2, 'two'), (3, 'B,', 1, 'three'),
    (4, 'C', 1, 'four'), (5, 'C', 9, 'five'), (6, NULL, NULL, 'six'), (7, 'A"', NULL, 'seven');
CREATE TABLE beds (id int PRIMARY KEY, ward int);
INSERT INTO beds SELECT i, i % 8 FROM generate_series(1, 16) i;
CREATE TABLE repeated (code text, n int);
INSERT INTO repeated VALUES ('a', 1), ('b', 2);
"""

TARGET = """
CREATE TABLE regions (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text,
    name text NOT NULL);
CREATE TABLE houses (id bigserial PRIMARY KEY, region_id int REFERENCES regions, name text);
CREATE TABLE wards (id numeric(10) PRIMARY KEY, house_id bigint REFERENCES houses, name text);
CREATE TABLE beds (id uuid PRIMARY KEY, ward_id numeric(10) REFERENCES wards, old int);
INSERT INTO wards VALUES (70, NULL, 'before');
"""

SPECIFICATION = """
tables:
  beds:
    from: beds
    key: [id]
    fields:
      id: {generate: uuid5}
      old: {from: id}
      ward_id: {from: ward, ref: wards}
  wards:
    from: wards
    key: [id]
    source_key: [id]
    fields:
      id: {generate: sequence}
      house_id: {from: [site, house], ref: houses}
      name: {from: name}
  houses:
    from: houses
    key: [id]
    source_key: [site, no]
    fields:
      id: {generate: sequence}
      region_id: {from: region, ref: regions}
      name: {from: name}
  regions:
    from: regions
    key: [id]
    copy: [code, name]
    fields: {id: {generate: sequence}}
"""


@pytest.fixture(scope="module")
def generated(shared_databases: TwoDatabases) -> Summary:
    shared_databases.legacy.run(LEGACY)
    shared_databases.target.run(TARGET)
    return shared_databases.migrate(SPECIFICATION).summary


@pytest.mark.usefixtures("generated")
def test_children_receive_the_new_keys_through_several_levels(
    shared_databases: TwoDatabases,
) -> None:
    assert shared_databases.target.rows(
        "SELECT r.code, h.name, w.name, count(b.id) FROM wards w"
        " LEFT JOIN houses h ON h.id = house_id LEFT JOIN regions r ON r.id = region_id"
        " LEFT JOIN beds b ON b.ward_id = w.id WHERE w.name <> 'before' GROUP BY 1, 2, 3 ORDER BY 3"
    ) == [
        (None, "c1", "four", 2),
        ("N", "a1", "one", 2),
        (None, None, "seven", 2),
        (None, None, "six", 2),
        ("S", "a2", "two", 2),
    ]
    assert shared_databases.errors() == [
        ("beds", "11", "DATA-002", "ward_id.ref", "parent_rejected"),
        ("beds", "13", "DATA-002", "ward_id.ref", "parent_rejected"),
        ("beds", "16", "DATA-002", "ward_id.ref", "missing_parent"),
        ("beds", "3", "DATA-002", "ward_id.ref", "parent_rejected"),
        ("beds", "5", "DATA-002", "ward_id.ref", "parent_rejected"),
        ("beds", "8", "DATA-002", "ward_id.ref", "missing_parent"),
        ("houses", '["B,","1"]', "DATA-002", "region_id.ref", "parent_rejected"),
        ("houses", '["B,","2"]', "DATA-002", "region_id.ref", "missing_parent"),
        ("regions", "X", "DATA-001", "name.required", "missing"),
        ("wards", "3", "DATA-002", "house_id.ref", "parent_rejected"),
        ("wards", "5", "DATA-002", "house_id.ref", "missing_parent"),
    ]


@pytest.mark.usefixtures("generated")
def test_a_root_cause_leads_from_a_rejected_child_to_the_first_rejected_parent(
    shared_databases: TwoDatabases,
) -> None:
    assert shared_databases.target.values(
        "WITH RECURSIVE chain AS (SELECT id, root_cause_id, load, 1 AS n"
        " FROM migration.migration_errors WHERE load = 'beds' AND source_key = '3'"
        " UNION ALL SELECT e.id, e.root_cause_id, e.load, n + 1 FROM migration.migration_errors e"
        " JOIN chain ON e.id = chain.root_cause_id) SELECT load FROM chain ORDER BY n"
    ) == ["beds", "wards", "houses", "regions"]


@pytest.mark.usefixtures("generated")
def test_every_generated_key_is_stored_with_its_source_key(shared_databases: TwoDatabases) -> None:
    assert shared_databases.target.rows(
        "SELECT k.source_key, h.name FROM migration.migration_keys k"
        " JOIN houses h ON h.id = k.target_key::bigint WHERE k.load = 'houses' ORDER BY 1"
    ) == [('["A\\"","1"]', "a1"), ('["A\\"","2"]', "a2"), ('["C","1"]', "c1")]
    assert shared_databases.target.row(
        "SELECT (SELECT count(*) FROM migration.migration_keys),"
        " (SELECT count(*) FROM regions) + (SELECT count(*) FROM houses)"
        " + (SELECT count(*) FROM wards WHERE name <> 'before') + (SELECT count(*) FROM beds)"
    ) == (20, 20)


@pytest.mark.usefixtures("generated")
def test_a_column_without_a_sequence_counts_from_the_rows_of_before(
    shared_databases: TwoDatabases,
) -> None:
    ids = shared_databases.target.values("SELECT id::int FROM wards ORDER BY id")
    assert ids[0] == 70
    assert min(ids[1:]) > 70


@pytest.mark.parametrize("column", ["id", "id GENERATED ALWAYS AS IDENTITY", "id serial"])
def test_a_sequence_begins_after_the_rows_of_before(databases: TwoDatabases, column: str) -> None:
    """Whoever filled the target before may have given keys without asking the sequence."""
    databases.legacy.run("CREATE TABLE a (v text); INSERT INTO a VALUES ('x'), ('y')")
    kind = column if "serial" in column else column.replace("id", "id int", 1)
    databases.target.run(
        f"CREATE TABLE a ({kind} PRIMARY KEY, v text);"
        "INSERT INTO a OVERRIDING SYSTEM VALUE VALUES (1, 'before'), (2, 'before')"
    )
    databases.migrate(
        "tables: {a: {from: a, key: [id], copy: [v], fields: {id: {generate: sequence}}}}\n"
    )
    assert databases.errors() == []
    assert databases.target.values("SELECT v FROM a ORDER BY v") == ["before", "before", "x", "y"]
    assert len(set(databases.target.values("SELECT id FROM a"))) == 4


def test_numbers_of_a_sequence_that_a_default_computes_with_are_refused(
    databases: TwoDatabases,
) -> None:
    databases.legacy.run("CREATE TABLE a (v text); INSERT INTO a VALUES ('x'), ('y')")
    defaults = {"computed": "nextval('s') * 1000 + 7", "plain": "nextval('s')::int"}
    databases.target.run("CREATE SEQUENCE s")
    for name, default in defaults.items():
        databases.target.run(f"CREATE TABLE {name} (id int PRIMARY KEY DEFAULT {default}, v text)")
    loads = [
        f"  {name}: {{from: a, key: [id], copy: [v], fields: {{id: {{generate: sequence}}}}}}\n"
        for name in defaults
    ]
    (problem,) = databases.refused("tables:\n" + "".join(loads)).problems
    assert problem.code.value == "TRANS-004"
    assert "the default of id computes with the sequence public.s" in problem.message
    databases.target.run(problem.remedy[problem.remedy.index("ALTER TABLE") :])
    databases.migrate("tables:\n" + "".join(loads))
    assert databases.target.values("SELECT id FROM computed UNION ALL SELECT id FROM plain") != []


def test_sequences_in_schemas_that_the_role_may_not_use_are_reported(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.legacy.run("CREATE TABLE a AS SELECT 7 AS id, 'x'::text AS v")
    databases.legacy.run("ALTER TABLE a ADD PRIMARY KEY (id)")
    # The functions run as their owner, who may draw.
    definer = "RETURNS int SECURITY DEFINER LANGUAGE"
    draws = {
        "secret": f"{definer} plpgsql AS $$ BEGIN RETURN nextval('hidden.secret'); END $$",
        "granted": f"{definer} plpgsql AS $$ BEGIN RETURN nextval('Hidden.\"granted\"'); END $$",
        "atomic": f"{definer} sql BEGIN ATOMIC SELECT nextval('hidden.atomic'); END",
        "known": f"{definer} plpgsql AS $$ BEGIN RETURN nextval('known_numbers'); END $$",
        "odd": f"{definer} plpgsql AS $$ BEGIN RETURN nextval('1st'); END $$",
    }
    databases.target.run("CREATE SCHEMA hidden; CREATE SEQUENCE known_numbers")
    for name, body in draws.items():
        databases.target.run(
            f"CREATE SEQUENCE hidden.{name}; CREATE FUNCTION {name}_id() {body};"
            f"CREATE TABLE {name} (id int PRIMARY KEY DEFAULT {name}_id(), v text)"
        )
    loads = [f"  {name}: {{from: a, key: [id], copy: [id, v]}}\n" for name in draws]
    databases.write("tables:\n" + "".join(loads))
    with as_role(databases) as by_role:
        databases.target.run(f"GRANT ALL ON SEQUENCE hidden.granted, hidden.atomic TO {ROLE}")
        document = run_json(by_role, capsys, ["migrate", "SPEC"])
    told = {
        problem["where"]: problem["message"]
        for problem in document["problems"]
        if "the sequence isn't advanced" in problem["message"]
    }
    drawing = ("atomic", "granted", "secret")
    assert {*told} == {f"target, public.{name}" for name in (*drawing, "odd")}
    for name in drawing:
        assert f"draws from the sequence hidden.{name}" in told[f"target, public.{name}"]
    assert databases.target.row("SELECT last_value FROM known_numbers") == (7,)


@pytest.mark.slow
def test_a_uuid_is_the_same_whenever_the_partition_is_written(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE a (id int PRIMARY KEY, v text);"
        "INSERT INTO a SELECT i, repeat('v', 50) FROM generate_series(1, 2000) i"
    )
    databases.target.run(
        "CREATE TABLE a (k uuid PRIMARY KEY, id int); CREATE TABLE b (k text PRIMARY KEY, id int);"
        "CREATE SEQUENCE tries;"
        "CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        "  IF nextval('tries') <= 3 THEN RAISE 'full' USING ERRCODE = '53100'; END IF;"
        "  RETURN new; END $$;"
        "CREATE TRIGGER t BEFORE INSERT ON b FOR EACH ROW WHEN (new.id % 700 = 0)"
        " EXECUTE FUNCTION fail_once()"
    )
    one = """
tables:
  a:
    from: a
    into: %s
    partition: id
    key: [k]
    fields: {k: {generate: uuid5}, id: {from: id}}
"""
    retrying = HEADER.replace(
        "attempts: 1, delay: 10ms}}", "attempts: 9, delay: 1ms}, memory: 2MB}"
    )
    databases.migrate(one % "a")
    databases.migrate(one % "b", header=retrying.replace("migration}", "second}"))
    first: dict[int, str] = dict(databases.target.rows("SELECT id, k::text FROM a"))
    assert dict(databases.target.rows("SELECT id, k FROM b")) == first
    assert {uuid.UUID(k).version for k in first.values()} == {5}
    assert databases.target.row("SELECT last_value > 3 FROM tries") == (True,)


KINDS = {"n": "numeric", "z": "numeric(6,2)", "c": "char(4)", "t": "char(4)", "f": "float8"}


def test_keys_that_the_server_takes_as_equal_are_duplicates(databases: TwoDatabases) -> None:
    """Which of them wins is decided by the specification, not by who comes first."""
    databases.legacy.run(
        "CREATE TABLE a (id int PRIMARY KEY, n numeric, z text, c char(4), t text, f float8);"
        "INSERT INTO a VALUES (1, 1.0, '007', 'a', 'a', 0), (2, 1.00, '+7.0', 'a ', 'a ', '-0'),"
        " (3, 1, '7', 'a', 'a', 0)"
    )
    loads = ["tables:"]
    for column, kind in KINDS.items():
        databases.target.run(f"CREATE TABLE {column} (k {kind} PRIMARY KEY, id int)")
        loads.append(
            f"  {column}: {{from: a, key: [k], copy: [id], fields: {{k: {{from: {column}}}}},"
            " duplicates: {keep: last, order: ['id % 3']}}"
        )
    databases.migrate("\n".join(loads) + "\n")
    for column in KINDS:
        assert databases.target.values(f"SELECT id FROM {column}") == [2]
    assert databases.errors() == sorted(
        (c, i, "DATA-004", "key.duplicate", "duplicate") for c in KINDS for i in ("1", "3")
    )


def test_a_parent_is_found_however_its_number_is_written(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE p (code text PRIMARY KEY, gone boolean, name text);"
        "INSERT INTO p VALUES ('007', false, 'x'), ('8.0', true, 'x'), ('09', false, NULL);"
        "CREATE TABLE c (id int PRIMARY KEY, code text);"
        "INSERT INTO c VALUES (1, '7.00'), (2, '+8'), (3, '9'), (4, '0010')"
    )
    databases.target.run(
        "CREATE TABLE p (code numeric PRIMARY KEY, name text NOT NULL);"
        "CREATE TABLE c (id int PRIMARY KEY, code numeric REFERENCES p)"
    )
    summary = databases.migrate(
        """
tables:
  p: {from: p, key: [code], copy: [code, name], skip: {GONE: gone}}
  c: {from: c, key: [id], copy: [id], fields: {code: {from: code, ref: p}}}
"""
    ).summary
    assert databases.target.values("SELECT id FROM c") == [1]
    assert summary.tables["c"].skipped_by == {"code.ref": 1}
    assert databases.errors()[:2] == [
        ("c", "3", "DATA-002", "code.ref", "parent_rejected"),
        ("c", "4", "DATA-002", "code.ref", "missing_parent"),
    ]


def test_the_server_knows_the_losers_before_it_compares_them(databases: TwoDatabases) -> None:
    """Without statistics it takes them for one row, and compares each with each."""
    databases.legacy.run(
        "CREATE TABLE wards (id int, name text);"
        "INSERT INTO wards SELECT i % 700, 'w' || i FROM generate_series(1, 1000) i"
    )
    databases.target.run("CREATE TABLE wards (id int PRIMARY KEY, name text)")
    databases.migrate("tables: {wards: {from: wards, key: [id], copy: [id, name]}}\n")
    assert len(databases.errors()) == 300
    known = "SELECT reltuples FROM pg_class WHERE oid = 'migration.migration_{}'::regclass"
    assert databases.target.values(known.format("errors")) == [300]
    assert databases.target.values(known.format("duplicates")) == [300]


@pytest.mark.parametrize("unique", ["", ", UNIQUE (name)"])
def test_keys_that_stood_in_the_target_before(databases: TwoDatabases, unique: str) -> None:
    """Whether or not the target has a unique index that knows of them."""
    databases.legacy.run(
        "CREATE TABLE wards (id int PRIMARY KEY, name text);"
        "INSERT INTO wards VALUES (1, 'A'), (2, 'B'), (3, NULL), (4, 'C'), (5, 'C')"
    )
    databases.target.run(
        f"CREATE TABLE wards (name text, beds int{unique}); INSERT INTO wards VALUES ('B', 9)"
    )
    databases.migrate(
        "tables: {wards: {from: wards, key: [name], copy: [name], duplicates: {keep: first,"
        " order: [id]}}}"
    )
    assert databases.target.rows("SELECT name, beds FROM wards ORDER BY 1") == [
        ("A", None),
        ("B", 9),
        ("C", None),
        (None, None),
    ]
    assert databases.errors("source_key, error_code, field, reason") == [
        ("2", "DATA-004", "name", "existing_key"),
        ("5", "DATA-004", "name", "duplicate"),
    ]


def test_two_loads_into_a_table_without_a_unique_index(databases: TwoDatabases) -> None:
    for name in ("old", "new"):
        databases.legacy.run(
            f"CREATE TABLE {name} (id int PRIMARY KEY); INSERT INTO {name} VALUES (1), (2)"
        )
    databases.legacy.run("DELETE FROM old WHERE id = 2")
    databases.target.run("CREATE TABLE wards (id int)")
    databases.migrate(
        "tables:\n  old: {from: old, into: wards, key: [id], copy: [id]}\n"
        "  new: {from: new, into: wards, key: [id], copy: [id]}\n"
    )
    assert databases.target.values("SELECT id FROM wards ORDER BY id") == [1, 2]
    assert databases.errors() == [("new", "1", "DATA-004", "id.existing_key", "existing_key")]
