"""From the codes that nobody can translate to decisions on them: list, export, import, replay."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases.two_databases import TwoDatabases, two_databases
from tests.support.jobs.small_hospital import run, run_json

Capsys = pytest.CaptureFixture[str]

CODES = [
    *["017.30"] * 4,  # a choice
    *["4019X"] * 3,  # no such code, though it looks like one
    "V22.x",
    "=1+1",
    "365.71",  # no map
    None,
]

SPECIFICATION = """
maps:
  icd: {policy: {cluster: reject}}
  local: {values: {a: b}}
tables:
  conditions:
    from: legacy_conditions
    key: [id, part]
    fields:
      id: {from: id}
      code: {from: code, transform: trim, map: icd, into: {part: cluster_seq, decided: map}}
      kind: {from: kind, map: local}
"""


def moved(databases: TwoDatabases) -> TwoDatabases:
    rows = ", ".join(
        f"({n}, {'NULL' if code is None else repr(code)}, 'a')" for n, code in enumerate(CODES, 1)
    )
    databases.legacy.run(
        "CREATE TABLE legacy_conditions (id int PRIMARY KEY, code text, kind text);"
        f"INSERT INTO legacy_conditions VALUES {rows}, (100, '250.00', 'z'), (101, '250.42', 'a')"
    )
    databases.target.run(
        "CREATE TABLE conditions (id int, part int, code text, decided text, kind text,"
        " PRIMARY KEY (id, part))"
    )
    databases.migrate(SPECIFICATION)
    return databases


@pytest.fixture(scope="module")
def looked_at(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDatabases]:
    """For tests that change nothing."""
    with two_databases(server, tmp_path_factory.mktemp("codes")) as databases:
        yield moved(databases)


def export(databases: TwoDatabases, capsys: Capsys, *flags: str) -> list[dict[str, str]]:
    capsys.readouterr()
    assert run(databases, "rejects", "export", "SPEC", *flags) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))


def import_(databases: TwoDatabases, capsys: Capsys, text: str, status: int = 0) -> Any:
    path = databases.folder / "codes.csv"
    path.write_text(text, encoding="utf-8")
    return run_json(databases, capsys, ["codes", "import", "SPEC", str(path)], status)


def decisions(databases: TwoDatabases) -> list[tuple[Any, ...]]:
    return databases.target.rows(
        "SELECT source_system, target_system, source_code, target_code, description"
        " FROM migration.code_mappings ORDER BY id"
    )


def test_codes_are_ranked_by_the_rows_that_they_hold_back(
    looked_at: TwoDatabases, capsys: Capsys
) -> None:
    document = run_json(looked_at, capsys, ["rejects", "list", "SPEC", "--code", "TRANS-002"])
    ranked = [(c["looked_up"], c["reason"], c["rows"]) for c in document["codes"]]
    assert ranked[0] == ("01730", "choice", 4)
    # What isn't written like a code may be anything that somebody typed.
    assert others_of(document) == (3, 5)
    assert {c["map"] for c in document["codes"]} == {"icd"}
    assert ("25042", "cluster", 1) in ranked
    # The value that a map of values lacks is no code to decide on.
    others = document["not_codes"]
    assert (
        sum(c["rows"] for c in document["codes"]) + others["rows"]
        == looked_at.target.row(
            "SELECT count(*) FROM migration.migration_errors WHERE rule_id = 'code.map'"
        )[0]
    )
    # Of another code there are none here, and a filter that nothing matches is refused.
    document = run_json(looked_at, capsys, ["rejects", "list", "SPEC", "--code", "DATA-001"], 2)
    assert "codes" not in document


def others_of(document: Any) -> tuple[int, int]:
    return document["not_codes"]["values"], document["not_codes"]["rows"]


def test_what_is_no_code_is_not_shown(looked_at: TwoDatabases, capsys: Capsys) -> None:
    capsys.readouterr()
    assert run(looked_at, "rejects", "list", "SPEC", "--code", "TRANS-002") == 0
    printed = capsys.readouterr().out
    assert "017.30" in printed
    assert "1+1" not in printed
    assert "values that aren't written like a code" in printed


def test_the_list_without_the_source(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    capsys.readouterr()
    # The later of two variables holds.
    gone = "--var=LEGACY_URL=postgresql://nobody@127.0.0.1:1/none"
    path = databases.write(
        SPECIFICATION,
        '\njob: moved\nsource: {url: "postgresql://nobody@127.0.0.1:1/none"}\n'
        'target: {url: "${TARGET_URL}", control_schema: migration}\n'
        "limits: {retry: {attempts: 1, delay: 10ms}}\n",
    )
    assert path.exists()
    assert run(databases, "rejects", "list", "SPEC", "--code", "TRANS-002", gone) == 0
    printed = capsys.readouterr()
    assert "code.map" in printed.out
    assert "The codes are read from the source, and that isn't possible" in printed.err
    assert "CONN-004" in printed.err


def test_the_export_has_what_a_coder_needs(looked_at: TwoDatabases, capsys: Capsys) -> None:
    rows = {row["source_code"]: row for row in export(looked_at, capsys)}
    chosen = rows["017.30"]
    assert (chosen["map"], chosen["reason"], chosen["rows"]) == ("icd", "choice", "4")
    assert "TB of eye" in chosen["source_description"]
    assert chosen["target_code"] == ""
    candidates = chosen["candidates"].split(" | ")
    assert "A18.50 Tuberculosis of eye, unspecified" in candidates
    assert any("[scenario 1, list 1]" in c for c in rows["250.42"]["candidates"].split(" | "))
    assert rows["4019X"]["candidates"] == ""
    # A spreadsheet would compute what begins like a formula.
    assert "'=1+1" in rows


BY_SYSTEM = """
maps: {icd: {notation: dotted, outdated: accept}}
tables:
  visits: {from: legacy_visits, key: [id], copy: [id, day]}
  conditions:
    from: legacy_conditions
    key: [id, part]
    copy: [id]
    fields:
      visit: {from: visit, ref: visits, take: {seen: day}}
      code: {from: code, map: icd, coded_in: version, coded_on: DATE, into: {part: cluster_seq}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("date", ["out.seen", "day"])
def test_a_code_is_offered_only_for_rows_for_which_a_decision_on_it_counts(
    databases: TwoDatabases, capsys: Capsys, date: str
) -> None:
    databases.legacy.run(
        "CREATE TABLE legacy_visits (id int PRIMARY KEY, day date);"
        "INSERT INTO legacy_visits VALUES (1, '2014-01-01'), (2, '2017-01-01');"
        "CREATE TABLE legacy_conditions (id int PRIMARY KEY, visit int, code text, version text);"
        "INSERT INTO legacy_conditions VALUES (1, 1, 'V72.0', '9'), (2, 2, 'V72.0', '10'),"
        " (3, 2, 'V720', 'ICD-10-CM'), (4, 2, 'E11.90', '10'), (5, 2, 'E11.90', NULL),"
        " (6, 2, '5990.', '10');"
        "ALTER TABLE legacy_conditions ADD day date; UPDATE legacy_conditions c SET day = v.day"
        " FROM legacy_visits v WHERE v.id = visit"
    )
    databases.target.run(
        "CREATE TABLE visits (id int PRIMARY KEY, day date);"
        "CREATE TABLE conditions (id int, part int, visit int REFERENCES visits, seen date,"
        " code text, PRIMARY KEY (id, part))"
    )
    databases.migrate(BY_SYSTEM.replace("DATE", date))
    capsys.readouterr()
    assert run(databases, "rejects", "export", "SPEC") == 0
    out, told = capsys.readouterr()
    lines = [
        (line["key"], line["source_description"], line["reason"], line["rows"])
        for line in csv.DictReader(io.StringIO(out, newline=""))
    ]
    assert lines == [
        ("icd:E11.90", "", "unknown_code", "2"),
        ("icd:V72.0", "Eye & vision examination", "choice", "1"),
    ]
    assert told.startswith("2 codes of 3 rows are left out: ")
    ranked = run_json(databases, capsys, ["rejects", "list", "SPEC", "--code", "TRANS-002"])
    undecidable = {c["looked_up"]: c["rows"] for c in ranked["codes"] if not c["is_decidable"]}
    assert undecidable == {"V720": 2, "5990": 1}
    decided = "source_code,target_code\nE11.90,E11.9\nV72.0,Z01.00\n"
    assert import_(databases, capsys, decided)["stored"] == 2
    run_json(databases, capsys, ["rejects", "replay", "SPEC", "--code", "TRANS-002"])
    assert databases.target.rows("SELECT id, code FROM conditions ORDER BY id") == [
        (1, "Z01.00"),
        (4, "E11.9"),
        (5, "E11.9"),
    ]


def test_another_code_than_trans_002_is_refused(looked_at: TwoDatabases, capsys: Capsys) -> None:
    document = run_json(looked_at, capsys, ["rejects", "export", "SPEC", "--code", "DATA-001"], 2)
    assert [p["code"] for p in document["problems"]] == ["USER-001"]
    nowhere = str(looked_at.folder / "no" / "file.csv")
    document = run_json(looked_at, capsys, ["rejects", "export", "SPEC", "--output", nowhere], 2)
    assert [(p["code"], p["where"]) for p in document["problems"]] == [("SYS-005", nowhere)]


def test_decisions_are_stored_and_bring_rows_in(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    text = (
        "source_code,target_code\n"
        "01730,a18.50\n"  # spelled in another way than in the source
        "'=1+1,R69\n"
        "250.42,E11.69\n250.42,E11.65\n"  # two codes together
        "4019X,none\n"
        "365.71,\n"
    )
    document = import_(databases, capsys, text)
    assert (document["stored"], document["unchanged"], document["undecided"]) == (4, 0, 1)
    assert decisions(databases) == [
        ("ICD9", "ICD10", "017.30", "A18.50", "Tuberculosis of eye, unspecified"),
        ("ICD9", "ICD10", "=1+1", "R69", "Illness, unspecified"),
        ("ICD9", "ICD10", "250.42", "E11.69", "Type 2 diabetes mellitus with other specified"
         " complication"),
        ("ICD9", "ICD10", "250.42", "E11.65", "Type 2 diabetes mellitus with hyperglycemia"),
        ("ICD9", "ICD10", "4019X", None, None),
    ]  # fmt: skip
    # The same again changes nothing.
    document = import_(databases, capsys, text)
    assert (document["stored"], document["unchanged"]) == (0, 4)
    assert len(decisions(databases)) == 5

    listed = run_json(databases, capsys, ["rejects", "list", "SPEC", "--code", "TRANS-002"])
    assert {c["looked_up"] for c in listed["codes"] if c["decided"]} == {"01730", "25042"}
    assert "017.30" not in {row["source_code"] for row in export(databases, capsys)}
    replay = ["rejects", "replay", "SPEC", "--code", "TRANS-002", "--rule", "code.map"]
    document = run_json(databases, capsys, replay)
    assert document["tables"]["conditions"]["accepted"] == 4 + 1 + 1 + 3
    assert databases.target.rows(
        "SELECT code, count(*), min(decided) FROM conditions WHERE decided LIKE 'code_mappings/%'"
        " GROUP BY code ORDER BY code"
    ) == [
        ("A18.50", 4, "code_mappings/1"),
        ("E11.65", 1, "code_mappings/4"),
        ("E11.69", 1, "code_mappings/3"),
        ("R69", 1, "code_mappings/2"),
        (None, 3, "code_mappings/5"),
    ]
    # Another decision on the same code takes the first one back.
    document = import_(databases, capsys, "source_code;target_code\n017.30;A18.51\n")
    assert document["stored"] == 1
    assert len(decisions(databases)) == 6


@pytest.mark.slow
def test_decisions_are_written_as_the_map_writes_and_reach_written_rows_after_a_reset(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.legacy.run(
        "CREATE TABLE legacy_conditions (id int PRIMARY KEY, code text, kind text);"
        "INSERT INTO legacy_conditions VALUES (1, '4240', 'a'), (2, '424.0', 'a'),"
        " (3, '5990', 'a'), (4, '99998', 'a')"
    )
    databases.target.run(
        "CREATE TABLE conditions (id int, part int, code text, decided text, kind text,"
        " PRIMARY KEY (id, part))"
    )
    databases.migrate(SPECIFICATION)
    # Neither a code of the map nor in any row; 99998 isn't one either, but a row has it.
    text = "source_code,target_code\n4240,I34.0\nXX,I10\n99999,I10\n99998,R69\n"
    problems = import_(databases, capsys, text, 2)["problems"]
    file = databases.folder / "codes.csv"
    assert [(p["code"], p["where"]) for p in problems] == [
        ("USER-001", f"{file}:3"),
        ("USER-001", f"{file}:4"),
    ]
    assert not decisions(databases)
    text = "source_code,target_code\n\u00a04240\u200b,I34.0\n99998,R69\n"
    document = import_(databases, capsys, text)
    assert (document["stored"], document["written_before"]) == (2, {})
    run_json(databases, capsys, ["rejects", "replay", "SPEC", "--code", "TRANS-002"])
    codes = "SELECT id, code FROM conditions ORDER BY id"
    assert databases.target.rows(codes) == [(1, "I340"), (2, "I34.0"), (3, "N390"), (4, "R69")]

    # Rows with these codes are written: by the map, and by a decision.
    file.write_text("source_code,target_code\n599.0,R31.9\n99998,I10\n")
    assert run(databases, "codes", "import", "SPEC", str(file)) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "conditions (599.0, 999.98)" in printed
    ((resetting, migrating),) = re.findall(
        r"(transfuse reset [^;]*); (transfuse migrate \S+)", printed
    )
    assert run(databases, *resetting.split()[1:], "--yes") == 0
    assert run(databases, *migrating.split()[1:]) == 0
    assert databases.target.rows(codes) == [(1, "I340"), (2, "I34.0"), (3, "R319"), (4, "I10")]


def test_decisions_before_the_first_run(databases: TwoDatabases, capsys: Capsys) -> None:
    databases.write(SPECIFICATION)
    import_(databases, capsys, "map\tsource_code\ttarget_code\nicd\t01730\tA1850\n")
    assert decisions(databases)[0][2:4] == ("017.30", "A1850")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("source_code,target_code\n017.30,A18.5\n", [(2, "no billable code")]),
        (
            "source_code,target_code\n017.30,Z99.999\n\n365.71,?\n",
            [(2, "billable"), (4, "billable")],
        ),
        ("source_code,target_code\n,A18.50\n", [(2, "no source_code")]),
        ("map,source_code,target_code\nlocal,01730,A1850\n", [(2, "not a map of codes")]),
        ("map,source_code,target_code\nnowhere,01730,A1850\n", [(2, "not a map of codes")]),
        ("source_code,target_code\n01730,A18.50\n017.30,NONE\n", [(3, "in one line")]),
        ("code,target\n01730,A18.50\n", [(1, "no column source_code and no column target_code")]),
        ("", [(1, "no column")]),
        ('source_code,target_code\n"01730,A18.50\n', [(2, "not CSV")]),
        ("source_code,target_code,note\n4019X,I10,old, wrong\n", [(2, "4 cells")]),
        ("source_code,target_code\n40\x0019,E11.9\n", [(2, "NUL")]),
        ("source_code,target_code,target_code\n4019X,I10,E11.9\n", [(1, "several columns")]),
    ],
    ids=range(12),
)
def test_lines_that_cant_be_taken(
    databases: TwoDatabases, capsys: Capsys, text: str, told: list[tuple[int, str]]
) -> None:
    databases.write(SPECIFICATION)
    good = "365.71,M25.579\n" if text.startswith("source_code") and "NONE" not in text else ""
    document = import_(databases, capsys, text + good if '"' not in text else text, 2)
    problems = document["problems"]
    file = databases.folder / "codes.csv"
    assert [(p["code"], p["where"]) for p in problems] == [
        ("USER-001", f"{file}:{line}") for line, _ in told
    ]
    for problem, (_, part) in zip(problems, told, strict=True):
        assert part in problem["message"]
    # All or none.
    assert databases.target.row("SELECT to_regclass('migration.code_mappings')") == (None,)


def test_a_file_that_is_no_list_of_decisions_is_read_no_further(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.write(SPECIFICATION)
    large = databases.folder / "large.csv"
    with large.open("wb") as file:
        file.write(b"source_code,target_code\n")
        file.truncate(200 * 2**20)
    many = databases.folder / "many.csv"
    many.write_text("source_code,target_code\n" + "01730,A1850\n" * 200_001)
    odd = databases.folder / "odd.csv"
    odd.write_text("map,source_code,target_code\n" + "x,01730,A1850\n" * 200_000)
    for path, told in ((Path("/dev/zero"), "16 MB"), (large, "16 MB"), (many, "200,000")):
        command = ["codes", "import", "SPEC", str(path)]
        (problem,) = run_json(databases, capsys, command, 2)["problems"]
        assert problem["code"] == "USER-001"
        assert told in problem["message"]
    problems = run_json(databases, capsys, ["codes", "import", "SPEC", str(odd)], 2)["problems"]
    assert len(problems) == 101
    # So are maps and releases.
    databases.write(SPECIFICATION.replace("{policy:", "{gem: /dev/zero, policy:"))
    (problem,) = import_(databases, capsys, "key,target_code\nicd:01730,A1850\n", 2)["problems"]
    assert "more than 64 MB" in problem["message"]


@pytest.mark.parametrize("content", [None, b"source_code,target_code\n\xff,A18.50\n"])
def test_a_file_that_cant_be_read(
    databases: TwoDatabases, capsys: Capsys, content: bytes | None
) -> None:
    databases.write(SPECIFICATION)
    file = databases.folder / "there.csv"
    if content is not None:
        file.write_bytes(content)
    (problem,) = run_json(databases, capsys, ["codes", "import", "SPEC", str(file)], 2)["problems"]
    assert (problem["code"], problem["where"]) == ("USER-001", str(file))


def test_several_maps_of_codes_need_to_be_named(databases: TwoDatabases, capsys: Capsys) -> None:
    databases.write(
        SPECIFICATION.replace("maps:\n", "maps:\n  other: {policy: {choice: reject}}\n")
    )
    (problem,) = import_(databases, capsys, "source_code,target_code\n01730,A1850\n", 2)["problems"]
    assert "of which map" in problem["message"]
    assert "other, icd" in problem["remedy"]


def test_a_spreadsheet_that_takes_codes_for_numbers(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    moved(databases)
    (row,) = [row for row in export(databases, capsys) if row["source_code"] == "017.30"]
    assert row["key"] == "icd:017.30"
    damaged = {**row, "source_code": "17.3", "target_code": "A18.50"}
    text = io.StringIO()
    csv.DictWriter(text, list(row)).writerows([dict(zip(row, row, strict=True)), damaged])
    assert import_(databases, capsys, text.getvalue())["stored"] == 1
    assert decisions(databases)[0][2:4] == ("017.30", "A18.50")
    # Without the key the description tells.
    header = "map,source_code,source_description,reason,rows,candidates,target_code\n"
    line = "icd,9831,Gonococcal iridocyclitis,choice,4,,A54.32\n"
    (problem,) = import_(databases, capsys, header + line, 2)["problems"]
    assert problem["code"] == "USER-001"
    assert "isn't the code that its description is of" in problem["message"]


def test_a_table_of_the_site_that_lacks_columns(databases: TwoDatabases, capsys: Capsys) -> None:
    databases.target.run(
        "CREATE SCHEMA migration; CREATE TABLE migration.code_mappings"
        " (source_system text, target_system text, source_code text, target_code text)"
    )
    databases.write(SPECIFICATION)
    text = "source_code,target_code\n017.30,A18.50\n"
    (problem,) = import_(databases, capsys, text, 2)["problems"]
    assert (problem["code"], "decided_at" in problem["message"]) == ("USER-003", True)
    databases.target.run(problem["remedy"])
    assert import_(databases, capsys, text)["stored"] == 1


def test_a_decision_that_was_taken_back_meanwhile_is_stored_again(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.write(SPECIFICATION)
    text = "source_code,target_code\n017.30,A18.50\n"
    import_(databases, capsys, text)
    databases.target.run(
        "INSERT INTO migration.code_mappings (source_system, target_system, source_code,"
        " target_code) VALUES ('ICD-9-CM', 'ICD-10-CM', '01730', 'A18.51')"
    )
    assert import_(databases, capsys, text)["stored"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "repair"),
    [("0173.0", "{dots: true}"), ("17.30", "{zeros: true}"), ("v01.x", "{case: false}")],
)
def test_codes_that_a_map_repairs(
    databases: TwoDatabases, capsys: Capsys, written: str, repair: str
) -> None:
    specification = SPECIFICATION.replace(
        "{cluster: reject}}", f"{{cluster: reject}}, repair: {repair}}}"
    )
    databases.legacy.run(
        "CREATE TABLE legacy_conditions (id int PRIMARY KEY, code text, kind text);"
        f"INSERT INTO legacy_conditions VALUES (1, '{written}', 'a'), (2, '017.30', 'a')"
    )
    databases.target.run(
        "CREATE TABLE conditions (id int, part int, code text, decided text, kind text,"
        " PRIMARY KEY (id, part))"
    )
    databases.migrate(specification)
    lines = "".join(f"{row['key']},R69\n" for row in export(databases, capsys))
    import_(databases, capsys, "key,target_code\n" + lines)
    document = run_json(databases, capsys, ["rejects", "replay", "SPEC"])
    assert document["tables"]["conditions"]["accepted"] == 2


@pytest.mark.slow
def test_one_code_in_two_maps(databases: TwoDatabases, capsys: Capsys) -> None:
    databases.legacy.run(
        "CREATE TABLE legacy_conditions (id int PRIMARY KEY, code text, kind text);"
        "INSERT INTO legacy_conditions VALUES (1, '4019X', '4019X')"
    )
    databases.target.run("CREATE TABLE conditions (id int PRIMARY KEY, code text, kind text)")
    databases.migrate("""
maps:
  icd: {policy: {cluster: reject}}
  other: {policy: {cluster: reject}, notation: undotted}
tables:
  conditions:
    from: legacy_conditions
    key: [id]
    fields: {id: {from: id}, code: {from: code, map: icd}, kind: {from: kind, map: other}}
""")
    assert sorted(row["map"] for row in export(databases, capsys)) == ["icd", "other"]


def test_codes_of_a_load_that_is_not_complete(databases: TwoDatabases, capsys: Capsys) -> None:
    moved(databases)
    databases.target.run("UPDATE migration.migration_loads SET settled = false")
    document = run_json(databases, capsys, ["rejects", "list", "SPEC", "--code", "TRANS-002"])
    assert document["codes"]


BOTH = """
maps:
  icd: {policy: {cluster: reject}}
  other: {policy: {cluster: reject}, notation: undotted}
tables:
  conditions:
    from: legacy_conditions
    key: [id]
    fields: {id: {from: id}, code: {from: code, map: icd}}
  billing:
    from: legacy_conditions
    key: [id]
    fields: {id: {from: id}, code: {from: code, map: other}}
"""


@pytest.mark.slow
def test_two_maps_between_the_same_systems_share_a_decision(
    databases: TwoDatabases, capsys: Capsys
) -> None:
    databases.legacy.run(
        "CREATE TABLE legacy_conditions (id int PRIMARY KEY, code text);"
        "INSERT INTO legacy_conditions VALUES (1, '017.30')"
    )
    for table in ("conditions", "billing"):
        databases.target.run(f"CREATE TABLE {table} (id int PRIMARY KEY, code text)")
    databases.migrate(BOTH)
    keys = [row["key"] for row in export(databases, capsys)]
    assert keys == ["icd:017.30", "other:017.30"]
    for other in ("R69", "NONE"):
        text = f"key,target_code\nicd:017.30,A18.50\nother:017.30,{other}\n"
        (problem,) = import_(databases, capsys, text, 2)["problems"]
        assert (problem["code"], "icd and other" in problem["message"]) == ("USER-001", True)
    text = "key,target_code\nicd:017.30,A18.50\nother:017.30,A18.50\n"
    assert import_(databases, capsys, text)["stored"] == 1
    assert import_(databases, capsys, text)["stored"] == 0
    document = run_json(databases, capsys, ["rejects", "replay", "SPEC"])
    assert {name: t["accepted"] for name, t in document["tables"].items()} == {
        "conditions": 1,
        "billing": 1,
    }


def test_two_spellings_of_one_target_are_one(databases: TwoDatabases, capsys: Capsys) -> None:
    databases.write(SPECIFICATION)
    import_(databases, capsys, "source_code,target_code\n017.30,A18.50\n01730,A1850\n")
    assert [row[2:4] for row in decisions(databases)] == [("017.30", "A18.50")]


def a_table_of_the_site(databases: TwoDatabases, columns: str) -> None:
    databases.target.run(
        f"CREATE SCHEMA migration; CREATE TABLE migration.code_mappings ({columns});"
        "INSERT INTO migration.code_mappings (source_system, target_system, source_code,"
        " target_code, decided_at) VALUES ('ICD9', 'ICD10', '4019X', 'R69', current_date)"
    )
    databases.write(SPECIFICATION)


TEXTS = "source_system text, target_system text, source_code text, target_code text"
DECIDED = "source_code,target_code\n4019X,E11.9\n"


def test_a_site_that_says_itself_when_it_decided(databases: TwoDatabases, capsys: Capsys) -> None:
    a_table_of_the_site(
        databases,
        f"id uuid DEFAULT gen_random_uuid(), {TEXTS}, description text, decided_at timestamp",
    )
    assert import_(databases, capsys, DECIDED)["stored"] == 1
    assert import_(databases, capsys, DECIDED)["unchanged"] == 1


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (f"{TEXTS}, description text, decided_at date", "wouldn't be in force"),
        (f"{TEXTS}, description text, decided_at timestamptz, UNIQUE (source_code)", "23505"),
        (f"{TEXTS}, description varchar(4), decided_at timestamptz", "22001"),
        (f"{TEXTS}, description text, decided_at timestamptz, x int CHECK (x > 0 AND"
         " x IS NOT NULL OR target_code = 'R69')", "23514"),
    ],
    ids=["date", "unique", "short", "check"],
)  # fmt: skip
def test_a_table_of_the_site_that_does_not_take_a_decision(
    databases: TwoDatabases, capsys: Capsys, columns: str, told: str
) -> None:
    a_table_of_the_site(databases, columns)
    before = databases.target.rows("TABLE migration.code_mappings")
    (problem,) = import_(databases, capsys, DECIDED, 2)["problems"]
    assert (problem["code"], told in problem["message"]) == ("USER-003", True)
    assert "code_mappings" in problem["where"]
    assert databases.target.rows("TABLE migration.code_mappings") == before


def test_a_table_of_the_site_without_systems(databases: TwoDatabases, capsys: Capsys) -> None:
    databases.target.run(
        "CREATE SCHEMA migration;"
        "CREATE TABLE migration.code_mappings (source_code text, target_code text)"
    )
    databases.write(SPECIFICATION)
    (problem,) = import_(databases, capsys, DECIDED, 2)["problems"]
    assert (problem["code"], "source_system" in problem["message"]) == ("USER-003", True)
