"""Source relations of every shape: each of their rows arrives once, whatever they look like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from pipelines.cli.main import main
from schemas.summary import LoadSummary
from tests.support.databases.encoded import encoded
from tests.support.databases.two_databases import HEADER, Database, TwoDatabases

SMALL = HEADER.replace("attempts: 1, delay: 10ms}}", "attempts: 1, delay: 10ms}, memory: 2MB}")
"""Partitions of 64 KB, so that small tables have several."""

ODD_NAMES = (
    "Mixed Case",
    "a",
    "A",
    'quo"te',
    "per%cent",
    "%s",
    "%(x)s",
    "select",
    "größe",
    "x.y",
    "back\\slash",
    "semi;colon",
    " blank ",
    "it's",
    "{brace}",
    "src.id",
    "batch",
    "ctid_",
)
_ODD_COLUMNS = ", ".join('"' + n.replace('"', '""') + '" text' for n in ODD_NAMES)

LEGACY = f"""
CREATE TABLE heap (code text, n int);
INSERT INTO heap SELECT 'c' || i % 7, i % 3 FROM generate_series(1, 20000) i;
CREATE TABLE nulls (id int PRIMARY KEY, ward text);
INSERT INTO nulls SELECT i, CASE WHEN i % 3 = 0 THEN 'w' || i % 100 END
FROM generate_series(1, 20000) i;
CREATE TABLE composite (a int, b text, v text, PRIMARY KEY (a, b));
INSERT INTO composite SELECT i / 100, 'b' || i % 100, repeat('v', 50)
FROM generate_series(1, 9999) i;
CREATE TABLE empty (id int PRIMARY KEY, v text);
CREATE VIEW seen AS SELECT id, upper(ward) AS ward FROM nulls WHERE id % 2 = 0;
CREATE MATERIALIZED VIEW kept AS SELECT id, ward FROM nulls WHERE id % 2 = 1;
CREATE TABLE split (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE split_old PARTITION OF split FOR VALUES FROM (MINVALUE) TO ('2000-01-01');
CREATE TABLE split_new PARTITION OF split DEFAULT;
INSERT INTO split SELECT i, date '1990-01-01' + i FROM generate_series(1, 9000) i;
CREATE TABLE parent (id int, v text);
CREATE TABLE child (extra int) INHERITS (parent);
INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 3000) i;
INSERT INTO child SELECT i, 'c', 0 FROM generate_series(1, 5000) i;
CREATE TABLE wide (id int PRIMARY KEY, note text, scan bytea);
INSERT INTO wide SELECT i,
    (SELECT string_agg(md5(i || '/' || j), '') FROM generate_series(1, i * 40) j),
    decode(md5(i::text), 'hex') FROM generate_series(1, 60) i;
