"""References between loads: parents that are there, rejected, skipped, absent, made or deferred."""

from __future__ import annotations

import pytest

from schemas.errors import ExitStatus
from schemas.summary import Summary
from tests.support.databases.two_databases import TwoDatabases

# -- each on_missing and on_skipped, with copied and with generated keys ----------------------

LEGACY = """
CREATE TABLE people (mrn text PRIMARY KEY, name text, gone boolean, born date);
INSERT INTO people VALUES ('here', 'Ann', false, '1980-01-01'), ('bad', NULL, false, '1980-01-01'),
    ('skip', 'Bob', true, '1980-01-01');
CREATE TABLE visits (id int PRIMARY KEY, mrn text, seen date);
INSERT INTO visits VALUES (1, 'here', '2020-01-01'), (2, 'bad', '2020-01-01'),
    (3, 'skip', '2020-01-01'), (4, 'absent', '2020-01-01'), (5, NULL, '2020-01-01'),
    (6, ' ', '2020-01-01'), (7, 'absent', '1970-01-01'), (8, 'here', '1970-01-01');
"""

# How each load treats: 2 (rejected parent), 3 (skipped parent), 4 (absent parent).
TREATMENTS = {
    "by_default": ("", "rejected", "skipped", "rejected"),
    "rejects": ("on_skipped: reject", "rejected", "rejected", "rejected"),
    "nulls": ("on_missing: set_null", "null", "null", "null"),
    "nulls_skips": ("on_missing: set_null, on_skipped: skip", "null", "skipped", "null"),
    "nulls_rejects": ("on_missing: set_null, on_skipped: reject", "null", "rejected", "null"),
    "holds": ("on_missing: placeholder", "made", "made", "made"),
    "holds_skips": ("on_missing: placeholder, on_skipped: skip", "made", "skipped", "made"),
}
KEYS = ("copied", "generated")


@pytest.fixture(scope="module")
def referred(shared_databases: TwoDatabases) -> Summary:
    databases = shared_databases
    databases.legacy.run(LEGACY)
    lines = ["tables:"]
    for treatment, (steps, *_) in TREATMENTS.items():
        for key in KEYS:
            # Each load has parents of its own, so that a placeholder of one is none of another.
            name = f"{treatment}_{key}"
            kind = "mrn text" if key == "copied" else "id int"
            databases.target.run(
                f"CREATE TABLE people_{name} ({kind} PRIMARY KEY, name varchar(5) NOT NULL,"
                " born date);"
                f"CREATE TABLE {name} (id int PRIMARY KEY, person {kind.split()[1]}"
                f" REFERENCES people_{name}, seen date)"
            )
            made = "id: {generate: sequence}" if key == "generated" else "mrn: {from: mrn}"
            lines += [
                f"  people_{name}: {{from: people, key: [{kind.split()[0]}], copy: [name, born],"
                f" skip: {{GONE: gone}}, fields: {{{made}}}}}",
                f"  {name}:",
                "    from: visits",
                "    key: [id]",
                "    copy: [id, seen]",
                f"    fields: {{person: {{from: mrn, ref: people_{name},"
                f" {steps or 'required: false'},"
                " take: {person_born: born}}}",
                "    rules: {AFTER_BIRTH: seen >= person_born}",
            ]
    return databases.migrate("\n".join(lines) + "\n").summary


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("treatment", TREATMENTS)
def test_a_child_of_a_parent_that_is_not_there(
    shared_databases: TwoDatabases, referred: Summary, treatment: str, key: str
) -> None:
    name = f"{treatment}_{key}"
    of_parent = dict(zip((2, 3, 4), TREATMENTS[treatment][1:], strict=True))
    of_parent[7] = of_parent[4]  # a second child of the same absent parent
    column = "mrn" if key == "copied" else "id"
    written: dict[int, str] = dict(
        shared_databases.target.rows(
            f"SELECT c.id, coalesce(p.name, 'null') FROM {name} c"
            f" LEFT JOIN people_{name} p ON p.{column} = c.person"
        )
    )
    names = {"null": "null", "made": "Unkno"}
    expected = {1: "Ann", 5: "null", 6: "null"}
    expected |= {i: names[what] for i, what in of_parent.items() if what in names}
    assert written == expected
    errors: dict[int, str] = dict(
        shared_databases.target.rows(
            "SELECT source_key::int, (error_code, rule_id, reason)::text"
            f" FROM migration.migration_errors WHERE load = '{name}' AND NOT warning"
        )
    )
    reasons = {2: "parent_rejected", 3: "parent_skipped", 4: "missing_parent", 7: "missing_parent"}
    assert errors == {
        8: "(DATA-001,AFTER_BIRTH,)",
        **{
            i: f"(DATA-002,person.ref,{reasons[i]})"
            for i, what in of_parent.items()
            if what == "rejected"
        },
    }
    load = referred.tables[name]
    assert load.skipped_by == ({"person.ref": 1} if of_parent[3] == "skipped" else {})
    assert load.skipped == sum(load.skipped_by.values())
    assert referred.tables[f"people_{name}"].placeholders == len(
        {2: "bad", 3: "skip", 4: "absent"}.keys() & {i for i, w in of_parent.items() if w == "made"}
    )
    warned = shared_databases.target.values(
        f"SELECT source_key::int FROM migration.migration_errors WHERE load = '{name}' AND warning"
        " ORDER BY 1"
    )
    assert warned == sorted(i for i, what in of_parent.items() if what in ("null", "made"))


