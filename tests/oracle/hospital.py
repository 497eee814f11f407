"""Hypothesis strategies for whole migrations: tables that refer to each other, and their loads.

The legacy hospital has sites, people (with a mother and a father among the people), visits
(a key of two columns), notes and diagnoses. Each generated migration takes some of them and
decides anew how keys are made, what becomes of orphans and duplicates, and what the target
holds before and refuses.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.oracle.migration import Migration, Row, SourceTable, TargetTable
from tests.oracle.rows import LookupRow
from tests.oracle.sql_meanings import BOOL, TEXT, Expression, Template
from tests.oracle.strategies import POLICIES, STARTED_AT
from tests.oracle.values import Type

INT, SMALL = Type("int4"), Type("int2")
PIDS = ["P1", "P2", "P3", "P4", "P5", "Ü6"]
CODES = [
    "25000",
    "250.00",
    "4019",
    "V85.4",
    "7854",
    "0730",
    "115.01",
    "24951",
    "99999",
    "0090",
    "E8020",
    " ",
    None,
]

ALLOWED = ("name", "name <> 'REFUSED'", lambda row: row["name"] != "REFUSED")
"""A CHECK constraint of the target."""


def _expression(sql: str, names: str, function: Any, null_aware: bool = False) -> Expression:
    template = Template(sql, (), BOOL, function, null_aware)
    return Expression(template, tuple(names.split()))


GONE = _expression("{0}", "gone", lambda gone: gone)
OLD_GRADE = _expression("{0} > 90", "out.grade", lambda grade: grade > 90)
NAMED_BAD = _expression("{0} <> 'bad'", "name", lambda name: name != "bad")
GRADED = _expression("{0} < 50", "grade", lambda grade: grade < 50)
SEEN_WITH_NAME = _expression("{0} <> {1}", "note person_name", lambda note, name: note != name)
HAS_SITE = _expression("{0} is not null", "site_id", lambda site: site is not None, True)
LABEL = Expression(
    Template("{0} || '/' || {1}", (), TEXT, lambda one, other: f"{one}/{other}"),
    ("out.name", "out.grade"),
)
EXPRESSIONS = [GONE, OLD_GRADE, NAMED_BAD, GRADED, SEEN_WITH_NAME, HAS_SITE, LABEL]


class Hospital:
    """One migration while it is drawn."""

    def __init__(self, draw: st.DrawFn, prefix: str) -> None:
        self.draw = draw
        self.prefix = prefix
        self.sources: dict[str, SourceTable] = {}
        self.targets: dict[str, TargetTable] = {}
        self.loads: dict[str, dict[str, Any]] = {}
        self.maps: dict[str, Any] = {}
        self.lookups: dict[str, list[LookupRow]] = {}
        self.keys: dict[str, Type] = {}
        """The key's type by table to which others refer."""

    def named(self, name: str) -> str:
        return f"{self.prefix}_{name}"

    def chance(self, one_in: int) -> bool:
        return bool(self.draw(st.integers(1, one_in)) == 1)

    def one_of(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(list(values)))

    def rows(self, most: int, **columns: st.SearchStrategy[Any]) -> list[Row]:
        """Mostly as many as there may be: left to itself, hypothesis draws empty tables."""
        size = self.one_of(0, most // 2, most, most, most)
        row = st.fixed_dictionaries(columns)
        rows: list[Row] = self.draw(st.lists(row, min_size=size, max_size=size))
        return rows

    def reference(self, column: Any, ref: str, **more: Any) -> dict[str, Any]:
        """A reference with drawn treatments of parents that aren't there."""
        one: dict[str, Any] = {"from": column, "ref": ref, **more}
        if "deferred" in more:
            missing = self.one_of(None, None, "set_null", "allow")
        else:
            missing = self.one_of(None, None, "set_null", "allow", "placeholder")
        if missing is not None:
            one["on_missing"] = missing
        skipped = self.one_of(None, None, "skip", "reject")
        if skipped is not None:
            one["on_skipped"] = skipped
        return one

    def key_kind(self) -> tuple[Type, dict[str, Any] | None]:
        """The type of a table's key, and how it is made where it isn't copied."""
        kind = self.one_of("copied", "copied", "sequence", "uuid5")
        if kind == "copied":
            return TEXT, None
        return (Type("int8") if kind == "sequence" else Type("uuid")), {"generate": kind}

    def level_of(self, name: str) -> int:
        """Two loads into one table run one after the other, unless a sequence makes their keys."""
        rank = {
            "sites": 0,
            "older": 1,
            "newer": 2,
            "people": 2,
            "badges": 3,
            "visits": 3,
            "diagnoses": 3,
        }
        if name in ("newer", "people") and self.keys["people"].name == "int8":
            return rank["older"]
        return rank.get(name, 4)

    # -- the tables ----------------------------------------------------------------------

    def add_sites(self) -> None:
        rows = self.rows(
            4,
            code=st.sampled_from(["S1", "S2", "S3"]),
            name=st.sampled_from(["north", "south", None, "REFUSED"]),
            gone=st.sampled_from([False, False, True]),
        )
        rows = list({row["code"]: row for row in rows}.values())
        columns = {"code": TEXT, "name": TEXT, "gone": BOOL}
        self.sources[self.named("legacy_sites")] = SourceTable(columns, rows, ("code",))
        key, made = self.key_kind()
        self.keys["sites"] = key
        self.targets[self.named("sites")] = TargetTable(
            {"site_id": key, "name": TEXT},
            ("site_id",),
            frozenset({"site_id", "name"}),
            checks={"sites_allowed": ALLOWED},
        )
        if made is None and self.chance(4):
            self.targets[self.named("sites")].before = [{"site_id": "S3", "name": "before"}]
        self.loads[self.named("sites")] = {
            "from": self.named("legacy_sites"),
            "key": ["site_id"],
            "skip": {"CLOSED": GONE.sql},
            "fields": {"site_id": made or {"from": "code"}, "name": {"from": "name"}},
        }

    def person_rows(self, most: int, first: int) -> list[Row]:
        pids = st.sampled_from([*PIDS, *PIDS, None, " "])
        rows = self.rows(
            most,
            pid=pids,
            mother=st.sampled_from([None, None, *PIDS, "P9"]),
            father=st.sampled_from([None, None, None, *PIDS, ""]),
            mother_no=st.sampled_from([None, None, *range(first, first + most), 99]),
            father_no=st.sampled_from([None, None, None, *range(first, first + most)]),
            site=st.sampled_from([None, "S1", "S2", "S3", "S9"]),
            name=st.sampled_from(["ann", "bob", "cid", "bad", None, "REFUSED", "é\u0301"]),
            grade=st.sampled_from(["1", "7", " 12 ", "60", "95", "x", "5.0", None]),
            badge=st.sampled_from([None, "B1", "B2", "B3", "B4"]),
            updated=st.sampled_from([None, 1, 2, 2, 3]),
            gone=st.sampled_from([False, False, False, None, True]),
        )
        return [{"id": number, **row} for number, row in enumerate(rows, first)]

    def add_people(self, with_sites: bool, most: int) -> None:
        columns = {
            "id": INT, "pid": TEXT, "mother": TEXT, "father": TEXT, "mother_no": INT,
            "father_no": INT, "site": TEXT, "name": TEXT, "grade": TEXT, "badge": TEXT,
            "updated": INT, "gone": BOOL,
        }  # fmt: skip
        self.sources[self.named("legacy_people")] = SourceTable(columns, self.person_rows(most, 1))
        self.sources[self.named("older_people")] = SourceTable(columns, self.person_rows(most, 101))
        key, made = self.key_kind()
        self.keys["people"] = key
        target = TargetTable(
            {
                "person_id": key, "mother_id": key, "father_id": key, "name": TEXT,
                "grade": SMALL, "badge": TEXT, "label": TEXT, "source": TEXT,
            },
            ("person_id",),
            frozenset({"person_id", "name"}),
            checks={"people_allowed": ALLOWED},
        )  # fmt: skip
        self.targets[self.named("people")] = target
        number = "" if made is None else "_no"
        mother = self.reference(f"mother{number}", self.named("people"), deferred=True)
        fields: dict[str, Any] = {
            "person_id": made or {"from": "pid", "transform": "trim"},
            "mother_id": mother,
            "father_id": {**mother, "from": f"father{number}"},
            "name": {"from": "name"},
            "grade": {"from": "grade", "type": "smallint"},
            "badge": {"from": "badge"},
            "label": {"sql": LABEL.sql},
        }
        if self.chance(2):
            fields["father_id"] = self.reference(
                f"father{number}", self.named("people"), deferred=True
            )
        if with_sites:
            target.columns["site_id"] = self.keys["sites"]
            fields["site_id"] = self.reference("site", self.named("sites"))
        if made is None:
            empty = dict.fromkeys(target.columns)
            target.before = [
                {**empty, "person_id": pid, "name": "before", "badge": badge}
                for pid, badge in self.one_of(
                    [], [("P3", "B3")], [("P0", None), ("Ü6", "B4")], [("P1", "B1")]
                )
            ]
        load: dict[str, Any] = {
            "from": self.named("legacy_people"),
            "key": ["person_id"],
            "fields": fields,
            "rules": {"NAME_IS_GOOD": {"check": NAMED_BAD.sql, "error": "TRANS-003"}},
        }
        if self.chance(2):
            load["skip"] = {"GONE": GONE.sql}
        if self.chance(4):
            load.setdefault("skip", {})["GRADED_OUT"] = OLD_GRADE.sql
        if self.chance(2):
            load["rules"]["GRADE_IS_LOW"] = {
                "check": GRADED.sql, "error": "DATA-005", "on_fail": "warn"
            }  # fmt: skip
        if with_sites and self.chance(2):
            load["rules"]["HAS_SITE"] = HAS_SITE.sql
        if made is None:
            self.settle_duplicates(load)
            load["write"] = self.one_of("insert", "insert", "insert", "skip_existing", "upsert")
            if load["write"] == "upsert":
                # What an update has overwritten can't be brought back in the second pass.
                for one in (fields["mother_id"], fields["father_id"]):
                    one["on_missing"] = self.one_of("set_null", "allow")
                    one.pop("on_skipped", None)
        shape = self.one_of("one", "one", "united", "two", "split")
        if self.chance(3):
            # Unique among themselves: which of two clashing rows comes first isn't promised.
            for table in ("legacy_people", "older_people"):
                for row in self.sources[self.named(table)].rows:
                    row["badge"] = None if row["badge"] is None else f"B{row['id']}"
            target.unique = {f"{self.named('badge')}_once": ("badge",)}
        if shape == "united":
            load["from"] = [self.named("legacy_people"), self.named("older_people")]
        if shape == "two":
            table = self.named("people")
            for name, relation in (("older", "older_people"), ("newer", "legacy_people")):
                own = {
                    f: {**one, "ref": self.named(name)} if one.get("deferred") else one
                    for f, one in load["fields"].items()
                }
                self.loads[self.named(name)] = {
                    **load,
                    "from": self.named(relation),
                    "into": table,
                    "fields": {**own, "source": {"const": name}},
                }
        else:
            self.loads[self.named("people")] = load
        if shape == "split":
            self.add_badges()

    def settle_duplicates(self, load: dict[str, Any]) -> None:
        if self.chance(3):
            return
        load["duplicates"] = {
            "keep": self.one_of("first", "last"),
            "losers": self.one_of("reject", "reject", "skip"),
        }
        order = self.one_of(None, ["updated"], ["updated", "name"])
        if order is not None:
            load["duplicates"]["order"] = order

    def add_badges(self) -> None:
        """A second table from the same rows."""
        key = self.keys["people"]
        self.targets[self.named("badges")] = TargetTable(
            {"id": INT, "person_id": key, "badge": TEXT}, ("id",), frozenset({"id"})
        )
        column = "pid" if key == TEXT else "id"
        self.loads[self.named("badges")] = {
            "from": self.named("legacy_people"),
            "key": ["id"],
            "copy": ["id", "badge"],
            "fields": {"person_id": self.reference(column, self.named("people"))},
        }

    def add_visits(self, most: int) -> None:
        rows = self.rows(
            most,
            site=st.sampled_from(["S1", "S2", 'A"']),
            no=st.integers(1, 3),
            person=st.sampled_from([None, *PIDS, "P9", " "]),
            person_no=st.sampled_from([None, *range(1, 8), 101, 99]),
            note=st.sampled_from([None, "ann", "fine", "x" * 300]),
            gone=st.sampled_from([False, False, True]),
        )
        rows = list({(row["site"], row["no"]): row for row in rows}.values())
        columns = {
            "site": TEXT, "no": INT, "person": TEXT, "person_no": INT, "note": TEXT, "gone": BOOL
        }  # fmt: skip
        self.sources[self.named("legacy_visits")] = SourceTable(columns, rows, ("site", "no"))
        key, made = self.key_kind()
        if made is None:
            key = TEXT
        self.keys["visits"] = key
        people = self.keys["people"]
        self.targets[self.named("visits")] = TargetTable(
            {"visit_id": key, "person_id": people, "note": Type("varchar", 20)},
            ("visit_id",),
            frozenset({"visit_id"}),
        )
        parents = [self.named("people")] * 2
        if self.named("older") in self.loads:
            parents.append(self.named("older"))
        column = "person" if people == TEXT else "person_no"
        person = self.reference(column, self.one_of(*parents))
        if self.chance(2):
            person |= self.survivors(column)
        if self.chance(2):
            person["take"] = {"person_name": "name"}
        if self.chance(5) and person.get("on_missing") != "set_null":
            person["required"] = True
        self.loads[self.named("visits")] = {
            "from": self.named("legacy_visits"),
            "key": ["visit_id"],
            "skip": {"CANCELLED": GONE.sql},
            "fields": {
                "visit_id": made or {"system": "source_key"},
                "person_id": person,
                "note": {"from": "note"},
            },
        }
        if "take" in person:
            rule = {"check": SEEN_WITH_NAME.sql, "error": "TRANS-003"}
            self.loads[self.named("visits")]["rules"] = {"NOTE_IS_NO_NAME": rule}

    def survivors(self, column: str) -> dict[str, Any]:
        """A map from people to those whom they were merged into, of a file or of the source."""
        texts = PIDS if column == "person" else [str(number) for number in range(1, 8)]
        merged = self.draw(st.lists(st.sampled_from(texts), min_size=1, unique=True))
        by_site = self.chance(3)
        name = self.named("survivors")
        entry: dict[str, Any] = {"on_unmapped": self.one_of("set_null", "reject", {"default": "1"})}
        if by_site:
            rows: list[LookupRow] = [("S1", one, self.one_of(*texts)) for one in merged]
        else:
            entry = {"on_unmapped": self.one_of("keep", "keep", "reject"), "chain": True}
            # Into somebody further down, so that nobody is merged in a circle.
            rows = [(one, self.one_of(*merged[n:], "99")) for n, one in enumerate(merged)]
        if self.chance(2):
            entry["query"] = f"select * from {name}"
        else:
            keys = ["site", "old"] if by_site else "old"
            entry |= {"csv": f"{name}.csv", "from": keys, "to": "new"}
        self.maps[name], self.lookups[name] = entry, rows
        return {"from": ["site", column] if by_site else column, "map": name}

    def add_notes(self) -> None:
        """They refer to a visit by both columns of its key."""
        rows = self.rows(
            5,
            site=st.sampled_from(["S1", "S2", 'A"', None, " "]),
            no=st.sampled_from([1, 2, 3, 9, None]),
        )
        rows = [{"id": number, **row} for number, row in enumerate(rows, 1)]
        self.sources[self.named("legacy_notes")] = SourceTable(
            {"id": INT, "site": TEXT, "no": INT}, rows
        )
        self.targets[self.named("notes")] = TargetTable(
            {"id": INT, "visit_id": self.keys["visits"]}, ("id",), frozenset({"id"})
        )
        visit = self.reference(["site", "no"], self.named("visits"))
        if visit.get("on_missing") == "placeholder" and self.keys["visits"] == TEXT:
            del visit["on_missing"]
        self.loads[self.named("notes")] = {
            "from": self.named("legacy_notes"),
            "key": ["id"],
            "copy": ["id"],
            "fields": {"visit_id": visit},
        }

    def add_diagnoses(self) -> None:
        """A cluster makes several rows of one."""
        rows = self.rows(
            6,
            person=st.sampled_from(PIDS),
            person_no=st.integers(1, 6),
            code=st.sampled_from(CODES),
        )
        rows = [{"id": number, **row} for number, row in enumerate(rows, 1)]
        columns = {"id": INT, "person": TEXT, "person_no": INT, "code": TEXT}
        self.sources[self.named("legacy_diagnoses")] = SourceTable(columns, rows)
        people = self.keys["people"]
        made = self.one_of(None, {"generate": "sequence"})
        self.targets[self.named("diagnoses")] = TargetTable(
            {"id": INT, "seq": INT, "person_id": people, "code": TEXT, "map": TEXT},
            ("id", "seq"),
            frozenset({"id", "seq"}),
        )
        self.maps[self.named("icd")] = {"policy": self.draw(POLICIES)}
        self.loads[self.named("diagnoses")] = {
            "from": self.named("legacy_diagnoses"),
            "key": ["id", "seq"],
            "fields": {
                "id": made or {"from": "id"},
                "person_id": self.reference(
                    "person" if people == TEXT else "person_no", self.named("people")
                ),
                "code": {
                    "from": "code",
                    "map": self.named("icd"),
                    "into": {"seq": "cluster_seq", "map": "map"},
                },
            },
        }


@st.composite
def migrations(draw: st.DrawFn, hospitals: int = 1, most: int = 8) -> Migration:
    """A migration of some hospitals with up to ``most`` people each, side by side in one run."""
    drawn = []
    for number in range(1, hospitals + 1):
        hospital = Hospital(draw, f"h{number}")
        with_sites = hospital.chance(2)
        if with_sites:
            hospital.add_sites()
        hospital.add_people(with_sites, most)
        if hospital.chance(2):
            hospital.add_visits(most)
            if hospital.chance(2):
                hospital.add_notes()
        if hospital.chance(2):
            hospital.add_diagnoses()
        drawn.append(hospital)
    loads = {name: load for hospital in drawn for name, load in hospital.loads.items()}
    levels: list[list[str]] = [[] for _ in range(5)]
    for hospital in drawn:
        for name in hospital.loads:
            bare = name.removeprefix(f"{hospital.prefix}_")
            levels[hospital.level_of(bare)].append(name)
    return Migration(
        spec={
            "maps": {name: map_ for h in drawn for name, map_ in h.maps.items()},
            "tables": loads,
        },
        lookups={name: rows for h in drawn for name, rows in h.lookups.items()},
        sources={name: table for h in drawn for name, table in h.sources.items()},
        targets={name: table for h in drawn for name, table in h.targets.items()},
        expressions={e.sql: e for e in EXPRESSIONS},
        constants={"started_at": STARTED_AT, "job": "moved"},
        levels=levels,
    )
