"""Codes through a GEM from end to end: what is written, what is rejected, what is recorded."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest

from schemas.code_maps.code_system import ICD9CM, ICD9PROC, ICD10CM
from schemas.code_maps.packaged_codes import code_history
from schemas.errors import ErrorCode, ExitStatus
from tests.oracle.translated_codes import packaged_map
from tests.support.databases.two_databases import TwoDatabases
from tests.support.jobs.people_and_visits import SMALL
from tests.support.jobs.small_hospital import run_json

Capsys = pytest.CaptureFixture[str]

TABLES = """
tables:
  conditions:
    from: diagnoses
    key: [id, part]
    copy: [id]
    fields:
      code:
        from: code
        map: icd
        into: {part: cluster_seq, category: category, groups: groups, looked_up: source_code}
"""


def prepare(databases: TwoDatabases, *codes: str) -> None:
    databases.legacy.run("CREATE TABLE diagnoses (id serial PRIMARY KEY, code text)")
    for code in codes:
        databases.legacy.connection.execute("INSERT INTO diagnoses (code) VALUES (%s)", [code])
    databases.target.run(
        "CREATE TABLE conditions (id int, part int, code text, category text, groups text,"
        " looked_up text, PRIMARY KEY (id, part))"
    )


def test_codes_are_repaired_where_one_alone_can_be_meant(databases: TwoDatabases) -> None:
    prepare(databases, "599.0", "5990.", "v12.59", "98.31", "253.2, E23.0", "E88.01", "9831")
    outcome = databases.migrate("maps: {icd: {}}" + TABLES)
    assert databases.target.rows("SELECT id, code, looked_up FROM conditions ORDER BY 1") == [
        (1, "N39.0", "5990"),
        (2, "N39.0", "5990"),
        (3, "Z86.79", "V1259"),
    ]
    assert databases.errors("source_key, error_code, rule_id, reason") == [
        ("4", "TRANS-002", "code.map", "ambiguous_code"),
        ("5", "TRANS-002", "code.map", "several_codes"),
        ("6", "TRANS-002", "code.map", "unknown_code"),
        ("7", "TRANS-002", "code.map", "choice"),
    ]
    assert databases.warnings("source_key, error_code, rule_id, reason") == [
        ("2", "DATA-005", "code.map", "repaired_dot"),
        ("3", "DATA-005", "code.map", "repaired_case"),
    ]
    assert outcome.summary.warnings == {"DATA-005": 2}


def test_zeros_are_repaired_where_the_map_says_that_they_are_lost(databases: TwoDatabases) -> None:
    prepare(databases, "8.5", "9831", "5990", "042")
    databases.migrate("maps: {icd: {repair: {zeros: true}}}" + TABLES)
    assert databases.target.rows("SELECT id, code, looked_up FROM conditions ORDER BY 1") == [
        (1, "A04.9", "0085"),
        (3, "N390", "5990"),
        # What begins with a zero has lost none, though 0042 is a code too.
        (4, "B20", "042"),
    ]
    assert databases.errors("source_key, reason") == [("2", "ambiguous_code")]
    assert databases.warnings("source_key, reason") == [("1", "repaired_zero")]


def test_a_column_with_and_without_dots_is_reported(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(databases, "250.00", "496")
    databases.write("maps: {icd: {}}" + TABLES)
    problems = run_json(databases, capsys, ["plan", "SPEC"])["problems"]
    (remedy,) = [p["remedy"] for p in problems if p["where"].endswith("fields.code.map")]
    assert remedy == "write 'notation: dotted' (or undotted) in the map icd"
    databases.write("maps: {icd: {notation: dotted}}" + TABLES)
    document = run_json(databases, capsys, ["migrate", "SPEC"])
    assert document["problems"] == []
    assert databases.target.values("SELECT code FROM conditions ORDER BY id") == ["E11.9", "J44.9"]


def test_alternatives_are_written_for_a_person_to_choose_from(databases: TwoDatabases) -> None:
    prepare(databases, "250.13", "272.4", "250.52", "36570")
    policy = "{choice: keep_source, cluster_choice: expand, no_map: keep_source}"
    databases.migrate(f"maps: {{icd: {{policy: {policy}}}}}" + TABLES)
    rows = databases.target.rows(
        "SELECT id, code, category, groups FROM conditions ORDER BY id, part"
    )
    assert rows[:3] == [
        (1, "E10.10", "cluster", "1.1"),
        (1, "E10.65", "cluster", "1.2"),
        (2, None, "choice", None),
    ]
    assert {row[2] for row in rows if row[0] == 3} == {"cluster_choice"}
    assert {row[3] for row in rows if row[0] == 3} == {"1.1", "1.2"}
    assert rows[-1] == (4, None, "no_map", None)
    assert databases.warnings("source_key, error_code, reason") == [
        ("2", "TRANS-002", "choice"),
        ("4", "TRANS-002", "no_map"),
    ]


OUTDATED = ("25000", "332.0", "276.2")
"""G20 and E87.2 have been divided since; E11.9 is a code still."""


@pytest.mark.slow
def test_outdated_targets_are_written_with_a_warning_or_rejected(databases: TwoDatabases) -> None:
    prepare(databases, *OUTDATED)
    databases.migrate("maps: {icd: {outdated: warn}}" + TABLES)
    assert databases.target.rows("SELECT id, code FROM conditions ORDER BY id") == [
        (1, "E119"),
        (2, "G20"),
        (3, "E87.2"),
    ]
    assert databases.warnings("source_key, error_code, rule_id, reason") == [
        ("2", "DATA-005", "code.map", "outdated_target"),
        ("3", "DATA-005", "code.map", "outdated_target"),
    ]
    databases.target.run("TRUNCATE conditions")
    databases.migrate("maps: {icd: {outdated: reject}}" + TABLES, job="again")
    assert databases.target.rows("SELECT id FROM conditions") == [(1,)]
    assert databases.errors("source_key, error_code, reason") == [
        ("2", "TRANS-002", "outdated_target"),
        ("3", "TRANS-002", "outdated_target"),
    ]


DECIDED = """
maps: {warn: {}, reject: {outdated: reject}, accept: {outdated: accept}}
tables:
""" + "".join(
    f"""
  {name}:
    from: diagnoses
    into: conditions
    key: [id, part, looked_up]
    copy: [id]
    fields:
      looked_up: {{const: {name}}}
      code: {{from: code, map: {name}, into: {{part: cluster_seq}}}}