def test_allow_writes_what_it_finds(databases: TwoDatabases) -> None:
    databases.legacy.run(LEGACY)
    databases.target.run(
        "CREATE TABLE people (mrn text PRIMARY KEY);"
        "CREATE TABLE visits (id int PRIMARY KEY, mrn text)"
    )
    databases.migrate(
        """
tables:
  people: {from: people, key: [mrn], copy: [mrn], skip: {GONE: gone}}
  visits:
    from: visits
    key: [id]
    copy: [id]
    fields: {mrn: {from: mrn, ref: people, on_missing: allow}}
"""
    )
    assert dict(databases.target.rows("TABLE visits")) == {
        **{1: "here", 2: "bad", 3: "skip", 4: "absent", 5: None, 6: None, 7: "absent", 8: "here"}
    }
    assert databases.errors() == databases.warnings() == []


# -- several sources, several targets ------------------------------------------------------------

SEVERAL = """
job: moved
sources: {adt: {url: "${LEGACY_URL}"}, lab: {url: "${LAB_URL}"}}
target: {url: "${TARGET_URL}", control_schema: migration}
tables:
  adt_people:
    into: people
    from: {source: adt, table: people}
    key: [system, id]
    fields: {system: {const: ADT}, id: {generate: sequence}, name: {from: name}}
  lab_people:
    into: people
    from: {source: lab, table: people}
    source_key: [code]
    key: [system, id]
    fields: {system: {const: LAB}, id: {generate: sequence}, name: {from: name}}
  adt_visits:
    into: visits
    from: {source: adt, table: visits}
    key: [id]
    copy: [id]
    fields: {person: {from: mrn, ref: adt_people}}
  lab_visits:
    into: visits
    from: {source: lab, table: tests}
    key: [id]
    fields: {id: {from: id}, person: {from: code, ref: people}}
  names: {from: {source: adt, table: people}, key: [mrn], copy: [mrn, name]}
  births:
    from: {source: adt, table: people}
    key: [mrn]
    copy: [born]
    fields: {mrn: {from: mrn, ref: names}}
"""