CREATE TABLE gone (id int PRIMARY KEY, dropped text, v text);
INSERT INTO gone SELECT i, 'x', 'v' || i FROM generate_series(1, 20) i;
ALTER TABLE gone DROP COLUMN dropped; ALTER TABLE gone ADD COLUMN later text DEFAULT 'new';
CREATE TABLE holes (id bigint PRIMARY KEY);
INSERT INTO holes SELECT i FROM generate_series(1, 60000) i; DELETE FROM holes WHERE id % 1000 <> 0;
INSERT INTO holes VALUES (9223372036854775807), (-9223372036854775808);
CREATE TABLE "Odd %s Table" (id int PRIMARY KEY, {_ODD_COLUMNS});
INSERT INTO "Odd %s Table" SELECT i, {", ".join(f"'{n}' || i" for n in range(len(ODD_NAMES)))}
FROM generate_series(1, 50) i;
CREATE TABLE ward_a (id int PRIMARY KEY, v text);
CREATE TABLE ward_b (v text, more int, id int PRIMARY KEY);
INSERT INTO ward_a SELECT i, 'a' FROM generate_series(1, 3000) i;
INSERT INTO ward_b SELECT 'b', 1, i FROM generate_series(5001, 9000) i;
CREATE SCHEMA archive; CREATE TABLE archive.visits (id int PRIMARY KEY, v text);
CREATE TABLE visits (id int PRIMARY KEY, v text);
INSERT INTO archive.visits VALUES (1, 'archived'); INSERT INTO visits VALUES (2, 'not this one');
CREATE SCHEMA "Old %s Schema"; CREATE TABLE "Old %s Schema"."My Table" (id int PRIMARY KEY, v text);
INSERT INTO "Old %s Schema"."My Table" VALUES (3, 'x');
CREATE TABLE texts (k text COLLATE "C" PRIMARY KEY);
INSERT INTO texts SELECT chr(i) || chr(i + 1) FROM generate_series(32, 9000) i;
CREATE TABLE uuids (k uuid PRIMARY KEY);
INSERT INTO uuids SELECT md5(i::text)::uuid FROM generate_series(1, 9000) i;
"""

TARGET = f"""
CREATE TABLE heap (code text, n int);
CREATE TABLE nulls (id int PRIMARY KEY, ward text);
CREATE TABLE nulls_by_ctid (id int PRIMARY KEY, ward text);
CREATE TABLE composite (a int, b text, v text, PRIMARY KEY (a, b));
CREATE TABLE empty (id int PRIMARY KEY, v text);
CREATE TABLE seen (id int PRIMARY KEY, ward text);
CREATE TABLE kept (id int PRIMARY KEY, ward text);
CREATE TABLE asked (id int PRIMARY KEY, ward text, n int);
CREATE TABLE split (id int, at date, PRIMARY KEY (id, at)) PARTITION BY HASH (id);
CREATE TABLE split_0 PARTITION OF split FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE split_1 PARTITION OF split FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE parent (id int, v text);
CREATE TABLE wide (id int PRIMARY KEY, note text, scan bytea);
CREATE TABLE gone (id int PRIMARY KEY, v text, later text);
CREATE TABLE holes (id bigint PRIMARY KEY);
CREATE TABLE "Odd %s Table" (id int PRIMARY KEY, {_ODD_COLUMNS});
CREATE TABLE wards (id int PRIMARY KEY, v text);
CREATE SCHEMA clinic; CREATE TABLE clinic.visits (id int PRIMARY KEY, v text);
CREATE TABLE visits (id int PRIMARY KEY, v text);
CREATE SCHEMA "New %s Schema"; CREATE TABLE "New %s Schema"."My Table" (id int PRIMARY KEY, v text);
CREATE TABLE texts (k text PRIMARY KEY);
CREATE TABLE uuids (k uuid PRIMARY KEY);
"""

SPECIFICATION = f"""
tables:
  heap: {{from: heap, copy: [code, n]}}
  nulls: {{from: nulls, partition: ward, key: [id], copy: [id, ward]}}
  nulls_by_ctid: {{from: nulls, key: [id], copy: [id, ward]}}
  composite: {{from: composite, partition: [a, b], key: [a, b], copy: [a, b, v]}}
  empty: {{from: empty, key: [id], copy: [id, v]}}
  seen: {{from: seen, partition: id, key: [id], copy: [id, ward]}}
  kept: {{from: kept, key: [id], copy: [id, ward]}}
  asked:
    from:
      query: "SELECT id, ward, count(*) OVER (PARTITION BY ward)::int AS n FROM nulls
        WHERE id % 2 = 0"
    partition: id
    key: [id]
    copy: [id, ward, n]
  split: {{from: split, key: [id, at], copy: [id, at]}}
  parent: {{from: parent, copy: [id, v]}}
  wide: {{from: wide, key: [id], copy: [id, note, scan]}}
  gone: {{from: gone, key: [id], copy: [id, v, later]}}
  holes: {{from: holes, partition: id, key: [id], copy: [id]}}
  odd:
    from: "Odd %s Table"
    into: "Odd %s Table"
    key: [id]
    copy: {json.dumps(["id", *ODD_NAMES], ensure_ascii=False)}
  wards: {{from: [ward_a, ward_b], key: [id], copy: [id, v]}}
  archived: {{from: archive.visits, into: clinic.visits, key: [id], copy: [id, v]}}
  old: {{from: "Old %s Schema.My Table", into: "New %s Schema.My Table", key: [id], copy: [id, v]}}
  texts: {{from: texts, partition: k, key: [k], copy: [k]}}
  uuids: {{from: uuids, partition: k, key: [k], copy: [k]}}