"""
    for name in ("warn", "reject", "accept")
)


@pytest.mark.slow
def test_targets_that_sql_decides_on_are_held_against_the_release(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    prepare(databases, "428.9", "272.4", "428.0", "401.9", "276.2", "250.00")
    databases.target.run(
        "ALTER TABLE conditions DROP CONSTRAINT conditions_pkey;"
        "ALTER TABLE conditions ADD PRIMARY KEY (id, part, looked_up);"
        "CREATE SCHEMA migration; CREATE TABLE migration.code_mappings (source_system text,"
        " target_system text, source_code text, target_code text);"
        "INSERT INTO migration.code_mappings VALUES ('ICD9', 'ICD10', '4289', 'NONSENSE'),"
        " ('ICD9', 'ICD10', '2724', 'V80'), ('ICD9', 'ICD10', '428.0', ' i50.9'),"
        " ('ICD9', 'ICD10', '4019', 'I10'), ('ICD9', 'ICD10', '401.9', 'G20'),"
        " ('ICD9', 'ICD10', '276.2', NULL)"
    )
    databases.migrate(DECIDED)
    written = [
        (1, "NONSENSE"),
        (2, "V80"),
        (3, "I50.9"),
        (4, "G20"),
        (4, "I10"),
        (5, None),
        (6, "E11.9"),
    ]
    query = "SELECT id, code FROM conditions WHERE looked_up = '{}' ORDER BY 1, 2"
    assert databases.target.rows(query.format("warn")) == written
    assert databases.target.rows(query.format("accept")) == written
    assert databases.target.rows(query.format("reject")) == [
        (3, "I50.9"),
        (5, None),
        (6, "E11.9"),
    ]
    told = "load, source_key, error_code, reason"
    assert databases.warnings(told) == [
        ("warn", key, "DATA-005", "outdated_target") for key in ("1", "2", "4")
    ]
    assert databases.errors(told) == [
        ("reject", key, "TRANS-002", "outdated_target") for key in ("1", "2", "4")
    ]
    # Such a decision hasn't settled the code.
    codes = run_json(databases, capsys, ["rejects", "list", "SPEC", "--code", "TRANS-002"])["codes"]
    assert [(c["map"], c["code"], c["decided"]) for c in codes] == [
        ("reject", code, False) for code in ("272.4", "401.9", "428.9")
    ]


@pytest.mark.parametrize("columns", ["", ", id serial, decided_at timestamptz DEFAULT now()"])
def test_a_target_and_none_in_one_decision_are_refused_until_one_is_removed(
    databases: TwoDatabases, capsys: Capsys, columns: str
) -> None:
    prepare(databases, "272.0", "250.00")
    databases.target.run(
        "CREATE SCHEMA migration; CREATE TABLE migration.code_mappings (source_system text,"
        f" target_system text, source_code text, target_code text{columns});"
        "INSERT INTO migration.code_mappings VALUES ('icd-9', 'ICD10', '2720', 'E78.00'),"
        " ('ICD9', 'ICD10', '272.0', ' '), ('ICD9PROC', 'ICD10PCS', '272.0', NULL)"
    )
    databases.write("maps: {icd: {}}" + TABLES)
    for verb in ("plan", "migrate"):
        (problem,) = run_json(databases, capsys, [verb, "SPEC"], 2)["problems"]
        assert (problem["code"], problem["message"]) == (
            "USER-003",
            "one decision says of a code that it has a target, and that it has none: 272.0",
        )
    keep, _, remove = problem["remedy"].partition("; or ")
    assert remove.startswith("keep that there is none: DELETE FROM ")
    databases.target.run(keep.removeprefix("keep the targets: "))
    assert databases.target.row("SELECT count(*) FROM migration.code_mappings") == (2,)
    assert run_json(databases, capsys, ["migrate", "SPEC"])["problems"] == []
    assert databases.target.values("SELECT code FROM conditions ORDER BY id") == ["E78.00", "E11.9"]


PACKAGED = """
maps:
  icd: {}
  then: {release: FY2018}
  own: {release: release.txt}
  any: {outdated: accept}
  back: {packaged: icd10_to_icd9}
  procedure: {packaged: icd9proc_to_icd10pcs}
  procedure_back: {gem: gem_pcsi9.txt}