@pytest.mark.slow
def test_several_sources_unite_and_one_is_split(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE people (mrn text PRIMARY KEY, name text, born date);"
        "INSERT INTO people VALUES ('1', 'Ann', '1980-01-01'), ('2', 'Bob', NULL);"
        "CREATE TABLE visits (id int PRIMARY KEY, mrn text); INSERT INTO visits VALUES (1, '2');"
        "CREATE SCHEMA lab; CREATE TABLE lab.people (code text, name text);"
        "INSERT INTO lab.people VALUES ('L1', 'Cid'), ('L2', 'Dan');"
        "CREATE TABLE lab.tests (id int PRIMARY KEY, code text);"
        "INSERT INTO lab.tests VALUES (11, 'L2'), (12, '1'), (13, 'L9'), (1, 'L1')"
    )
    databases.target.run(
        "CREATE TABLE people (id int PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, system text,"
        " name text);"
        "CREATE TABLE visits (id int PRIMARY KEY, person int REFERENCES people);"
        "CREATE TABLE names (mrn text PRIMARY KEY, name text);"
        "CREATE TABLE births (mrn text PRIMARY KEY REFERENCES names, born date)"
    )
    lab = databases.legacy.url + "&options=-csearch_path%3Dlab"
    summary = databases.migrate("", header=SEVERAL.replace("${LAB_URL}", lab)).summary
    assert databases.target.rows(
        "SELECT v.id, system, name FROM visits v JOIN people p ON p.id = person ORDER BY 1"
    ) == [(1, "ADT", "Bob"), (11, "LAB", "Dan"), (12, "ADT", "Ann")]
    assert databases.errors() == [
        ("lab_visits", "1", "DATA-004", "visits_pkey", "existing_key"),
        ("lab_visits", "13", "DATA-002", "person.ref", "missing_parent"),
    ]
    assert databases.target.rows("SELECT mrn, born::text FROM births ORDER BY 1") == [
        ("1", "1980-01-01"),
        ("2", None),
    ]
    assert [summary.tables[n].written for n in ("adt_people", "lab_people", "names")] == [2, 2, 2]


# -- rows that stand in the target ---------------------------------------------------------------


def test_keys_that_stand_in_the_target(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE a (id int PRIMARY KEY, v text);"
        "INSERT INTO a SELECT i, 'new' || i FROM generate_series(1, 4) i;"
        "CREATE TABLE children (id int PRIMARY KEY, a int);"
        "INSERT INTO children VALUES (1, 1), (2, 2), (3, 9)"
    )
    for table in ("inserted", "left_alone", "updated"):
        databases.target.run(
            f"CREATE TABLE {table} (id int PRIMARY KEY, v text, kept text DEFAULT 'x');"
            f"INSERT INTO {table} VALUES (2, 'old', 'y'), (9, 'old', 'y')"
        )
        databases.target.run(
            f"CREATE TABLE of_{table} (id int PRIMARY KEY, a int REFERENCES {table})"
        )
    summary = databases.migrate(
        "tables:\n"
        + "".join(
            f"  {table}: {{from: a, key: [id], write: {write}, copy: [id, v]}}\n"
            f"  of_{table}: {{from: children, key: [id], copy: [id],"
            f" fields: {{a: {{from: a, ref: {table}}}}}}}\n"
            for table, write in (
                ("inserted", "insert"),
                ("left_alone", "skip_existing"),
                ("updated", "upsert"),
            )
        )
    ).summary
    for table, second in (("inserted", "old"), ("left_alone", "old"), ("updated", "new2")):
        assert databases.target.rows(f"TABLE {table} ORDER BY 1") == [
            (1, "new1", "x"),
            (2, second, "y"),
            (3, "new3", "x"),
            (4, "new4", "x"),
            (9, "old", "y"),
        ]
        assert databases.target.rows(f"TABLE of_{table} ORDER BY 1") == [(1, 1), (2, 2), (3, 9)]
    assert databases.errors() == [("inserted", "2", "DATA-004", "inserted_pkey", "existing_key")]
    assert summary.tables["left_alone"].skipped_by == {"existing": 1}
    assert summary.tables["updated"].written == 4


# -- references of a table to itself -------------------------------------------------------------

