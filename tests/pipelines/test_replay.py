"""``rejects replay`` and ``rejects discard`` on a hospital that has one of every trouble."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.job import job_lock
from schemas.errors import ExitStatus
from schemas.specification.reading import read_specification
from tests.pipelines.small_hospital import TABLES, fill, run, run_json
from tests.pipelines.two_databases import Row, TwoDatabases

Capsys = pytest.CaptureFixture[str]

CONTENT = (
    "SELECT t::text FROM patients t ORDER BY 1",
    "SELECT patient_id, day FROM visits ORDER BY 1, 2",
    "SELECT d.diagnosis_id, d.seq, d.code, v.patient_id, v.day FROM diagnoses d"
    " JOIN visits v USING (visit_id) ORDER BY 1, 2",
)
"""What is in the target, apart from the numbers of a sequence."""

LEDGER = (
    "SELECT load, sum(candidates), sum(accepted), sum(rejected), sum(skipped), sum(written),"
    " sum(expanded), sum(inserted) FROM migration.migration_partitions GROUP BY load ORDER BY load"
)

OPEN = (
    "SELECT load, source_key, error_code, rule_id, reason FROM migration.migration_errors"
    " WHERE status = 'open' ORDER BY 1, 2, 3, 4"
)


def content(databases: TwoDatabases) -> list[list[Row]]:
    return [databases.target.rows(query) for query in CONTENT]


def moved(databases: TwoDatabases) -> TwoDatabases:
    fill(databases)
    databases.migrate(TABLES)
    return databases


def replay(databases: TwoDatabases, capsys: Capsys, *flags: str, status: int = 0) -> Any:
    return run_json(databases, capsys, ["rejects", "replay", "SPEC", *flags], status)


def assert_ledger_and_sink_agree(databases: TwoDatabases) -> None:
    """Identities of every partition, and its counts by code, against the rows themselves."""
    target = databases.target
    assert not target.rows(
        "SELECT load, partition_id FROM migration.migration_partitions"
        " WHERE candidates <> accepted + rejected + skipped OR written <> accepted + expanded"
    )
    for column, warning in (("violations", "false"), ("warnings", "true")):
        assert target.rows(
            f"SELECT load, key, sum(value::int8)::int8 FROM migration.migration_partitions,"
            f" jsonb_each_text({column}) GROUP BY 1, 2 ORDER BY 1, 2"
        ) == target.rows(
            "SELECT load, error_code, count(*) FROM migration.migration_errors"
            f" WHERE status <> 'replayed' AND warning = {warning} GROUP BY 1, 2 ORDER BY 1, 2"
        )
    assert target.rows(
        "SELECT load, key, sum(value::int8)::int8 FROM migration.migration_partitions,"
        " jsonb_each_text(rejected_by) GROUP BY 1, 2 ORDER BY 1, 2"
    ) == target.rows(
        "SELECT load, error_code, count(DISTINCT source_key) FROM migration.migration_errors"
        " WHERE status <> 'replayed' AND NOT warning GROUP BY 1, 2 ORDER BY 1, 2"
    )


@pytest.mark.slow
def test_what_still_fails_stays_open_with_one_more_attempt(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    before = content(databases), databases.target.rows(LEDGER), databases.target.rows(OPEN)
    document = replay(databases, capsys)
    assert document["tables"] == {
        "diagnoses": {"rows": 2, "accepted": 0, "skipped": 0, "rejected": 2, "left": 0},
        "patients": {"rows": 3, "accepted": 0, "skipped": 0, "rejected": 3, "left": 0},
        "visits": {"rows": 3, "accepted": 0, "skipped": 0, "rejected": 3, "left": 0},
    }
    after = content(databases), databases.target.rows(LEDGER), databases.target.rows(OPEN)
    assert after == before
    attempts = (
        "SELECT DISTINCT warning, attempts, status FROM migration.migration_errors ORDER BY 1"
    )
    assert databases.target.rows(attempts) == [(False, 2, "open"), (True, 1, "open")]
    assert_ledger_and_sink_agree(databases)


MENDED = """
UPDATE legacy_patients SET name = 'Eve', born = '1980-12-01' WHERE id = 2;
UPDATE legacy_patients SET sex = 'F' WHERE id = 3;
UPDATE legacy_patients SET pat_no = 'P6' WHERE id = 6;
UPDATE legacy_visits SET pat_no = 'P1' WHERE visit_no = 12;
UPDATE legacy_visits SET day = '2020-01-01' WHERE visit_no = 14;
UPDATE legacy_diagnoses SET code = '4019' WHERE diag_no = 103;
"""


def test_mended_rows_arrive_as_if_they_had_been_right_from_the_beginning(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    document = replay(databases, capsys)
    assert {name: t["accepted"] for name, t in document["tables"].items()} == {
        "diagnoses": 2,
        "patients": 3,
        "visits": 3,
    }
    assert databases.errors("status") == [("replayed",)] * 9
    assert_ledger_and_sink_agree(databases)
    arrived, ledger = content(databases), databases.target.rows(LEDGER)
    # Replayed again, nothing is left to do.
    assert replay(databases, capsys)["tables"] == {}

    databases.target.run("TRUNCATE patients, visits, diagnoses; DROP SCHEMA migration CASCADE")
    databases.migrate(TABLES)
    assert content(databases) == arrived
    assert databases.target.rows(LEDGER) == ledger


@pytest.mark.slow
def test_one_code_of_one_table(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    flags = ("--code", "TRANS-002", "--table", "diagnoses")
    document = replay(databases, capsys, *flags)
    assert document["tables"] == {
        "diagnoses": {"rows": 1, "accepted": 1, "skipped": 0, "rejected": 0, "left": 0}
    }
    assert databases.target.values(
        "SELECT source_key FROM migration.migration_errors WHERE status = 'replayed'"
    ) == ["103"]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_a_row_is_replayed_whole_and_frees_its_children(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    # The patient without a name has no date either: both violations are closed.
    document = replay(databases, capsys, "--rule", "NAME_REQUIRED")
    assert document["tables"]["patients"]["accepted"] == 1
    assert databases.target.values(
        "SELECT rule_id FROM migration.migration_errors WHERE status = 'replayed' ORDER BY 1"
    ) == ["NAME_REQUIRED", "born.type"]
    assert document["freed"] == {"visits": 1}
    document = replay(databases, capsys, "--code", "DATA-002", "--table", "visits")
    assert (document["tables"]["visits"]["accepted"], document["freed"]) == (2, {"diagnoses": 1})
    document = replay(databases, capsys, "--code", "DATA-002")
    assert (document["tables"]["diagnoses"]["accepted"], document["freed"]) == (1, {})
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_other_violations_take_the_place_of_those_that_are_mended(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    databases.legacy.run("UPDATE legacy_patients SET sex = 'F', born = 'soon' WHERE id = 3")
    document = replay(databases, capsys, "--code", "TRANS-002", "--table", "patients")
    assert document["tables"]["patients"]["rejected"] == 1
    assert databases.target.rows(
        "SELECT rule_id, status, attempts FROM migration.migration_errors"
        " WHERE load = 'patients' AND source_key = '3' ORDER BY 1"
    ) == [("born.type", "open", 2), ("sex.map", "replayed", 1)]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_rows_that_are_skipped_now(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.legacy.run("UPDATE legacy_patients SET deleted = 'Y' WHERE id = 2")
    document = replay(databases, capsys, "--rule", "NAME_REQUIRED")
    assert document["tables"]["patients"]["skipped"] == 1
    # Its visit is a child of a skipped row, and then the diagnosis of that visit.
    document = replay(databases, capsys, "--code", "DATA-002")
    assert {name: t["skipped"] for name, t in document["tables"].items()} == {
        "diagnoses": 1,
        "visits": 1,
    }
    assert databases.target.rows(
        "SELECT load, skipped_by FROM migration.migration_partitions ORDER BY load"
    ) == [
        ("diagnoses", {"visit_id.ref": 1}),
        ("patients", {"DELETED": 2}),
        ("visits", {"patient_id.ref": 2}),
    ]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_todays_specification_decides(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.write(TABLES.replace("values: {F: F, M: M}", "values: {F: F, M: M, Q: U}"))
    document = replay(databases, capsys, "--rule", "sex.map")
    assert document["tables"]["patients"]["accepted"] == 1
    assert databases.target.rows("SELECT sex, mother_id FROM patients WHERE name = 'Zoe'") == [
        ("U", "P1")
    ]


def test_a_row_that_is_gone_and_a_key_that_means_several(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    databases.legacy.run(
        "ALTER TABLE legacy_patients DROP CONSTRAINT legacy_patients_pkey;"
        "DELETE FROM legacy_patients WHERE id = 2;"
        "INSERT INTO legacy_patients SELECT * FROM legacy_patients WHERE id = 3"
    )
    document = replay(databases, capsys, "--table", "patients")
    assert document["tables"]["patients"]["rejected"] == 3
    assert databases.target.rows(
        "SELECT source_key, error_code, rule_id, reason, attempts FROM migration.migration_errors"
        " WHERE status = 'open' AND load = 'patients' AND NOT warning ORDER BY 1"
    ) == [
        ("2", "DATA-001", "row.gone", "gone", 2),
        # Which of the two was rejected nobody knows: it stays what it was.
        ("3", "TRANS-002", "sex.map", "unknown_value", 2),
        ("6", "DATA-004", "key.duplicate", "duplicate", 2),
    ]
    assert_ledger_and_sink_agree(databases)


STAFF = """
tables:
  staff:
    from: legacy_staff
    source_key: [id]
    key: [name]
    write: {write}
    duplicates: {{keep: last, order: [age]}}
    fields:
      name: {{from: name}}
      age: {{from: age}}