tables:
"""
FROM_EACH_MAP = """
  {map}:
    from: diagnoses
    skip: {{OTHER: "src.map <> '{map}'"}}
    into: conditions
    key: [map, id, part]
    copy: [id, map]
    fields:
      code:
        from: code
        map: {map}
        into: {{part: cluster_seq, category: category, version: map_version, label: map}}
"""


@pytest.mark.slow
def test_the_packaged_maps_are_those_of_fiscal_year_2018(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    """They and the releases that their targets are held against."""
    codes = {
        # What an older map translates by codes that were divided until 2018.
        "icd": ["272.0", "428.0", "008.45", "577.0", "332.0", "25000"],
        "then": ["332.0", "276.2"],
        "own": ["332.0", "276.2"],
        "any": ["332.0"],
        "back": ["A00.0", "E119"],
        "procedure": ["47.01"],
        "procedure_back": ["07BM4ZZ"],
    }
    databases.legacy.run("CREATE TABLE diagnoses (id serial PRIMARY KEY, map text, code text)")
    for name, of_map in codes.items():
        for code in of_map:
            databases.legacy.connection.execute(
                "INSERT INTO diagnoses (map, code) VALUES (%s, %s)", [name, code]
            )
    databases.target.run(
        "CREATE TABLE conditions (map text, id int, part int, code text, category text,"
        " version text, label text, PRIMARY KEY (map, id, part))"
    )
    (databases.folder / "release.txt").write_text("G20 Parkinson\nE11.9\n")
    (databases.folder / "gem_pcsi9.txt").write_text("07BM4ZZ 0783  00000\n")
    specification = PACKAGED + "".join(FROM_EACH_MAP.format(map=name) for name in codes)
    databases.write(specification)
    planned = run_json(databases, capsys, ["plan", "SPEC", "--full"])
    assert planned["maps"]["icd"].startswith(
        "icd/FY2018/sha256:44f4079c698e and the release FY2026 sha256:"
    )
    assert planned["maps"]["any"] == "any/FY2018/sha256:44f4079c698e"
    databases.migrate(specification)
    assert databases.target.rows("SELECT map, code, category FROM conditions ORDER BY id") == [
        ("icd", "G20", "approximate"),
        ("icd", "E119", "approximate"),
        ("then", "G20", "approximate"),
        ("then", "E87.2", "exact"),
        ("own", "G20", "approximate"),
        ("own", "E87.2", "exact"),
        ("any", "G20", "approximate"),
        ("back", "001.0", "exact"),
        ("back", "25000", "approximate"),
        ("procedure", "0DTJ4ZZ", "approximate"),
        ("procedure_back", "0783", "exact"),
    ]
    versions = databases.target.values("SELECT DISTINCT version FROM conditions ORDER BY 1")
    assert versions == ["FY2018", "gem_pcsi9"]
    choices = [(str(number), "choice") for number in range(1, 5)]
    assert databases.errors("source_key, reason") == choices
    assert databases.warnings("source_key, error_code, reason") == [
        ("10", "DATA-005", "outdated_target"),
        ("5", "DATA-005", "outdated_target"),
    ]


def test_a_map_that_is_not_packaged_is_told_with_its_line(databases: TwoDatabases) -> None:
    prepare(databases, "07BM4ZZ")
    (problem,) = databases.refused(
        "maps: {icd: {packaged: icd10pcs_to_icd9proc}}" + TABLES
    ).problems
    assert problem.code is ErrorCode.SYS_004
    assert problem.message.startswith("the map icd10pcs_to_icd9proc isn't packaged")
    assert "maps.icd.packaged" in problem.where
    assert problem.remedy == "get gem_pcsi9.txt of CMS, and name it: gem: FILE"


@pytest.mark.slow
def test_a_load_goes_on_with_the_release_that_it_was_begun_with(databases: TwoDatabases) -> None:
    databases.legacy.run(
        "CREATE TABLE diagnoses AS SELECT i AS id, '5990' AS code, repeat('n', 99) AS note"
        " FROM generate_series(1, 9999) i"
    )
    databases.target.run("CREATE TABLE conditions (id int PRIMARY KEY, note text, code text)")
    release = databases.folder / "release.txt"
    release.write_text("N390\n")
    load = """