"""

SAME = {
    "heap": ("SELECT code, n FROM heap", "SELECT code, n FROM heap"),
    "nulls": ("TABLE nulls", "TABLE nulls"),
    "nulls_by_ctid": ("TABLE nulls", "TABLE nulls_by_ctid"),
    "composite": ("TABLE composite", "TABLE composite"),
    "seen": ("TABLE seen", "TABLE seen"),
    "kept": ("TABLE kept", "TABLE kept"),
    "split": ("TABLE split", "TABLE split"),
    "parent": ("SELECT id, v FROM parent", "TABLE parent"),
    "wide": ("TABLE wide", "TABLE wide"),
    "gone": ("TABLE gone", "TABLE gone"),
    "holes": ("TABLE holes", "TABLE holes"),
    "odd": ('TABLE "Odd %s Table"', 'TABLE "Odd %s Table"'),
    "wards": ("SELECT id, v FROM ward_a UNION ALL SELECT id, v FROM ward_b", "TABLE wards"),
    "archived": ("TABLE archive.visits", "TABLE clinic.visits"),
    "old": ('TABLE "Old %s Schema"."My Table"', 'TABLE "New %s Schema"."My Table"'),
    "texts": ("TABLE texts", "TABLE texts"),
    "uuids": ("TABLE uuids", "TABLE uuids"),
    "asked": (
        "SELECT id, ward, count(*) OVER (PARTITION BY ward)::int FROM nulls WHERE id % 2 = 0",
        "TABLE asked",
    ),
}
SEVERAL = (
    "heap",
    "nulls",
    "nulls_by_ctid",
    "composite",
    "seen",
    "asked",
    "split",
    "parent",
    "wide",
)


@pytest.fixture(scope="module")
def summaries(shared_databases: TwoDatabases) -> dict[str, LoadSummary]:
    shared_databases.legacy.run(LEGACY)
    shared_databases.target.run(TARGET)
    return shared_databases.migrate(SPECIFICATION, header=SMALL).summary.tables


@pytest.mark.parametrize("load", SAME)
def test_every_row_arrives_once(
    shared_databases: TwoDatabases, summaries: dict[str, LoadSummary], load: str
) -> None:
    shared_databases.assert_same_rows(*SAME[load])
    count = len(shared_databases.legacy.rows(SAME[load][0]))
    assert (summaries[load].read, summaries[load].written) == (count, count)
    assert count > 0
    assert (summaries[load].partitions > 1) or load not in SEVERAL


def test_a_case_or_a_percent_sign_in_a_name_means_something(databases: TwoDatabases) -> None:
    databases.legacy.run(
        'CREATE TABLE "50%s" (id int PRIMARY KEY, "A" text, a text, "N" int, n numeric(5,1));'
        "INSERT INTO \"50%s\" VALUES (1, 'upper', 'lower', 1, 2.5), (2, 'x', 'x', 3, 4.5),"
        " (3, 'upper', 'lower', 9, 9.5), (4, 'upper', 'same \"A\"', 1, 2.5)"
    )
    databases.target.run(
        'CREATE TABLE "50%s" (id int PRIMARY KEY, "A" text, a text, "Sum%" numeric(7,1), told text)'
    )
    databases.migrate(
        """
tables:
  "50%s":
    from: "50%s"
    key: [id]
    copy: [id, a, A]
    skip: {BOTH_NINE: '"N" = 9 and n > 9'}
    fields:
      "Sum%": {sql: '"N" + n'}
      told: {sql: "concat(\\"A\\", '/', a, '/\\"a\\"')"}
    rules:
      DIFFERENT: '"A" <> a'
      UPPER: '"A" = ''upper'' or "A" = a'
