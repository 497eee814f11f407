"""A row with a value that can't be read, or that is NULL with a warning, is never skipped by it."""

from __future__ import annotations

from dataclasses import replace

from tests.support.databases.encoded import encoded
from tests.support.databases.two_databases import TwoDatabases

LOADS = """
maps:
  icd: {gem: gem.txt, policy: {unknown_code: no_target}}
  letters: {values: {x: y}, on_unmapped: set_null}
  figures: {values: {"1": "1"}, on_unmapped: set_null}
tables:
  wards: {from: wards, key: [id], copy: [id, name]}
  early: {from: notes, key: [id], copy: [id, v], skip: {none: "v is null"}}
  late: {from: notes, key: [id], copy: [id, v], skip: {none: "out.v is null"}}
  unread:
    from: notes
    key: [id]
    copy: [id]
    skip: {none: "coalesce(src.v, src.w, '') = ''"}
  defaulted:
    from: notes
    key: [id]
    fields: {id: {from: id}, v: {from: v, default: none, required: true}}
    skip: {none: "out.v = 'none'"}
  derived:
    from: notes
    key: [id]
    copy: [id, v]
    fields: {w: {sql: "coalesce(out.v, '-')"}}
    skip: {none: "out.w = '-'"}
  mapped:
    from: notes
    key: [id]
    fields:
      id: {from: id}
      v: {from: v, map: letters}
    skip: {none: "out.v is null"}
  children:
    from: notes
    key: [id]
    fields:
      id: {from: id}
      v: {from: v, ref: wards, take: {ward_name: name}, on_missing: set_null}
    skip: {none: "out.ward_name is null"}
  ordered:
    from: notes
    key: [w]
    copy: [w, v, id]
    duplicates: {keep: last, order: ["coalesce(v, '')"], losers: skip}
  nulled:
    from: numbers
    key: [id]
    fields: {id: {from: id}, n: {from: n, type: integer, on_error: set_null}}
    skip: {none: "out.n is null"}
  derived_of_nulled:
    from: numbers
    key: [id]
    fields:
      id: {from: id}
      n: {from: n, type: integer, on_error: set_null}
      m: {sql: "coalesce(out.n, 0)"}
    skip: {none: "out.m = 0"}
  coded:
    from: numbers
    key: [id]
    fields: {id: {from: id}, n: {from: n, map: icd}}
    skip: {none: "out.n is null"}
  unmapped:
    from: numbers
    key: [id]
    fields: {id: {from: id}, n: {from: n, map: figures}}
    skip: {none: "out.n is null"}
"""

NUMBERS = ("nulled", "derived_of_nulled")
NOTES = ("early", "late", "unread", "defaulted", "derived", "mapped", "children", "ordered")


def test_no_skip_drops_a_value_that_is_lost(databases: TwoDatabases) -> None:
    with encoded(databases, "SQL_ASCII") as legacy:
        legacy.run(
            "CREATE TABLE wards (id text PRIMARY KEY, name text); INSERT INTO wards VALUES"
            " ('x', 'ward');"
            "CREATE TABLE notes (id int PRIMARY KEY, v text, w text); INSERT INTO notes VALUES"
            " (1, 'x', 'a'), (2, NULL, NULL), (3, convert_from('\\xe4', 'SQL_ASCII'), 'a');"
            "CREATE TABLE numbers (id int PRIMARY KEY, n text); INSERT INTO numbers VALUES"
            " (1, '1'), (2, NULL), (3, 'one')"
        )
        databases.target.run("CREATE TABLE wards (id text PRIMARY KEY, name text)")
        for name in NOTES:
            key = "w text PRIMARY KEY, id int" if name == "ordered" else "id int PRIMARY KEY,w text"
            databases.target.run(f"CREATE TABLE {name} ({key}, v text)")
        for name in (*NUMBERS, "unmapped"):
            databases.target.run(f"CREATE TABLE {name} (id int PRIMARY KEY, n int, m int)")
        databases.target.run("CREATE TABLE coded (id int PRIMARY KEY, n text)")
        (databases.folder / "gem.txt").write_text("0010  A000    00000\n")
        tables = replace(databases, legacy=legacy).migrate(LOADS).summary.tables
    outcome = {name: (load.accepted, load.rejected, load.skipped) for name, load in tables.items()}
    expected = dict.fromkeys(NOTES, (1, 1, 1))
    # A row without a key is rejected; of the others, one wins.
    expected["ordered"] = (1, 2, 0)
    # What a map leaves NULL by its policy is known to be NULL.
    expected |= {"unmapped": (1, 0, 2)}
    expected |= {"wards": (1, 0, 0), "coded": (0, 0, 3)} | dict.fromkeys(NUMBERS, (2, 0, 1))
    assert outcome == expected
    # Nothing else is reported of the row that has the value: not that it is missing.
    assert databases.errors("load, rule_id, error_code") == sorted(
        [(name, "v.type", "DATA-003") for name in NOTES] + [("ordered", "w.required", "DATA-001")]
    )
    assert databases.warnings("load, source_key, rule_id") == [
        ("derived_of_nulled", "3", "n.type"),
        ("nulled", "3", "n.type"),
    ]