maps: {icd: {release: release.txt, outdated: reject}}
tables: {conditions: {from: diagnoses, key: [id], copy: [id, note],
  fields: {code: {from: code, map: icd}}, rules: {R: id > 1}}}
"""
    stopped = SMALL + "errors: {budget: {rejected: 0}}\n"
    databases.migrate(load, header=stopped, expected=ExitStatus.STOPPED)
    release.write_text("I11\n")
    (problem,) = databases.refused(load, SMALL).problems
    assert problem.code is ErrorCode.USER_003
    assert "and the release sha256:" in problem.message
    release.write_text("N390\n")
    databases.migrate(load, header=SMALL)
    assert databases.target.rows("SELECT code, count(*) FROM conditions GROUP BY 1") == [
        ("N390", 9998)
    ]


def test_procedures_and_the_decisions_on_them(databases: TwoDatabases) -> None:
    (databases.folder / "gem.txt").write_text(
        "4701  0DTJ4ZZ 10000\n0066  02703ZZ 10000\n0066  02713ZZ 10000\n0016  NoPCS   11000\n"
    )
    prepare(databases, "47.01", "00.66", "0016", "0066")
    databases.target.run(
        "CREATE SCHEMA migration; CREATE TABLE migration.code_mappings (source_system text,"
        " target_system text, source_code text, target_code text);"
        "INSERT INTO migration.code_mappings VALUES ('ICD9Proc', 'ICD10PCS', '0066', '02703ZZ'),"
        " ('ICD9', 'ICD10', '4701', 'of a diagnosis'), ('ICD10PCS', 'ICD9Proc', '0016', 'back')"
    )
    databases.migrate("maps: {icd: {gem: gem.txt, outdated: reject}}" + TABLES)
    assert databases.target.rows("SELECT id, code, category FROM conditions ORDER BY id") == [
        (1, "0DTJ4ZZ", "approximate"),
        (2, "02703ZZ", "site"),
        (4, "02703ZZ", "site"),
    ]
    assert databases.errors("source_key, reason") == [("3", "no_map")]


AROUND_THE_CUTOVER = """
maps: {icd: {}}
tables:
  visits:
    from: visits
    key: [id]
    copy: [id]
    fields: {discharged_at: {from: dischtime, type: timestamp, format: "%Y-%m-%d %H:%M"}}
  conditions:
    from: diagnoses
    source_key: id
    key: [id, part]
    copy: [id]
    fields:
      visit: {from: visit, ref: visits, take: {discharged: discharged_at}}
      code:
        from: code
        map: icd
        coded_in: version
        coded_on: out.discharged
        into: {part: cluster_seq, category: category, source: map}
      chapter: {sql: "left(out.code, 3)"}