"""
    )
    assert databases.target.rows('TABLE "50%s" ORDER BY id') == [
        (1, "upper", "lower", Decimal("3.5"), 'upper/lower/"a"'),
        (4, "upper", 'same "A"', Decimal("3.5"), 'upper/same "A"/"a"'),
    ]
    assert databases.errors() == [("50%s", "2", "DATA-001", "DIFFERENT", None)]


PERCENT = """
tables:
  "p%s":
    from: "p%s"
    key: ["k%s"]
    source_key: ["old%s"]
    fields:
      "k%s": {generate: sequence}
      "name%": {from: "name%s"}
      "boss%": {from: "boss%s", ref: "p%s", deferred: true}
  "natural%":
    from: "p%s"
    key: ["code%'s"]
    write: upsert
    fields:
      "code%'s": {from: "old%s"}
      "next%": {from: "boss%s", ref: "natural%", deferred: true, on_missing: set_null}
  "c%s":
    from: "c%s"
    key: ["id%"]
    write: skip_existing
    fields:
      "id%": {from: "id%s"}
      "parent%": {from: "p%s", ref: "p%s", on_missing: placeholder}
      "code%'s": {from: "p%s", ref: "natural%", on_missing: placeholder, take: {"taken%": "next%"}}
    rules:
      R: '"taken%" is null or "taken%" = 1'
"""


def test_percent_signs_are_no_placeholders_wherever_a_name_goes(databases: TwoDatabases) -> None:
    databases.legacy.run(
        'CREATE TABLE "p%s" ("old%s" int PRIMARY KEY, "name%s" text, "boss%s" int);'
        "INSERT INTO \"p%s\" VALUES (1, 'one', NULL), (2, 'two', 1), (3, 'three', 7);"
        'CREATE TABLE "c%s" ("id%s" int PRIMARY KEY, "p%s" int);'
        'INSERT INTO "c%s" VALUES (1, 1), (2, 2), (3, 9), (4, NULL)'
    )
    databases.target.run(
        'CREATE TABLE "p%s" ("k%s" int PRIMARY KEY, "name%" text, "boss%" int);'
        'CREATE TABLE "natural%" ("code%\'s" int PRIMARY KEY, "next%" int);'
        'CREATE TABLE "c%s" ("id%" int PRIMARY KEY, "parent%" int REFERENCES "p%s",'
        ' "code%\'s" int REFERENCES "natural%", CHECK ("id%" % 1 = 0));'
        'INSERT INTO "c%s" VALUES (4, NULL, NULL)'
    )
    outcome = databases.migrate(PERCENT)
    assert outcome.summary.tables["p%s"].accepted == 2
    assert databases.target.rows('SELECT "name%", "boss%" IS NULL FROM "p%s" ORDER BY "k%s"') == [
        ("one", True),
        ("two", False),
        (None, True),
    ]
    assert databases.target.rows('TABLE "natural%" ORDER BY 1') == [
        (1, None),
        (2, 1),
        (3, None),
        (9, None),
    ]
    assert databases.target.rows(
        'SELECT "id%", "name%", "code%\'s" FROM "c%s" LEFT JOIN "p%s" ON "k%s" = "parent%"'
        " ORDER BY 1"
    ) == [(1, "one", 1), (2, "two", 2), (3, None, 9), (4, None, None)]


UNITED = """
tables:
  bills:
    from: [bills_2023, {query: "SELECT id, amount, note FROM bills_2024"}]
    source_key: [id]
    key: [id]
    fields:
      id: {from: id}
      amount: {from: amount}
      doubled: {sql: "amount * 2"}
      note: {from: note}
  places: {from: [heap_a, heap_b], fields: {number: {generate: sequence}, v: {from: v}}}