"""
BOSS = "      boss: {from: boss, ref: staff, deferred: true}\n"


def staff(databases: TwoDatabases, rows: str, write: str = "insert", boss: str = "") -> None:
    databases.legacy.run(
        "CREATE TABLE legacy_staff (id int, name text, age text, boss text);"
        f"INSERT INTO legacy_staff VALUES {rows}"
    )
    databases.target.run(
        "CREATE TABLE staff (name text PRIMARY KEY, age int, boss text REFERENCES staff)"
    )
    databases.migrate(STAFF.format(write=write) + boss)


def test_rows_of_one_table_that_refer_to_each_other(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    staff(
        databases,
        "(1, 'Ann', '?', NULL), (2, 'Bob', '50', 'Ann'), (3, 'Cem', '40', 'Bob'),"
        " (4, 'Dan', '30', 'Nobody'), (5, 'Eva', '20', 'Cem')",
        boss=BOSS,
    )
    assert databases.target.values("SELECT name FROM staff") == []
    databases.legacy.run("UPDATE legacy_staff SET age = '60' WHERE id = 1")
    document = replay(databases, capsys)
    assert document["tables"]["staff"] == {
        "rows": 5, "accepted": 4, "skipped": 0, "rejected": 1, "left": 0,
    }  # fmt: skip
    assert databases.target.rows("SELECT name, boss FROM staff ORDER BY 1") == [
        ("Ann", None),
        ("Bob", "Ann"),
        ("Cem", "Bob"),
        ("Eva", "Cem"),
    ]
    assert databases.target.rows(
        "SELECT source_key, reason, attempts, first_attempt FROM migration.migration_errors"
        " WHERE status = 'open'"
    ) == [("4", "missing_parent", 2, 2)]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_many_portions_of_one_family(
    databases: TwoDatabases, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.rejected_rows.PORTION", 1)
    children = ", ".join(f"({n}, 'c{n}', '50', 'Ann')" for n in range(11, 31))
    staff(databases, f"(99, 'Ann', '?', NULL), {children}", boss=BOSS)
    databases.legacy.run("UPDATE legacy_staff SET age = '60' WHERE name = 'Ann'")
    assert replay(databases, capsys)["tables"]["staff"]["accepted"] == 21
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_a_reference_that_may_be_missing_is_there_if_its_parent_comes_in(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    fill(databases)
    databases.legacy.run("UPDATE legacy_patients SET mother = 'P2' WHERE id = 3")
    databases.migrate(TABLES)
    databases.legacy.run(MENDED)
    replay(databases, capsys, "--table", "patients")
    assert databases.target.rows("SELECT mother_id FROM patients WHERE patient_id = 'P3'") == [
        ("P2",)
    ]
    assert_ledger_and_sink_agree(databases)


def test_a_replay_that_is_cut_off_before_it_settles_is_settled_by_the_next(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    staff(databases, "(1, 'Ann', '?', NULL), (2, 'Bob', '50', 'Ann')", boss=BOSS)
    databases.legacy.run("UPDATE legacy_staff SET age = '60' WHERE id = 1")
    databases.target.run(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        "  RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full'; END $$;"
        "CREATE TRIGGER no BEFORE UPDATE OF settled ON migration.migration_loads"
        " FOR EACH ROW WHEN (new.settled) EXECUTE FUNCTION no()"
    )
    replay(databases, capsys, status=3)
    assert databases.target.row("SELECT settled FROM migration.migration_loads") == (False,)
    databases.target.run("DROP TRIGGER no ON migration.migration_loads")
    assert replay(databases, capsys)["tables"] == {}
    assert databases.target.rows("SELECT name, boss FROM staff ORDER BY 1") == [
        ("Ann", None),
        ("Bob", "Ann"),
    ]
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
@pytest.mark.parametrize("write", ["upsert", "skip_existing"])
def test_a_key_that_an_earlier_replay_gave_to_another_row(
    databases: TwoDatabases, capsys: Capsys, write: str
) -> None:
    staff(databases, "(1, 'Ann', '?', NULL), (2, 'Bob', '?', NULL)", write)
    databases.legacy.run("UPDATE legacy_staff SET age = '40', name = 'Ann' WHERE id = 2")
    assert replay(databases, capsys)["tables"]["staff"]["accepted"] == 1
    databases.legacy.run("UPDATE legacy_staff SET age = '30' WHERE id = 1")
    document = replay(databases, capsys)
    assert databases.target.rows("SELECT name, age FROM staff") == [("Ann", 40)]
    assert document["tables"]["staff"]["rejected"] == 1


CAUSES = (
    "SELECT e.source_key, w.source_key FROM migration.migration_errors e"
    " LEFT JOIN migration.migration_errors w ON w.id = e.root_cause_id"
    " WHERE e.status = 'open' ORDER BY 1"
)


@pytest.mark.slow
def test_a_loser_follows_from_its_winner_as_long_as_that_is_rejected(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    staff(databases, "(1, 'Ann', '30', NULL), (2, 'Ann', '4x', NULL)")
    assert databases.target.rows(CAUSES) == [("1", "2"), ("2", None)]
    replay(databases, capsys)
    assert databases.target.rows(CAUSES) == [("1", "2"), ("2", None)]
    age = "age: {sql: \"replace(age, 'x', '0')\"}"
    databases.write(STAFF.format(write="insert").replace("age: {from: age}", age))
    document = replay(databases, capsys, "--rule", "age.type")
    # A loser lost whatever becomes of the winner: it isn't one to replay now.
    assert (document["tables"]["staff"]["accepted"], document["freed"]) == (1, {})


@pytest.mark.slow
def test_rejected_rows_with_one_source_key_stay_rejected(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    staff(databases, "(1, 'Ann', '?', NULL), (1, 'Bob', '?', NULL), (3, 'Cem', '5', NULL)")
    assert replay(databases, capsys)["tables"]["staff"]["rejected"] == 1
    databases.legacy.run("UPDATE legacy_staff SET age = '5' WHERE name = 'Ann'")
    replay(databases, capsys)
    assert (
        databases.errors("source_key, error_code, status, attempts")
        == [("1", "DATA-003", "open", 3)] * 2
    )
    assert databases.target.row("SELECT rejected FROM migration.migration_partitions") == (2,)


@pytest.mark.slow
def test_rows_without_a_source_key_are_told(databases: TwoDatabases, capsys: Capsys) -> None:
    staff(databases, "(1, 'Ann', '?', NULL), (NULL, 'Bob', '?', NULL)")
    databases.legacy.run("UPDATE legacy_staff SET age = '60'")
    capsys.readouterr()
    assert run(databases, "rejects", "replay", "SPEC", "--json") == 3
    printed = capsys.readouterr()
    assert "USER-003 table staff: 1 rejected rows have no source key" in printed.err
    assert json.loads(printed.out)["tables"]["staff"] == {
        "rows": 1, "accepted": 1, "skipped": 0, "rejected": 0, "left": 0,
    }  # fmt: skip
    assert databases.target.values("SELECT name FROM staff") == ["Ann"]
    (problem,) = replay(databases, capsys, status=2)["problems"]
    assert (problem["code"], problem["where"]) == ("USER-003", "table staff")


@pytest.mark.slow
@pytest.mark.parametrize("write", ["insert", "upsert", "skip_existing"])
def test_a_placeholder_is_written_into_or_named(
    databases: TwoDatabases, capsys: Capsys, write: str
) -> None:
    fill(databases)
    tables = TABLES.replace(
        "ref: patients, take: {patient_born: born}}",
        "ref: patients, take: {patient_born: born}, on_missing: placeholder}",
    ).replace("    key: [patient_id]\n", f"    key: [patient_id]\n    write: {write}\n")
    databases.migrate(tables)
    databases.legacy.run(MENDED)
    replay(databases, capsys, "--table", "patients")
    found = databases.target.rows("SELECT name FROM patients WHERE patient_id = 'P2'")
    reasons = databases.target.values(
        "SELECT reason FROM migration.migration_errors WHERE status = 'open' AND load = 'patients'"
        " AND source_key = '2' AND NOT warning"
    )
    if write == "upsert":
        assert (found, reasons) == ([("Eve",)], [])
    else:
        assert (found, reasons) == ([("Unknown",)], ["placeholder_stands"])
    assert_ledger_and_sink_agree(databases)


GENERATED = """
tables:
  notes:
    from: notes
    source_key: [{key}]
    key: [note]
    fields: {{note: {{generate: sequence}}, text: {{from: text, required: true}}}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("key", ["mrn", "id, mrn"])
def test_another_source_key_would_mean_another_row(
    databases: TwoDatabases, capsys: Capsys, key: str
) -> None:
    databases.legacy.run(
        "CREATE TABLE notes (id text, mrn text, text text);"
        "INSERT INTO notes VALUES ('MRN-4711', 'x', NULL), ('7', 'MRN-4711', 'of seven')"
    )
    databases.target.run(
        "CREATE TABLE notes (note int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, text text)"
    )
    databases.migrate(GENERATED.format(key="id"))
    databases.write(GENERATED.format(key=key))
    (problem,) = replay(databases, capsys, status=2)["problems"]
    assert problem["code"] == "USER-003"
    assert "source_key" in problem["message"]
    assert "4711" not in str(problem)
    assert databases.target.values("SELECT text FROM notes") == ["of seven"]


@pytest.mark.slow
@pytest.mark.parametrize("write", ["insert", "upsert", "skip_existing"])
def test_no_replay_overwrites_a_row_of_its_own_job(
    databases: TwoDatabases, capsys: Capsys, write: str
) -> None:
    staff(
        databases,
        "(1, 'Ann', '30', NULL), (2, 'Ann', '40', NULL), (3, 'Bob', '?', NULL),"
        " (4, 'Cem', '20', NULL)",
        write,
    )
    before = databases.target.rows("SELECT * FROM staff ORDER BY name")
    # The loser would win today, and another row takes the key of one that has arrived.
    databases.legacy.run(
        "UPDATE legacy_staff SET age = '50' WHERE id = 1;"
        "UPDATE legacy_staff SET age = '60', name = 'Cem' WHERE id = 3"
    )
    for _ in range(2):
        document = replay(databases, capsys)
        assert document["tables"]["staff"]["rejected"] == 2
        assert databases.target.rows("SELECT * FROM staff ORDER BY name") == before
    assert (
        databases.target.values(
            "SELECT error_code FROM migration.migration_errors WHERE status = 'open'"
        )
        == ["DATA-004"] * 2
    )
    databases.legacy.run("UPDATE legacy_staff SET name = 'Dan' WHERE id = 3")
    assert replay(databases, capsys)["tables"]["staff"]["accepted"] == 1
    assert_ledger_and_sink_agree(databases)


@pytest.mark.slow
def test_an_upsert_still_updates_what_stood_there_before_the_job(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.target.run("CREATE TABLE staff (name text PRIMARY KEY, age int, boss text)")
    databases.target.run("INSERT INTO staff VALUES ('Ann', 1, 'old')")
    databases.legacy.run(
        "CREATE TABLE legacy_staff (id int, name text, age text, boss text);"
        "INSERT INTO legacy_staff VALUES (1, 'Ann', '?', NULL)"
    )
    databases.migrate(STAFF.format(write="upsert"))
    databases.legacy.run("UPDATE legacy_staff SET age = '2'")
    assert replay(databases, capsys)["tables"]["staff"]["accepted"] == 1
    assert databases.target.rows("TABLE staff") == [("Ann", 2, "old")]
    assert databases.target.rows(
        "SELECT accepted, written, inserted FROM migration.migration_partitions"
    ) == [(1, 1, 0)]


PLACED = """
tables:
  notes:
    from: {source}
    key: [id]
    fields: {{id: {{from: id, type: int, required: true}}, text: {{from: text}}}}
"""
NOTES = (
    "CREATE TABLE notes (id text, text text);"
    "INSERT INTO notes SELECT CASE WHEN i % 10 = 0 THEN '?' ELSE i::text END, 'n'"
    " FROM generate_series(1, 40) i"
)


def test_rows_without_a_key_are_known_by_their_place(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.legacy.run(NOTES)
    databases.target.run("CREATE TABLE notes (id int PRIMARY KEY, text text)")
    databases.migrate(PLACED.format(source="notes"))
    databases.write(
        PLACED.format(source="notes").replace(
            "{from: id, type: int,", "{sql: \"replace(id, '?', '-1')\", type: int,"
        )
    )
    document = replay(databases, capsys)
    assert (document["tables"]["notes"]["accepted"], document["tables"]["notes"]["rejected"]) == (
        1,
        3,
    )
    # Afterwards another row may stand where one stood.
    databases.legacy.run("UPDATE notes SET id = '50' WHERE id = '?'")
    document = replay(databases, capsys, status=2)
    (problem,) = document["problems"]
    assert (problem["code"], problem["where"]) == ("SYS-005", "table notes")
    assert "were inserted or updated" in problem["message"]


def test_rows_of_a_query_without_a_key_cant_be_found_again(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.legacy.run(NOTES)
    databases.target.run("CREATE TABLE notes (id int PRIMARY KEY, text text)")
    databases.migrate(PLACED.format(source='{query: "select * from notes"}'))
    document = replay(databases, capsys, status=2)
    (problem,) = document["problems"]
    assert (problem["code"], problem["where"]) == ("USER-003", "table notes")
    assert "source_key" in problem["remedy"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "types", ["int, text", "numeric(6,2), char(4)", "timestamp(0), varchar(9)"]
)
def test_keys_of_several_columns(databases: TwoDatabases, capsys: Capsys, types: str) -> None:
    first, second = types.rsplit(", ", 1)
    value = "timestamp '2020-01-01' + i * interval '1 day'" if "time" in first else "i"
    databases.legacy.run(
        f"CREATE TABLE notes (one {first}, two {second}, id text);"
        f"INSERT INTO notes SELECT {value}, 'k' || i % 3,"
        " CASE WHEN i % 4 = 0 THEN '?' ELSE i::text END FROM generate_series(1, 12) i;"
        "UPDATE notes SET two = NULL WHERE id = '?' AND two = 'k1'"
    )
    databases.target.run("CREATE TABLE notes (id int PRIMARY KEY)")
    specification = """
tables:
  notes:
    from: notes
    source_key: [one, two]
    key: [id]
    fields: {id: {from: id, required: true}}
"""
    databases.migrate(specification)
    databases.legacy.run(
        "UPDATE notes n SET id = m.place FROM (SELECT ctid, 100 + row_number() OVER () AS place"
        " FROM notes WHERE id = '?') AS m WHERE m.ctid = n.ctid"
    )
    assert replay(databases, capsys)["tables"]["notes"]["accepted"] == 3
    assert databases.target.values("SELECT id FROM notes WHERE id > 100 ORDER BY 1") == [
        101,
        102,
        103,
    ]


def test_generated_keys_are_made_once(databases: TwoDatabases, capsys: Capsys) -> None:
    databases.legacy.run(
        "CREATE TABLE notes (id int PRIMARY KEY, text text);"
        "INSERT INTO notes VALUES (1, 'a'), (2, NULL)"
    )
    databases.target.run(
        "CREATE TABLE notes (note int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, text text)"
    )
    specification = """
tables:
  notes:
    from: notes
    key: [note]
    fields: {note: {generate: sequence}, text: {from: text, required: true}}
"""
    databases.migrate(specification)
    databases.legacy.run("UPDATE notes SET text = 'b'")
    assert replay(databases, capsys)["tables"]["notes"]["accepted"] == 1
    assert databases.target.values("SELECT text FROM notes ORDER BY note") == ["a", "b"]
    assert databases.target.rows(
        "SELECT source_key, k.target_key::int = n.note FROM migration.migration_keys k"
        " JOIN notes n ON n.note = k.target_key::int ORDER BY 1"
    ) == [("1", True), ("2", True)]


@pytest.mark.slow
def test_when_nothing_can_be_replayed(databases: TwoDatabases, capsys: Capsys) -> None:
    fill(databases)
    path = databases.write(TABLES)
    (problem,) = replay(databases, capsys, status=2)["problems"]
    assert (problem["code"], "has not run" in problem["message"]) == ("USER-003", True)
    databases.migrate(TABLES, only=["patients"], expected=ExitStatus.INCOMPLETE)
    specification = read_specification(path, databases.variables)
    with databases.target.another() as held, job_lock(held, specification):
        (problem,) = replay(databases, capsys, status=2)["problems"]
        assert (problem["code"], "running" in problem["message"]) == ("USER-003", True)
        discard = ["rejects", "discard", "SPEC", "--reason", "no"]
        (problem,) = run_json(databases, capsys, discard, 2)["problems"]
        assert problem["code"] == "USER-003"


@pytest.mark.slow
def test_rows_of_a_load_that_is_not_complete(databases: TwoDatabases, capsys: Capsys) -> None:
    fill(databases)
    databases.migrate(TABLES)
    databases.target.run("UPDATE migration.migration_partitions SET state = 'planned'")
    problems = replay(databases, capsys, status=2)["problems"]
    assert [(p["code"], p["where"].split()[-1]) for p in problems] == [
        ("USER-003", f"tables.{load}") for load in ("diagnoses", "patients", "visits")
    ]
    databases.write(TABLES.partition("  diagnoses:")[0])
    told = [p["message"] for p in replay(databases, capsys, status=2)["problems"]]
    assert any("doesn't have it any more" in message for message in told)


@pytest.mark.slow
def test_rows_that_cant_be_committed_are_left(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    databases.target.fill_up("visits")
    document = replay(databases, capsys, status=3)
    assert document["tables"]["visits"] == {
        "rows": 3, "accepted": 0, "skipped": 0, "rejected": 0, "left": 3,
    }  # fmt: skip
    assert document["tables"]["patients"]["accepted"] == 3
    assert_ledger_and_sink_agree(databases)
    databases.target.make_room("visits")
    document = replay(databases, capsys)
    assert document["tables"]["visits"]["accepted"] == 3
    assert databases.errors("status") == [("replayed",)] * 9


@pytest.mark.slow
def test_in_other_processes(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    flags = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    document = replay(databases, capsys, *flags)
    assert {name: t["accepted"] for name, t in document["tables"].items()} == {
        "diagnoses": 2,
        "patients": 3,
        "visits": 3,
    }


@pytest.mark.slow
def test_the_replay_as_a_table(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.legacy.run(MENDED)
    capsys.readouterr()
    assert run(databases, "rejects", "replay", "SPEC", "--rule", "NAME_REQUIRED") == 0
    printed = capsys.readouterr()
    assert "patients" in printed.out
    assert "1 of visits. Replay them with --code DATA-002" in printed.err
    assert run(databases, "rejects", "replay", "SPEC", "--rule", "NAME_REQUIRED") == 0
    assert "nothing was changed" in capsys.readouterr().out


def test_discarded_rows_are_closed_whole_with_the_reason(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    ledger = databases.target.rows(LEDGER)
    discard = ["rejects", "discard", "SPEC", "--rule", "NAME_REQUIRED"]
    document = run_json(databases, capsys, [*discard, "--reason", " a test record "])
    assert document == {"job": "moved", "rows": 1, "violations": 2, "warnings": 0}
    assert databases.target.rows(
        "SELECT rule_id, note, changed_by = session_user, changed_at > created_at"
        " FROM migration.migration_errors WHERE status = 'discarded' ORDER BY 1"
    ) == [
        ("NAME_REQUIRED", "a test record", True, True),
        ("born.type", "a test record", True, True),
    ]
    # It isn't in the target, so it stays counted as rejected; and nothing brings it in.
    assert databases.target.rows(LEDGER) == ledger
    databases.legacy.run(MENDED)
    assert replay(databases, capsys, "--rule", "NAME_REQUIRED")["tables"] == {}
    assert run_json(databases, capsys, [*discard, "--reason", "x"])["rows"] == 0
    assert_ledger_and_sink_agree(databases)


def test_warnings_are_discarded_without_their_row(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    before = content(databases)
    discard = ["rejects", "discard", "SPEC", "--rule", "NAME_IS_LONG", "--reason", "looked at"]
    document = run_json(databases, capsys, discard)
    assert document == {"job": "moved", "rows": 0, "violations": 0, "warnings": 1}
    assert content(databases) == before


def test_a_warning_is_discarded_without_the_violations_of_its_row(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    fill(databases)
    databases.legacy.run("UPDATE legacy_patients SET name = 'Z' WHERE id = 3")
    databases.migrate(TABLES)
    discard = ["rejects", "discard", "SPEC", "--rule", "NAME_IS_LONG", "--reason", "looked at"]
    assert run_json(databases, capsys, discard)["rows"] == 0
    assert databases.target.rows(
        "SELECT rule_id, status FROM migration.migration_errors WHERE source_key = '3'"
        " AND load = 'patients' ORDER BY 1"
    ) == [("NAME_IS_LONG", "discarded"), ("sex.map", "open")]


def test_a_reason_is_needed(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    (problem,) = run_json(databases, capsys, ["rejects", "discard", "SPEC", "--reason", " "], 2)[
        "problems"
    ]
    assert (problem["code"], problem["where"]) == ("USER-001", "--reason")
    with pytest.raises(SystemExit):
        run(databases, "rejects", "discard", "SPEC")
    assert "--reason" in capsys.readouterr().err
    assert databases.errors("status") == [("open",)] * 9


FILES = """
job: filed
source: {path: ".", format: csv}
target: {url: "${TARGET_URL}", control_schema: migration}
tables:
  codes:
    from: {file: claims.csv, unpivot: {position: seq, columns: {dx: "dx{n}"}, empty: reject}}
    source_key: [claim]
    key: [claim, seq]
    copy: [claim, seq]
    fields: {dx: {from: dx, type: int}}
"""


UNPIVOTED = """
tables:
  codes:
    from: {table: claims, unpivot: {position: seq, columns: {dx: "dx{n}"}, empty: skip}}
    source_key: [claim]
    key: [seq, code]
    fields: {seq: {from: seq}, code: {from: dx, type: int, required: true}}
"""


@pytest.mark.slow
def test_a_claim_without_a_number_holds_up_no_other(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.legacy.run(
        "CREATE TABLE claims (claim int, dx1 text, dx2 text);"
        "INSERT INTO claims VALUES (1, 'x', '5'), (NULL, '6', 'y')"
    )
    databases.target.run("CREATE TABLE codes (seq int, code int)")
    databases.migrate(UNPIVOTED)
    databases.legacy.run("UPDATE claims SET dx1 = '1' WHERE claim = 1; UPDATE claims SET dx2 = '2'")
    assert replay(databases, capsys)["tables"]["codes"]["accepted"] == 2
    assert databases.target.rows("SELECT seq, code FROM codes ORDER BY 1, 2") == [
        (1, 1),
        (1, 6),
        (2, 2),
        (2, 5),
    ]


def test_candidates_of_unpivoted_rows(databases: TwoDatabases, capsys: Capsys) -> None:
    (databases.folder / "claims.csv").write_text("claim,dx1,dx2,dx3\nA,1,x,3\nB,,,\nC,y,,z\nD,1\n")
    databases.target.run(
        "CREATE TABLE codes (claim text, seq int, dx int, PRIMARY KEY (claim, seq))"
    )
    databases.migrate(FILES, header="")
    assert databases.errors("source_key, reason") == [
        ("B", "empty"),
        ('["A","2"]', "conversion"),
        ('["C","1"]', "conversion"),
        ('["C","3"]', "conversion"),
        ('["claims.csv","5"]', "too_few_fields"),
    ]
    databases.write(FILES.replace("from: dx,", "sql: \"replace(dx, 'x', '2')\","), header="")
    document = replay(databases, capsys)
    assert document["tables"]["codes"] == {
        "rows": 5, "accepted": 1, "skipped": 0, "rejected": 4, "left": 0,
    }  # fmt: skip
    assert databases.target.rows("SELECT seq, dx FROM codes WHERE claim = 'A' ORDER BY 1") == [
        (1, 1),
        (2, 2),
        (3, 3),
    ]
    assert_ledger_and_sink_agree(databases)
    # In a file that was written to, another row may stand there.
    (databases.folder / "claims.csv").write_text("claim,dx1,dx2,dx3\nC,1,,2\nA,1,x,3\nB,,,\nD,1\n")
    (problem,) = replay(databases, capsys, status=2)["problems"]
    assert (problem["code"], problem["where"]) == ("SYS-005", "table codes")