STAFF = """
CREATE TABLE staff (code text PRIMARY KEY, boss text, name text, gone boolean DEFAULT false);
INSERT INTO staff (code, boss, name) VALUES ('root', NULL, 'r'), ('a', 'root', 'a'),
    ('b', 'a', 'b'), ('self', 'self', 's'), ('x', 'y', 'x'), ('y', 'x', 'y'),
    ('o1', 'nobody', 'o'), ('o2', 'o1', 'o'), ('o3', 'o2', 'o'), ('bad', 'root', NULL),
    ('of_bad', 'bad', 'n'), ('left', 'root', 'l'), ('of_left', 'left', 'n'),
    ('under', 'of_left', 'n');
UPDATE staff SET gone = true WHERE code = 'left';
"""
SAME_TABLE = {"root": None, "a": "root", "b": "a", "self": "self", "x": "y", "y": "x"}


@pytest.mark.parametrize("key", KEYS)
def test_references_of_a_table_to_itself(databases: TwoDatabases, key: str) -> None:
    databases.legacy.run(STAFF)
    made = key == "generated"
    lines = ["tables:"]
    for table, steps in (
        ("strict", ""),
        ("strict_skipped", ", on_skipped: reject"),
        ("lenient", ", on_missing: set_null"),
    ):
        kind = "int GENERATED ALWAYS AS IDENTITY" if made else "text"
        databases.target.run(
            f"CREATE TABLE {table} (id {kind} PRIMARY KEY, boss {kind.split()[0]}"
            f" REFERENCES {table}, code text, name text NOT NULL)"
        )
        identity = "{generate: sequence}" if made else "{from: code}"
        lines += [
            f"  {table}:",
            "    from: staff",
            "    key: [id]",
            "    skip: {LEFT: gone}",
            "    copy: [code, name]",
            f"    fields: {{id: {identity},"
            f" boss: {{from: boss, ref: {table}, deferred: true{steps}}}}}",
        ]
    summary = databases.migrate("\n".join(lines) + "\n").summary

    def bosses(table: str) -> dict[str, str | None]:
        return dict(
            databases.target.rows(
                f"SELECT t.code, b.code FROM {table} t LEFT JOIN {table} b ON b.id = t.boss"
            )
        )

    orphans = {
        "o1": "missing_parent",
        "o2": "parent_rejected",
        "o3": "parent_rejected",
        "of_bad": "parent_rejected",
    }
    assert bosses("strict") == bosses("strict_skipped") == SAME_TABLE
    assert summary.tables["strict"].skipped_by == {"LEFT": 1, "boss.ref": 2}
    assert summary.tables["strict_skipped"].skipped_by == {"LEFT": 1}
    assert bosses("lenient") == SAME_TABLE | {
        "o1": None,
        "o2": "o1",
        "o3": "o2",
        "of_bad": None,
        "of_left": None,
        "under": "of_left",
    }
    for table, expected in (
        ("strict", orphans),
        (
            "strict_skipped",
            orphans | {"of_left": "parent_skipped", "under": "parent_rejected"},
        ),
        ("lenient", {}),
    ):
        errors = databases.target.rows(
            "SELECT source_key, error_code, reason FROM migration.migration_errors"
            f" WHERE load = '{table}' AND NOT warning"
        )
        assert {(code, "DATA-002", reason) for code, reason in expected.items()} | {
            ("bad", "DATA-001", "missing")
        } == set(errors)


def test_a_rule_cannot_read_a_reference_that_is_settled_later(databases: TwoDatabases) -> None:
    databases.legacy.run("CREATE TABLE people (mrn text PRIMARY KEY, mother text)")
    databases.target.run("CREATE TABLE people (id bigint PRIMARY KEY, mother_id bigint)")
    error = databases.refused(
        """
tables:
  people:
    from: people
    key: [id]
    fields:
      id: {generate: sequence}
      mother_id: {from: mother, ref: people, deferred: true}
    rules:
      NOT_OWN_MOTHER: mother_id <> 1
"""
    )
    assert [(p.code.value, "mother_id" in p.message) for p in error.problems] == [
        ("TRANS-001", True)
    ]