"""


def test_united_relations_differ_in_lengths_and_precisions(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE bills_2023 (id int PRIMARY KEY, amount numeric(8,2), note varchar(4));"
        "CREATE TABLE bills_2024 (note varchar(9), id int PRIMARY KEY, amount numeric(9,3));"
        "INSERT INTO bills_2023 VALUES (1, 1.25, 'abcd');"
        "INSERT INTO bills_2024 VALUES ('abcd', 2, 1.250), ('x', 3, 1.255), ('abcdefghi', 4, 1);"
        "CREATE TABLE heap_a (v text); INSERT INTO heap_a VALUES ('a1'), ('a2');"
        "CREATE TABLE heap_b (v text); INSERT INTO heap_b VALUES ('b1'), ('b2')"
    )
    databases.target.run(
        "CREATE TABLE bills (id int PRIMARY KEY, amount numeric(8,2), doubled numeric,"
        " note varchar(4));"
        "CREATE TABLE places (number serial PRIMARY KEY, v text)"
    )
    databases.migrate(UNITED)
    assert databases.target.rows(
        "SELECT id, amount::text, doubled, note FROM bills ORDER BY 1"
    ) == [
        (1, "1.25", Decimal("2.5"), "abcd"),
        (2, "1.25", Decimal("2.5"), "abcd"),
    ]
    assert databases.errors() == [
        ("bills", "3", "DATA-003", "amount.type", "inexact"),
        ("bills", "4", "DATA-003", "note.type", "too_long"),
    ]
    assert databases.target.values("SELECT v FROM places ORDER BY v") == ["a1", "a2", "b1", "b2"]
    assert databases.target.values("SELECT number FROM places ORDER BY 1") == [1, 2, 3, 4]


def test_united_relations_that_lack_a_column_are_refused(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE a (id int, v text, w text, x int); CREATE TABLE b (id int, w int, y int)"
    )
    databases.target.run("CREATE TABLE t (id int, v text, w text)")
    error = databases.refused(
        "tables: {t: {from: [a, b], copy: [id, v, w], rules: {R: src.x > 0}}}\n"
    )
    assert {(p.code.value, p.message) for p in error.problems} == {
        ("TRANS-001", "public.b has no column 'v'"),
        ("TRANS-001", "public.b has no column 'x'"),
        ("TRANS-004", "'w' is text in public.a and integer in public.b"),
    }


def test_a_query_that_names_a_column_twice_is_refused(databases: TwoDatabases) -> None:
    databases.legacy.run("CREATE TABLE a (id int, v text)")
    databases.target.run("CREATE TABLE t (id int, v text)")
    error = databases.refused(
        "tables: {t: {from: {query: 'SELECT * FROM a, a b'}, copy: [id, v]}}\n"
    )
    assert [(p.code.value, p.message) for p in error.problems] == [
        ("TRANS-001", "the query has several columns 'id'"),
        ("TRANS-001", "the query has several columns 'v'"),
    ]


@pytest.fixture
def latin(databases: TwoDatabases) -> Iterator[Database]:
    with encoded(databases, "LATIN1") as database:
        yield database


def test_bytes_that_are_no_text_reject_their_row_alone(databases: TwoDatabases) -> None:
    """A database in SQL_ASCII holds whatever bytes it was given."""
    with encoded(databases, "SQL_ASCII") as legacy:
        for database in (legacy, databases.target):
            database.run("CREATE TABLE a (id int PRIMARY KEY, v text, w varchar(9))")
        legacy.run(
            "INSERT INTO a SELECT i, convert_from(CASE i WHEN 7 THEN '\\x4dfc6c'::bytea"
            " ELSE '\\x4dc3bc' END, 'SQL_ASCII'), 'x' FROM generate_series(1, 20) i;"
            "UPDATE a SET w = convert_from('\\xff', 'SQL_ASCII') WHERE id = 9;"
            "INSERT INTO a VALUES (21, NULL, NULL)"
        )
        load = "tables: {a: {from: a, key: [id], copy: [id, v, w]}}\n"
        replace(databases, legacy=legacy).migrate(load)
    assert databases.errors("source_key, error_code, rule_id, reason") == [
        ("7", "DATA-003", "v.type", "character_not_in_repertoire"),
        ("9", "DATA-003", "w.type", "character_not_in_repertoire"),
    ]
    assert databases.target.row("SELECT count(*), count(*) FILTER (WHERE v = 'Mü') FROM a") == (
        19,
        18,
    )


@pytest.mark.slow
def test_databases_in_another_encoding(databases: TwoDatabases, latin: Database) -> None:
    load = "tables: {a: {from: a, key: [id], copy: [id, v]}}\n"
    for database in (databases.legacy, databases.target, latin):
        database.run("CREATE TABLE a (id int PRIMARY KEY, v text)")
    latin.run("INSERT INTO a VALUES (1, 'Müller'), (2, 'x')")
    replace(databases, legacy=latin).migrate(load)
    assert databases.target.rows("TABLE a ORDER BY id") == [(1, "Müller"), (2, "x")]
    databases.legacy.run("INSERT INTO a VALUES (3, 'Müller'), (4, '漢'), (5, 'x')")
    back = replace(databases, target=latin)
    back.migrate(load)
    assert latin.rows("TABLE a ORDER BY id")[2:] == [(3, "Müller"), (5, "x")]
    assert [(row[1], row[2], row[4]) for row in back.errors()] == [
        ("4", "DATA-003", "untranslatable_character")
    ]


def skewed(databases: TwoDatabases, rows: int) -> None:
    """Nine tenths of the rows share one value of the partition column, and some have none."""
    databases.legacy.run(
        "CREATE TABLE stays (ward text, n int, note text);"
        "INSERT INTO stays SELECT CASE WHEN i % 10 > 0 THEN 'main'"
        " WHEN i % 20 > 0 THEN 'w' || i END,"
        f" i / 2, 'note ' || i % 100 FROM generate_series(1, {rows}) i;"
        "CREATE VIEW stays_view AS SELECT * FROM stays; ANALYZE stays"
    )
    for table in ("by_ward", "seen"):
        databases.target.run(f"CREATE TABLE {table} (ward text, n int, note text)")
    outcome = databases.migrate(
        """