"""
VISITS = (
    "(1, '2015-09-30 23:59'), (2, '2015-10-01 00:00'), (3, NULL), (4, 'soon'),"
    " (5, '2023-01-15 09:00')"
)
DIAGNOSES = {
    # id: visit, version, code
    1: (1, "9", "250.00"),
    2: (2, "ICD-10-CM", "e11.9"),
    3: (2, "9", "250.00"),
    4: (1, "10", "E11.9"),
    # E8020 is a code of both: the date decides, and without one the map.
    5: (1, None, "E8020"),
    6: (2, None, "E8020"),
    7: (3, " ", "E8020"),
    # With its dot it is a code of one only.
    8: (2, None, "E802.0"),
    9: (2, None, "Z79.4"),
    10: (3, None, "Z79.4"),
    # Not billable any more, and none at all.
    11: (2, "10", "E87.2"),
    12: (2, "10", "E1"),
    13: (2, "SNOMED", "44054006"),
    # A cluster in a row between others.
    14: (1, "9", "250.62"),
    15: (3, "10", None),
    # The visit was rejected: no date, and a violation of the reference alone.
    16: (4, "10", "E11.9"),
    # No code of any release: of the German ICD-10, a lost dot or letter, HCPCS.
    17: (2, "10", "I10.00"),
    18: (2, "10", "E83.58"),
    19: (2, "0", "I10X"),
    20: (3, "10", "S72.01A"),
    21: (3, "10", "O8O"),
    22: (2, "10", "J3490"),
    23: (2, "10", "V2020"),
    # 0 is ICD-10 in the claims of CMS. M54.5 was withdrawn in 2021, U07.1 brought in in 2020.
    24: (2, "0", "M54.5"),
    25: (5, "0", "M54.5"),
    26: (2, "10", "U07.1"),
    27: (5, "10", "U07.1"),
    28: (3, "10", "M54.5"),
    # The site has decided on this one.
    29: (2, "10", "E11.90"),
    # As they stand they are procedures.
    30: (1, "9", "40.19"),
    31: (1, None, "18.5"),
    32: (1, "9", "\u00a0250.00\ufeff"),
    # The site's decision is on the code of ICD-9.
    33: (2, "10", "250.02"),
}


def prepare_cutover(databases: TwoDatabases, key: str = "PRIMARY KEY") -> None:
    databases.legacy.run(
        "CREATE TABLE visits (id int PRIMARY KEY, dischtime text);"
        f"INSERT INTO visits VALUES {VISITS};"
        f"CREATE TABLE diagnoses (id int {key}, visit int, version text, code text)"
    )
    for number, row in DIAGNOSES.items():
        databases.legacy.connection.execute(
            "INSERT INTO diagnoses VALUES (%s, %s, %s, %s)", [number, *row]
        )
    databases.target.run(
        "CREATE SCHEMA migration; CREATE TABLE migration.code_mappings (source_system text,"
        " target_system text, source_code text, target_code text);"
        "INSERT INTO migration.code_mappings VALUES"
        " ('ICD9', 'ICD10', 'E11.90', 'E11.9'), ('ICD9', 'ICD10', '250.02', 'E11.65');"
        "CREATE TABLE visits (id int PRIMARY KEY, discharged_at timestamp);"
        "CREATE TABLE conditions (id int, part int, visit int REFERENCES visits, code text,"
        " chapter text, category text, source text, PRIMARY KEY (id, part))"
    )


@pytest.mark.slow
# Without a key of the source the search for duplicates needs the parents too.
@pytest.mark.parametrize("key", ["PRIMARY KEY", ""])
def test_each_row_is_read_in_the_system_of_its_date(databases: TwoDatabases, key: str) -> None:
    prepare_cutover(databases, key)
    databases.migrate(AROUND_THE_CUTOVER)
    assert databases.target.rows(
        "SELECT id, code, chapter, category, split_part(source, '/', 1) FROM conditions"
        " ORDER BY id, part"
    ) == [
        (1, "E11.9", "E11", "approximate", "icd"),
        (2, "E11.9", "E11", "same", "same"),
        (5, "V817XXA", "V81", "approximate", "icd"),
        (6, "E8020", "E80", "same", "same"),
        (7, "V817XXA", "V81", "approximate", "icd"),
        (9, "Z79.4", "Z79", "same", "same"),
        (10, "Z79.4", "Z79", "same", "same"),
        (11, "E87.2", "E87", "same", "same"),
        (14, "E11.40", "E11", "cluster", "icd"),
        (14, "E11.65", "E11", "cluster", "icd"),
        (15, None, None, None, None),
        (24, "M54.5", "M54", "same", "same"),
        (27, "U07.1", "U07", "same", "same"),
        (28, "M54.5", "M54", "same", "same"),
        (29, "E11.9", "E11", "site", "code_mappings"),
        (32, "E11.9", "E11", "approximate", "icd"),
    ]
    assert [
        (int(number), *told)
        for number, *told in databases.errors("source_key, error_code, rule_id, reason")
        if number != "4" or told[1] != "discharged_at.type"
    ] == sorted(
        [
            (3, "TRANS-002", "code.map", "icd9_after_cutover"),
            (4, "TRANS-002", "code.map", "icd10_before_cutover"),
            (8, "TRANS-002", "code.map", "icd9_after_cutover"),
            (12, "TRANS-002", "code.map", "unknown_code"),
            (13, "TRANS-002", "code.map", "unknown_code_system"),
            (16, "DATA-002", "visit.ref", "parent_rejected"),
            *((number, "TRANS-002", "code.map", "unknown_code") for number in range(17, 24)),
            (25, "TRANS-002", "code.map", "code_not_in_force"),
            (26, "TRANS-002", "code.map", "code_not_in_force"),
            (30, "TRANS-002", "code.map", "ambiguous_code"),
            (31, "TRANS-002", "code.map", "ambiguous_code"),
            (33, "TRANS-002", "code.map", "unknown_code"),
        ],
        key=lambda row: str(row[0]),
    )
    assert databases.warnings("source_key, error_code, reason") == [
        ("2", "DATA-005", "repaired_case"),
        ("28", "DATA-005", "outdated_target"),
    ]


@pytest.mark.slow
def test_an_outdated_code_is_no_code_at_the_date_of_its_row(databases: TwoDatabases) -> None:
    prepare_cutover(databases)
    databases.migrate(AROUND_THE_CUTOVER.replace("icd: {}", "icd: {outdated: reject}"))
    codes: dict[int, str | None] = dict(
        databases.target.rows("SELECT id, code FROM conditions WHERE id IN (11, 24, 28)")
    )
    assert codes == {11: "E87.2", 24: "M54.5"}
    reasons: dict[str, str | None] = dict(databases.errors("source_key, reason"))
    assert (reasons["25"], reasons["28"]) == ("code_not_in_force", "outdated_target")


@pytest.mark.slow
def test_a_plan_leaves_out_what_the_visit_would_have_told(
    databases: TwoDatabases, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_cutover(databases)
    databases.write(AROUND_THE_CUTOVER)
    planned = run_json(databases, capsys, ["plan", "SPEC", "--full"])["tables"]["conditions"]
    assert planned["rows"] == len(DIAGNOSES)
    assert planned["accepted"] + planned["rejected"] == len(DIAGNOSES)


def test_a_code_needs_no_date_where_the_row_names_its_system(databases: TwoDatabases) -> None:
    prepare_cutover(databases)
    specification = AROUND_THE_CUTOVER.replace("        coded_on: out.discharged\n", "")
    databases.migrate(specification.replace("icd: {}", "icd: {outdated: reject}"))
    rows = databases.target.rows("SELECT id, category FROM conditions ORDER BY id, part")
    assert [number for number, category in rows if category == "same"] == [2, 4, 9, 10, 26, 27]
    reasons: dict[str, str | None] = dict(databases.errors("source_key, reason"))
    assert reasons["11"] == "outdated_target"
    assert not {reason for reason in reasons.values() if "cutover" in str(reason)}


@pytest.mark.slow
def test_every_code_as_published_is_right_and_no_procedure_becomes_a_diagnosis(
    databases: TwoDatabases,
) -> None:
    """With its dot and without; the truth is the file itself, looked up by PostgreSQL."""
    nine, ten = packaged_map()[0], code_history(ICD10CM)
    of_2018 = pc.and_(pc.less_equal(ten.first, 2018), pc.greater_equal(ten.last, 2018))
    tens = ten.codes.filter(of_2018).to_pylist()
    procedures = code_history(ICD9PROC).codes.to_pylist()
    assert (len(nine), len(tens), len(procedures)) == (14_567, 71_704, 3_882)
    databases.legacy.run("CREATE TABLE diagnoses (id text PRIMARY KEY, system text, code text)")
    copy = "COPY diagnoses FROM STDIN"
    with databases.legacy.connection.cursor().copy(copy) as rows:
        for code in nine:
            rows.write_row((f"9 {code}", "9", code))
            rows.write_row((f"9. {code}", "9", ICD9CM.with_dot(code)))
        for code in tens:
            rows.write_row((f"10 {code}", "10", code))
            rows.write_row((f"10. {code}", "10", ICD10CM.with_dot(code)))
        for code in procedures:
            rows.write_row((f"p {code}", "9", ICD9PROC.with_dot(code)))
    databases.target.run(
        "CREATE TABLE conditions (id text, part int, code text, category text,"
        " PRIMARY KEY (id, part))"
    )
    outcome = databases.migrate("""
maps: {icd: {policy: {choice: expand}}}
tables:
  conditions:
    from: diagnoses
    key: [id, part]
    copy: [id]
    fields:
      code: {from: code, map: icd, coded_in: system, into: {part: cluster_seq, category: category}}
""")
    written: dict[str, set[str]] = {}
    for identifier, code in databases.target.rows("SELECT id, code FROM conditions"):
        written.setdefault(identifier, set()).add(code)
    expected: dict[str, set[str]] = {}
    for code, targets in nine.items():
        if targets[0].target != "NoDx":
            expected[f"9 {code}"] = {row.target for row in targets}
            with_dot = {ICD10CM.with_dot(row.target) for row in targets}
            # A code that is too short for a dot has none for its targets to go by.
            has_dot = "." in ICD9CM.with_dot(code)
            expected[f"9. {code}"] = with_dot if has_dot else expected[f"9 {code}"]
    expected |= {f"10 {code}": {code} for code in tens}
    expected |= {f"10. {code}": {ICD10CM.with_dot(code)} for code in tens}
    assert written == expected
    assert outcome.summary.violations == {"TRANS-002": 2 * 422 + 3_882}