def test_a_source_key_of_two_united_systems_has_no_mother(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE adt (mrn text PRIMARY KEY, mother text);"
        "INSERT INTO adt VALUES ('1', NULL), ('2', NULL), ('3', '2');"
        "CREATE TABLE lab (mrn text PRIMARY KEY, mother text);"
        "INSERT INTO lab VALUES ('1', NULL), ('4', '1'), ('5', '4')"
    )
    databases.target.run(
        "CREATE TABLE people (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, mrn text,"
        " system text, mother int REFERENCES people)"
    )
    fields = "id: {generate: sequence}, mother: {from: mother, ref: people, deferred: true}"
    databases.migrate(
        f"""
tables:
  adt: {{into: people, from: adt, key: id, copy: [mrn], fields: {{system: {{const: A}}, {fields}}}}}
  lab: {{into: people, from: lab, key: id, copy: [mrn], fields: {{system: {{const: L}}, {fields}}}}}
"""
    )
    # The mother '1' of the laboratory's '4' is a patient of either system.
    assert databases.target.rows(
        "SELECT c.system, c.mrn, m.system, m.mrn FROM people c LEFT JOIN people m"
        " ON m.id = c.mother ORDER BY 1, 2"
    ) == [
        ("A", "1", None, None),
        ("A", "2", None, None),
        ("A", "3", "A", "2"),
        ("L", "1", None, None),
    ]
    assert databases.errors("load, source_key, rule_id, reason") == [
        ("lab", "4", "mother.ref", "ambiguous_parent"),
        ("lab", "5", "mother.ref", "parent_rejected"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("on_missing", ["reject", "placeholder"])
def test_a_visit_goes_to_no_patient_of_another_system(
    databases: TwoDatabases, on_missing: str
) -> None:
    """'1' is in both systems, '2' is rejected in one of them, '3' is skipped in one."""
    databases.legacy.run(
        "CREATE TABLE adt (mrn text PRIMARY KEY, name text);"
        "INSERT INTO adt VALUES ('1', 'Ann'), ('2', NULL), ('3', 'skipped'), ('4', NULL);"
        "CREATE TABLE lab (mrn text PRIMARY KEY, name text);"
        "INSERT INTO lab VALUES ('1', 'Bob'), ('2', 'Eve'), ('3', 'Kim');"
        "CREATE TABLE visits (id int PRIMARY KEY, mrn text);"
        "INSERT INTO visits SELECT i, i::text FROM generate_series(1, 5) i;"
        "INSERT INTO visits SELECT i + 10, i::text FROM generate_series(1, 5) i"
    )
    databases.target.run(
        "CREATE TABLE people (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text NOT NULL);"
        "CREATE TABLE visits (id int PRIMARY KEY, person int REFERENCES people)"
    )
    parent = "into: people, key: id, copy: [name], fields: {id: {generate: sequence}}"
    specification = f"""
tables:
  adt: {{from: adt, {parent}, skip: {{IN_LAB: "name = 'skipped'"}}}}
  lab: {{from: lab, {parent}}}
  visits:
    from: visits
    key: id
    copy: [id]
    fields: {{person: {{from: mrn, ref: people, on_missing: {on_missing}}}}}
"""
    databases.migrate(specification)
    found: dict[int, str] = dict(
        databases.target.rows("SELECT v.id, p.name FROM visits v JOIN people p ON p.id = v.person")
    )
    errors = {
        (key, reason)
        for load, key, reason in databases.errors("load, source_key, reason")
        if load == "visits"
    }
    wrong = {("1", "ambiguous_parent"), ("2", "parent_rejected")}
    if on_missing == "reject":
        wrong |= {("4", "parent_rejected"), ("5", "missing_parent")}
        assert found == {3: "Kim", 13: "Kim"}
    else:
        unknown = dict.fromkeys((4, 5, 14, 15), "Unknown")
        assert found == {3: "Kim", 13: "Kim"} | unknown
        assert databases.target.values("SELECT count(*) FROM people WHERE name = 'Unknown'") == [2]
    assert errors == wrong | {(f"1{key}", reason) for key, reason in wrong}


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("constraint", ["UNIQUE", "CHECK (name <> 'Unknown')"])
def test_a_placeholder_that_the_target_refuses(
    databases: TwoDatabases, key: str, constraint: str
) -> None:
    databases.legacy.run(
        "CREATE TABLE people (mrn text PRIMARY KEY, name text);"
        "INSERT INTO people VALUES ('a', 'Ann');"
        "CREATE TABLE visits (id int PRIMARY KEY, mrn text);"
        "INSERT INTO visits VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'b')"
    )
    kind, copy, made = "int", "name", "id: {generate: sequence}"
    if key == "copied":
        kind, copy, made = "text", "name", "id: {from: mrn}"
    # Without a foreign key nobody but the migration sees to it that parents are there.
    databases.target.run(
        f"CREATE TABLE people (id {kind} PRIMARY KEY, name text NOT NULL {constraint});"
        f"CREATE TABLE visits (id int PRIMARY KEY, person {kind})"
    )
    summary = databases.migrate(
        f"""
tables:
  people: {{from: people, key: id, copy: [{copy}], fields: {{{made}}}}}
  visits:
    from: visits
    key: id
    copy: [id]
    fields: {{person: {{from: mrn, ref: people, on_missing: placeholder}}}}
"""
    ).summary
    expected = {1: "Ann"}
    if constraint == "UNIQUE":
        expected |= {2: "Unknown", 4: "Unknown"}
    assert (
        dict(
            databases.target.rows(
                "SELECT v.id, p.name FROM visits v LEFT JOIN people p ON p.id = v.person"
            )
        )
        == expected
    )
    assert databases.errors("source_key, error_code, rule_id, reason") == [
        (str(i), "DATA-002", "person.ref", "missing_parent") for i in (2, 3, 4) if i not in expected
    ]
    assert summary.tables["people"].placeholders == len(expected) // 3
    if key == "generated":
        assert databases.target.values(
            "SELECT target_key::int FROM migration.migration_keys WHERE load = 'people' ORDER BY 1"
        ) == databases.target.values("SELECT id FROM people ORDER BY 1")


def test_made_keys_are_found_by_values_of_other_types(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE people (no numeric(10,0), site numeric, since date, code char(4),"
        " PRIMARY KEY (no, site, since, code));"
        "INSERT INTO people VALUES (7, 1.50, '2001-02-03', 'ab'), (8, 0, '1999-01-01', 'c');"
        "CREATE TABLE visits (id int PRIMARY KEY, no numeric(12,2), site text, since timestamp,"
        " code text);"
        "INSERT INTO visits VALUES (1, 7, '1.5', '2001-02-03', 'ab'), (2, 8, '0.00', '1999-01-01',"
        " 'c'), (3, 8.01, '0', '1999-01-01', 'c'), (4, 8, '0', '1999-01-01 00:01', 'c'),"
        " (5, 8, 'none', '1999-01-01', 'c'), (6, 8, ' ', '1999-01-01', 'c')"
    )
    databases.target.run(
        "CREATE TABLE people (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, no int);"
        "CREATE TABLE visits (id int PRIMARY KEY, person int REFERENCES people)"
    )
    databases.migrate(
        """
tables:
  people: {from: people, key: id, copy: [no], fields: {id: {generate: sequence}}}
  visits:
    from: visits
    key: id
    copy: [id]
    fields: {person: {from: [no, site, since, code], ref: people}}
"""
    )
    assert [key for key, *_ in databases.errors("source_key, reason")] == ["3", "4", "5"]
    assert databases.target.rows(
        "SELECT v.id, p.no FROM visits v LEFT JOIN people p ON p.id = v.person ORDER BY 1"
    ) == [(1, 7), (2, 8), (6, None)]


FOREIGN = """
tables:
  notes:                                # before its parents, and without a word of them
    from: legacy_notes
    key: [id]
    copy: [id, ward, bed]
  beds: {from: legacy_beds, key: [ward, bed], copy: [ward, bed, note]}
"""


def with_foreign_keys(databases: TwoDatabases, more: str = "") -> None:
    databases.legacy.run(
        "CREATE TABLE legacy_beds (ward int, bed int, note int, PRIMARY KEY (ward, bed));"
        "INSERT INTO legacy_beds SELECT i % 100, i / 100, NULL FROM generate_series(0, 29999) i;"
        "CREATE TABLE legacy_notes (id int PRIMARY KEY, ward int, bed int);"
        "INSERT INTO legacy_notes SELECT i, i % 100, i / 100 FROM generate_series(0, 999) i"
    )
    databases.target.run(
        'CREATE TABLE "Beds" (ward int, bed int, note int, PRIMARY KEY (ward, bed));'
        "CREATE TABLE notes (id int PRIMARY KEY, ward int, bed int, FOREIGN KEY (ward, bed)"
        f' REFERENCES "Beds"); {more}'
    )


def test_a_foreign_key_of_the_target_orders_loads(databases: TwoDatabases) -> None:
    with_foreign_keys(databases)
    specification = FOREIGN.replace("beds: {", "beds: {into: public.Beds, ")
    summary = databases.migrate(specification).summary
    assert summary.tables["notes"].accepted == 1000
    assert databases.target.rows(
        "SELECT load, level FROM migration.migration_loads ORDER BY load"
    ) == [("beds", 0), ("notes", 1)]


def test_foreign_keys_in_a_circle_leave_the_order(databases: TwoDatabases) -> None:
    with_foreign_keys(databases, 'ALTER TABLE "Beds" ADD FOREIGN KEY (note) REFERENCES notes')
    databases.migrate(FOREIGN.replace("beds: {", "beds: {into: Beds, "))
    # Theirs is that of the specification, in which the notes come first.
    assert databases.target.rows(
        "SELECT load, level FROM migration.migration_loads ORDER BY load"
    ) == [("beds", 1), ("notes", 0)]


@pytest.mark.slow
def test_only_a_load_that_a_foreign_key_holds_back(databases: TwoDatabases) -> None:
    with_foreign_keys(databases)
    specification = FOREIGN.replace("beds: {", "beds: {into: Beds, ")
    outcome = databases.migrate(specification, only=["notes"], expected=ExitStatus.INCOMPLETE)
    assert [p.code.value for p in outcome.problems] == ["USER-003"]
    assert "it needs beds" in outcome.problems[0].message
    databases.migrate(specification)


@pytest.mark.slow
def test_loads_that_refer_to_each_other_go_through_a_third(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE wards (id int PRIMARY KEY, name text, head int);"
        "INSERT INTO wards SELECT i, 'w', i FROM generate_series(1, 5) i;"
        "CREATE TABLE doctors (id int PRIMARY KEY, ward int);"
        "INSERT INTO doctors SELECT i, i FROM generate_series(1, 5) i"
    )
    databases.target.run(
        "CREATE TABLE wards (id int PRIMARY KEY, name text NOT NULL, head int);"
        "CREATE TABLE doctors (id int PRIMARY KEY, ward int NOT NULL REFERENCES wards);"
        "ALTER TABLE wards ADD FOREIGN KEY (head) REFERENCES doctors"
    )
    head = "fields: {head: {from: head, ref: doctors}}"
    doctors = (
        "  doctors: {from: doctors, key: [id], copy: [id],"
        " fields: {ward: {from: ward, ref: wards}}}\n"
    )
    wards = "from: wards, key: [id], copy: [id, name]"
    (problem,) = databases.refused(f"tables:\n  wards: {{{wards}, {head}}}\n{doctors}").problems
    assert problem.remedy == (
        "leave head out of 'wards', and add at the end of 'tables' a copy of it that has it, named"
        " 'wards_again', with 'into: wards' and 'write: upsert'; references to 'wards' must name"
        " that load"
    )
    databases.migrate(
        f"tables:\n  wards: {{{wards}}}\n{doctors}"
        f"  wards_again: {{{wards}, {head}, into: wards, write: upsert}}\n"
    )
    assert databases.target.row("SELECT count(*) FROM wards WHERE head = id") == (5,)