tables:
  by_ward: {from: stays, partition: ward, copy: [ward, n, note]}
  seen: {from: stays_view, partition: ward, copy: [ward, n, note]}
"""
    )
    for name, load in outcome.summary.tables.items():
        databases.assert_same_rows("TABLE stays", f"TABLE {name}")
        assert rows // 100_000 <= load.partitions <= rows // 20_000, name
    assert (
        databases.target.values("SELECT max(planned_rows) FROM migration.migration_partitions")[0]
        <= 100_000
    )


@pytest.mark.slow
def test_one_value_that_most_rows_share(databases: TwoDatabases) -> None:
    skewed(databases, 200_000)


@pytest.mark.slow
def test_one_value_that_900_000_rows_share(databases: TwoDatabases) -> None:
    skewed(databases, 1_000_000)


def test_a_second_run_changes_nothing_and_says_so(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.legacy.run(
        "CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'x'), (2, NULL)"
    )
    databases.target.run("CREATE TABLE a (id int PRIMARY KEY, v text NOT NULL)")
    path = databases.write("tables: {a: {from: a, key: [id], copy: [id, v]}}\n")
    arguments = ["migrate", str(path), "--json"]
    arguments += [f"--var={name}={value}" for name, value in databases.variables.items()]
    assert main(arguments) == 0
    first, _ = capsys.readouterr()
    before = databases.target.rows("SELECT ctid, xmin::text, * FROM a")
    ledger = databases.target.rows(LEDGER)
    assert main(arguments) == 0
    second, told = capsys.readouterr()
    assert "complete already; nothing was changed" in told
    assert json.loads(second) == json.loads(first)
    assert json.loads(second)["tables"]["a"]["rejected"] == 1
    assert databases.target.rows("SELECT ctid, xmin::text, * FROM a") == before
    assert databases.target.rows(LEDGER) == ledger


LEDGER = """
SELECT 'job', j::text FROM migration.migration_jobs j
UNION ALL SELECT 'partition', p::text FROM migration.migration_partitions p
UNION ALL SELECT 'error', e::text FROM migration.migration_errors e
"""
