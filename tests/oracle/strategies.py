"""Hypothesis strategies: loads of every step, and tables as dirty as legacy data is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.oracle.calendar import (
    DATE_INFINITY,
    DAY,
    EARLIEST,
    TIMESTAMP_INFINITY,
    date_text,
    days_of,
    timestamp_text,
)
from tests.oracle.rows import LoadRules, LookupRow
from tests.oracle.sql_meanings import CHECKS, TRANSFORMATIONS, VALUES, Expression, Template
from tests.oracle.translated_codes import billable, packaged_map
from tests.oracle.values import LATEST, LATEST_MICROSECOND, Type, Value

SOURCE = {
    "id": Type("int8"),
    "word": Type("text"),
    "label": Type("varchar", 40),
    "numeral": Type("text"),
    "figure": Type("text"),
    "moment": Type("text"),
    "flag": Type("text"),
    "code": Type("text"),
    "version": Type("text"),
    "small": Type("int2"),
    "medium": Type("int4"),
    "large": Type("int8"),
    "half": Type("float4"),
    "real": Type("float8"),
    "amount": Type("numeric"),
    "price": Type("numeric", 10, 2),
    "yes": Type("bool"),
    "day": Type("date"),
    "stamp": Type("timestamp"),
    "instant": Type("timestamptz"),
}
"""The columns of the legacy table; each has its own kind of dirt."""

KINDS = {
    "word": "text",
    "label": "text",
    "numeral": "numeral",
    "figure": "text",
    "moment": "text",
    "flag": "text",
    "code": "text",
    "large": "integer",
    "yes": "boolean",
    "day": "date",
}
"""What expressions take a source column for."""

READY_RULES: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({"field": "text"}, {"use": "npi"}),
    ({"field": "integer"}, {"use": "ssn", "error": "TRANS-003"}),
    ({"field": "numeral"}, {"use": "check_digit", "method": "mod11", "on_fail": "warn"}),
    ({"field": "integer"}, {"use": "check_digit"}),
    ({"field": "text"}, {"use": "no_control_characters", "on_fail": "reject"}),
    ({"field": "text"}, {"use": "text_length", "most": "3"}),
    ({"field": "text"}, {"use": "one_of", "values": ["A", "B", "M"]}),
    ({"field": "integer"}, {"use": "one_of", "values": ["0", "1"]}),
    ({"code": "text"}, {"use": "icd10_format", "notation": "dotted"}),
    ({"code": "text"}, {"use": "icd9_format"}),
    ({"patient": "text", "visit_patient": "integer"}, {"use": "same_patient"}),
    ({"birth": "date", "death": "date"}, {"use": "birth_before_death"}),
    ({"birth": "date"}, {"use": "age_at_most", "death": None}),
    ({"date": "date", "birth": "date"}, {"use": "not_before_birth"}),
    ({"date": "date", "admitted": "date", "discharged": "date"}, {"use": "within_visit"}),
    ({"date": "date"}, {"use": "not_in_future"}),
    ({"date": "date"}, {"use": "no_sentinel_date", "values": ["1970-01-01", "1900-01-01"]}),
    ({"discharged": "date", "system": "text"}, {"use": "icd_version_for_date"}),
]
"""Ready rules with constants, and for what each takes a column."""

STARTED_AT = 1_767_225_600_000_000
"""2026-01-01, in microseconds."""

FORMATS = [
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%Y%m%d",
    "%d.%m.%y",
    "%d-%b-%Y",
    "%Y-%m-%d",
    "%m/%d/%Y %H:%M",
    "%Y-%m-%d %H:%M:%S",
]

# -- dirty values ---------------------------------------------------------------------------

WORDS = st.one_of(
    st.sampled_from(["", " ", "   ", "\t", " \n", "A", "B", "M", "x", "BOOM", "none", "A-1"]),
    st.sampled_from(
        ["Müller", " ann ", "O'Brien", 'say "no"', "a\tb", "\u00a0M\u00a0", "{}", "%s"]
    ),
    st.sampled_from(
        ["e\u0301clair", "\U0001f469\u200d\U0001f680", "Ω\u0308", "中文", "Ж", "\u200b"]
    ),
    st.text(st.sampled_from("abAB 09.-é\u0301\U00010400Ж"), max_size=12),
    st.sampled_from(["a" * 5_000, "é" * 41, "\U0001f600" * 40, " " * 300 + "x"]),
)
NUMERALS = st.one_of(
    st.integers(-20, 20).map(str),
    st.integers(-(10**18) + 1, 10**18 - 1).map(str),
    st.sampled_from(["", " 7 ", "abc", "N/A", "BOOM", "\u00a07\ufeff", "\u00a0", "7\u00a07"]),
)
FIGURES = st.one_of(
    st.integers(-100_000, 100_000).map(str),
    st.decimals(-1000, 1000, places=3).map(lambda d: f"{d:f}"),
    st.sampled_from(["", " 12 ", "\t3\n", "+7", "-0", "007", "5.", ".5", "5.7", "5.0", "-.50"]),
    st.sampled_from(["0x10", "1_000", "1e3", "1E-2", "1,5", "NaN", "nan", "inf", "Infinity", "٣"]),
    st.sampled_from(
        ["-infinity", "1 2", "--1", "+", ".", "1.2.3", "12abc", "½", "1e400", "1e-400"]
    ),
    st.sampled_from(["32767", "32768", "-32768", "-32769", "2147483647", "2147483648"]),
    st.sampled_from(["9223372036854775807", "9223372036854775808", "-9223372036854775808"]),
    st.sampled_from(["9" * 38, "9" * 40, "0." + "1" * 40, "1" + "0" * 60, "0" * 30 + "5"]),
    st.sampled_from(["99999999.99", "100000000", "0.005", "0.0050", "16777216", "16777217"]),
    st.sampled_from(["9007199254740993", "0.1", "0.30000000000000004", "3.4028235e38", "1e39"]),
)
_DAYS = st.one_of(
    st.integers(-40_000, 40_000),
    st.sampled_from([0, -1, -25567, 10957, 2932896, 11016, 11015]),
    st.builds(
        lambda y, m, d: days_of(y, m, d) or 0,
        st.integers(1900, 2030),
        st.integers(1, 12),
        st.integers(1, 12),
    ),
)


_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


def _day_text(days: int, how: int) -> str:
    year, month, day = map(int, date_text(days).split("-"))
    return [
        f"{year:04}-{month:02}-{day:02}",
        f"{month:02}/{day:02}/{year:04}",
        f"{month}/{day}/{year}",
        f"{year:04}{month:02}{day:02}",
        f"{day:02}.{month:02}.{year % 100:02}",
        f"{day:02}-{_MONTHS[3 * month - 3 : 3 * month]}-{year}",
        f"{month:02}/{day:02}/{year} 13:45",
        f" {year:04}-{month:02}-{day:02} ",
        f"{year:04}-{month:02}-{day:02} 00:00:00",
    ][how]


MOMENTS = st.one_of(
    st.builds(_day_text, _DAYS, st.integers(0, 8)),
    st.builds(lambda m: timestamp_text(m), st.integers(-(10**15), 10**15)),
    st.builds(lambda m: timestamp_text(m, "+00"), st.integers(-(10**15), 10**15)),
    st.sampled_from(
        ["2020-02-30", "2021-02-29", "2020-13-01", "0000-00-00", "0000-01-01", "1/2/3"]
    ),
    st.sampled_from(["12/31/99", "2020-1-5", "20200230", "99991231", "9999-12-31", "0001-01-01"]),
    st.sampled_from(["2020-01-01T10:00", "2020-01-01T10:00:00Z", "2020-01-01 10:00:00.1234567"]),
    st.sampled_from(["2020-01-01 24:00:00", "2020-01-01 10:00 +0530", "2020-01-01 10:00-03:30"]),
    st.sampled_from(["infinity", "10000-01-01", "0044-03-15 BC", "today", "", "  ", "NULL"]),
    st.sampled_from(["02/03/2020", "03/02/2020", "03/03/2020", "13/12/2020", "12/13/2020"]),
)
FLAGS = st.sampled_from(
    ["t", "f", "true", "FALSE", "Y", "n", " yes ", "no", "on", "off", "1", "0", "2", "", "tr", "J"]
)
CODES = st.deferred(
    lambda: st.one_of(
        st.sampled_from(_codes_by_kind()),
        st.sampled_from(_codes_by_kind()).map(_dotted),
        st.sampled_from(_codes_by_kind()).map(lambda c: f" {_dotted(c).lower()} "),
        st.builds(_damaged, st.sampled_from(_codes_by_kind()), st.integers(0, 5)),
        st.sampled_from(["", " ", "25000", "250.00", "E8020", "V85.4", "99999", "0414", "25.000"]),
        st.sampled_from(
            ["253.2, E23.0", "401.9 250.00", "4019;", "E88.01", "98.31", "9831", "8.5"]
        ),
    )
)


def _damaged(code: str, how: int) -> str:
    """A code as spreadsheets and hands leave it."""
    dotted = _dotted(code)
    return [
        code.lstrip("0"),
        code.rstrip("0"),
        dotted.lstrip("0").rstrip("0"),
        f"{code[:2]}.{code[2:]}",
        f"{code[:4]}.{code[4:]}".lower(),
        f"{code}.",
    ][how]


def _codes_by_kind() -> list[str]:
    """Every hundredth code of the map, and some that give several rows, none, or one that isn't
    valid any more."""
    rows = packaged_map()[0]
    nothing = [code for code, found in rows.items() if found[0].no_map == "1"]
    outdated = [
        code
        for code, found in rows.items()
        if len(found) == 1 and found[0].no_map != "1" and found[0].target not in billable()
    ]
    odd = [code for code, found in rows.items() if len(found) > 3 or found[0].combination == "1"]
    return [*list(rows)[::100], *odd[::10], *nothing[:9], *outdated[::20]]


def _dotted(code: str) -> str:
    place = 4 if code.startswith("E") else 3
    return f"{code[:place]}.{code[place:]}" if len(code) > place else code


AMOUNTS = st.one_of(
    st.decimals(-(10**6), 10**6, places=2),
    st.integers(-(10**18), 10**18).map(Decimal),
    st.sampled_from(["0", "0.00", "1.50", "-0.5", "5.0", "9" * 38, "9" * 45, "0." + "3" * 20]).map(
        Decimal
    ),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "32768", "9223372036854775808"]).map(Decimal),
    st.sampled_from(["1" + "0" * 50, "0." + "0" * 30 + "7", "12345678901234567", "0.1"]).map(
        Decimal
    ),
)
PRICES = st.decimals(Decimal("-99999999.99"), Decimal("99999999.99"), places=2)
REALS = st.one_of(
    st.integers(-1000, 1000).map(float),
    st.floats(width=32),
    st.floats(),
    st.sampled_from(
        [0.0, -0.0, 0.1, 5.7, 1e15, 1e-5, 123456789.0, 1e300, 5e-324, 2.0**53, 2.0**63]
    ),
)
HALVES = st.one_of(
    st.integers(-1000, 1000).map(float),
    st.floats(width=32),
    st.sampled_from([0.5, 1e6, 1234567.0, 16777216.0]),
)
DAYS = st.one_of(
    _DAYS,
    st.sampled_from(
        [DATE_INFINITY, -DATE_INFINITY, EARLIEST, LATEST - 40, -719163, -800_000, 10**8]
    ),
)
STAMPS = st.one_of(
    _DAYS.map(lambda days: days * DAY),
    st.integers(-(10**16), 10**16),
    st.sampled_from([TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY, EARLIEST * DAY, LATEST_MICROSECOND]),
    st.sampled_from([0, 1, -1, 999_999, 10**17, -(10**17)]),
)


def _integers(bits: int) -> st.SearchStrategy[int]:
    limit = 2 ** (bits - 1)
    edges = [0, 1, -1, 2, limit - 1, -limit, limit - 2]
    return st.one_of(st.integers(-9, 9), st.sampled_from(edges), st.integers(-limit, limit - 1))


VERSIONS = st.sampled_from(
    ["9", "10", "ICD9CM", "ICD-10-CM", "icd-9", " 10 ", "09", "", " ", "SNOMED", "11"]
)
DIRT: dict[str, st.SearchStrategy[Any]] = {
    "word": WORDS,
    "label": WORDS.map(lambda text: text[:40]),
    "numeral": NUMERALS,
    "figure": FIGURES,
    "moment": MOMENTS,
    "flag": FLAGS,
    "code": CODES,
    "version": VERSIONS,
    "small": _integers(16),
    "medium": _integers(32),
    "large": _integers(64),
    "half": HALVES,
    "real": REALS,
    "amount": AMOUNTS,
    "price": PRICES,
    "yes": st.booleans(),
    "day": DAYS,
    "stamp": STAMPS,
    "instant": STAMPS,
}


CLEAN: dict[str, st.SearchStrategy[Any]] = {
    "word": st.sampled_from(["A", "B", "M", "ann", "Müller"]),
    "label": st.sampled_from(["A", "none", "x", "12"]),
    "numeral": st.integers(-99, 99).map(str),
    "figure": st.sampled_from(["1", "2", "70", "0.5", "12.25"]),
    "moment": st.builds(_day_text, _DAYS, st.sampled_from([0, 0, 1, 3, 8])),
    "flag": st.sampled_from(["t", "f", "1", "0"]),
    "code": st.sampled_from(
        ["25000", "250.00", "4019", "401.9", "V85.4", "7854", "0730", "115.01", "276.2", "8.5"]
    ),
    "version": st.sampled_from(["9", "10"]),
    "small": st.integers(-5, 5),
    "medium": st.integers(-5, 5),
    "large": st.integers(-5, 5),
    "half": st.integers(-5, 5).map(float),
    "real": st.sampled_from([0.5, 1.0, -2.0, 3.0]),
    "amount": st.sampled_from(["1", "2.5", "-3.00"]).map(Decimal),
    "price": st.sampled_from(["1.00", "2.50"]).map(Decimal),
    "yes": st.booleans(),
    "day": st.integers(0, 20_000),
    "stamp": st.integers(0, 20_000).map(lambda days: days * DAY),
    "instant": st.integers(0, 10**15),
}


@st.composite
def dirty_rows(draw: st.DrawFn, columns: Sequence[str], most: int = 12) -> list[dict[str, Value]]:
    """Rows of the legacy table in which only ``columns`` (and the key) are filled."""
    used = [c for c in DIRT if c in columns]
    dirt = {c: st.one_of(DIRT[c], DIRT[c], DIRT[c], st.none()) for c in used}
    if draw(st.booleans()):
        dirt = {c: st.one_of(*[CLEAN[c]] * 9, dirty) for c, dirty in dirt.items()}
    row = st.fixed_dictionaries(dirt)
    rows = draw(st.lists(row, max_size=most))
    empty = dict.fromkeys(SOURCE)
    return [{**empty, "id": number, **row} for number, row in enumerate(rows, 1)]


# -- loads ----------------------------------------------------------------------------------

_INTEGERS = [Type("int2"), Type("int4"), Type("int8")]
_NUMERICS = [Type("numeric"), Type("numeric", 10, 2), Type("numeric", 5), Type("numeric", 38, 20)]
_FLOATS = [Type("float4"), Type("float8")]
_TEXTS = [Type("text"), Type("varchar", 3), Type("varchar", 40)]
_TIMES = [Type("date"), Type("timestamp"), Type("timestamp", 0)]

TARGETS: dict[str, list[Type]] = {
    "text": [*_TEXTS, *_INTEGERS, *_NUMERICS, *_FLOATS, *_TIMES, Type("bool"), Type("timestamptz")],
    "int2": [*_TEXTS, *_INTEGERS, *_NUMERICS, *_FLOATS, Type("bool")],
    "int4": [*_TEXTS, *_INTEGERS, *_NUMERICS, *_FLOATS, Type("bool")],
    "int8": [*_TEXTS, *_INTEGERS, *_NUMERICS, *_FLOATS, Type("bool")],
    "float4": [*_TEXTS, *_INTEGERS, *_NUMERICS, *_FLOATS],
    "float8": [*_TEXTS, *_INTEGERS, *_NUMERICS, *_FLOATS],
    "numeric": [*_TEXTS, *_INTEGERS, *_NUMERICS, *_FLOATS],
    "bool": [*_TEXTS, *_INTEGERS, Type("bool")],
    "date": [*_TEXTS, *_TIMES],
    "timestamp": [*_TEXTS, *_TIMES],
    "timestamptz": [*_TEXTS, Type("timestamptz"), Type("timestamptz", 3)],
}
"""The types that a value of a type can strictly become."""

LIKELY = {
    "numeral": _INTEGERS,
    "figure": [*_INTEGERS, *_NUMERICS, *_FLOATS],
    "moment": [*_TIMES, Type("timestamptz")],
    "flag": [Type("bool")],
}
"""What text of a column is mostly meant to be."""

FAMILY: dict[str, list[Type]] = {
    "int2": [Type("int4"), Type("numeric"), Type("text")],
    "int4": [Type("int8"), Type("int2"), Type("text")],
    "int8": [Type("int4"), Type("numeric", 10, 2), Type("text")],
    "numeric": [Type("float8"), Type("numeric", 10, 2), Type("text")],
    "date": [Type("timestamp"), Type("text")],
    "timestamp": [Type("timestamp", 0), Type("text")],
    "bool": [Type("text")],
    "float8": [Type("text")],
}
"""For a declared type, columns of other types that may hold it."""

DEFAULTS = {
    "text": "dflt", "varchar": "df", "int2": "7", "int4": "-7", "int8": "70000000000", "bool": "no",
    "numeric": "15", "float4": "0.5", "float8": "-2.25", "date": "1900-01-01",
    "timestamp": "1900-01-01", "timestamptz": "1900-01-01 00:00:00+00",
}  # fmt: skip

MAPS: dict[str, dict[str, Any]] = {
    "sex": {"values": {"A": "1", "B": "2", "M": "1", "none": None, "x": "2", "-7": "1", "": "9"}},
    "lenient": {
        "values": {"A": "1", "t": "2", "true": "3"},
        "on_unmapped": "keep",
    },
    "lossy": {"values": {"A": "1", "B": "2"}, "on_unmapped": "set_null"},
    "filled": {"values": {"A": "1", "5.7": "2"}, "on_unmapped": {"default": "0"}},
    "braces": {"values": {"A": "{source}", "B": "{}", "x": "'"}, "on_unmapped": {"default": '"'}},
    "nothing": {"values": {}, "on_unmapped": "set_null"},
}
_KEY_TEXTS = ["A", "B", "M", "ANN", "x", "none", "t", "1", "0", "-7", "5", "2", "", " ", "é", '"']
_MEANINGS = ["1", "2", "-3", "M", "NA", "007", "", "A", "5.7", "a,b", "Müller", "\n"]


@st.composite
def lookups(draw: st.DrawFn) -> tuple[dict[str, Any], list[LookupRow]]:
    """A map of a CSV file or a query, and its rows: some with a NULL, some there twice."""
    in_file, parts = draw(st.booleans()), draw(st.sampled_from([1, 1, 2]))
    texts = st.sampled_from(_KEY_TEXTS)
    entry: dict[str, Any] = {"csv": "lookup.csv"} if in_file else {"query": "select a, b from c"}
    if in_file and (parts > 1 or draw(st.booleans())):
        entry |= {"from": ["hospital", "code"][:parts], "to": "loinc"}
    actions: list[Any] = ["reject", "set_null", {"default": "0"}]
    entry["on_unmapped"] = draw(st.sampled_from(actions if parts > 1 else [*actions, "keep"]))
    if parts == 1 and draw(st.integers(1, 3)) == 1:
        entry["chain"] = True
        order = draw(st.lists(texts, min_size=1, unique=True))
        # Each leads further down, beyond the end, or to itself.
        further = [st.sampled_from([*order[n:], "end"]) for n in range(len(order))]
        rows = [(text, draw(after)) for text, after in zip(order, further, strict=True)]
    else:
        keys = draw(st.lists(st.tuples(*[texts] * parts), min_size=1, unique=True))
        meanings = st.sampled_from(_MEANINGS if in_file else [*_MEANINGS, None])
        rows = [(*key, draw(meanings)) for key in keys]
    again = draw(st.lists(st.sampled_from(rows), max_size=2))
    nothing = [] if in_file else [(*[None] * parts, "wrong"), (None, *["A"] * parts)]
    return entry, draw(st.permutations([*rows, *again, *nothing]))


_REJECT_OR_KEEP = st.sampled_from(["reject", "keep_source"])
_OPEN = st.sampled_from(["reject", "keep_source", "expand"])
_ACTIONS = {
    "approximate": st.sampled_from(["accept", "reject", "keep_source"]),
    "cluster": st.sampled_from(["expand", "accept", "reject", "keep_source"]),
    "choice": _OPEN,
    "no_map": _REJECT_OR_KEEP,
    "unknown_code": _REJECT_OR_KEEP,
}
POLICIES = st.fixed_dictionaries({}, optional=_ACTIONS)
FINER_POLICIES = st.fixed_dictionaries(
    {},
    optional={**_ACTIONS, **dict.fromkeys(("cluster_choice", "scenarios", "mixed"), _OPEN)},
)
"""Also for each kind of ambiguity by itself."""
ATTRIBUTES = {
    "category": Type("text"),
    "map": Type("text"),
    "cluster_seq": Type("int4"),
    "flags": Type("varchar", 5),
    "groups": Type("text"),
    "source_code": Type("text"),
    "map_name": Type("text"),
    "map_version": Type("text"),
    "map_sha256": Type("text"),
}


class Builder:
    """Puts a load together field by field; everything is drawn from ``draw``."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.fields: dict[str, dict[str, Any]] = {}
        self.copied: list[str] = []
        self.target: dict[str, Type] = {}
        self.not_null: set[str] = set()
        self.maps: dict[str, Any] = {}
        self.lookups: dict[str, list[LookupRow]] = {}
        self.expressions: dict[str, Expression] = {}
        self.kinds: dict[str, str] = {}
        self.used: set[str] = set()

    def chance(self, one_in: int) -> bool:
        return bool(self.draw(st.integers(1, one_in)) == 1)

    def one_of(self, values: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(list(values)))

    def add_field(self, name: str) -> None:
        how = self.draw(st.integers(0, 13))
        if how <= 5:
            self.add_from(name)
        elif how <= 8:
            self.add_sql(name)
        elif how == 9:
            self.add_fixed(name)
        elif how == 10:
            self.add_copy()
        elif how <= 12:
            self.add_lookup(name)
        elif not any("map" in f and f["map"] == "icd" for f in self.fields.values()):
            self.add_codes(name)

    def add_copy(self) -> None:
        column = self.one_of([c for c in DIRT if c not in self.target])
        self.used.add(column)
        self.copied.append(column)
        wide = [t for t in TARGETS[_base(SOURCE[column])] if t.name == SOURCE[column].name]
        self.settle(column, self.one_of([*wide, *TARGETS[_base(SOURCE[column])]]))

    def add_from(self, name: str) -> None:
        column = self.one_of(list(DIRT))
        self.used.add(column)
        one: dict[str, Any] = {"from": column}
        given = SOURCE[column]
        if self.chance(3 if _base(given) == "text" else 8):
            known = [step for step in TRANSFORMATIONS if _base(given) == "text" or ":" not in step]
            steps = self.draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
            one["transform"] = steps[0] if len(steps) == 1 else steps
            given = given if set(steps) == {"direct"} else Type("text")
        if column in ("word", "flag", "medium") and self.chance(2):
            self.add_map(name, one)
            return
        targets = TARGETS[_base(given)]
        if column in LIKELY and given.name == "text" and not self.chance(5):
            targets = LIKELY[column]
        target = self.one_of(targets)
        timed = target.name in ("date", "timestamp")
        likely = 1 if column == "moment" and timed else 2
        if given.name == "text" and target.name in FAMILY and self.chance(likely):
            one["type"] = str(target)
            if timed and self.chance(2):
                some = st.lists(st.sampled_from(FORMATS), min_size=1, max_size=3, unique=True)
                one["format"] = self.draw(st.one_of(st.just(["%m/%d/%Y", "%d/%m/%Y"]), some))
                if "%d.%m.%y" in one["format"]:
                    one["century"] = self.one_of(["past", "1930", "2000"])
            if self.chance(2):
                target = self.one_of(FAMILY[target.name])
        self.fields[name] = one
        self.finish(name, one, target)

    def add_map(self, name: str, one: dict[str, Any]) -> None:
        one["map"] = self.one_of(list(MAPS))
        self.maps[one["map"]] = MAPS[one["map"]]
        self.fields[name] = one
        targets = [Type("text"), Type("varchar", 3), Type("int2")]
        self.finish(name, one, self.one_of(targets[:1] if one["map"] == "braces" else targets))

    def add_lookup(self, name: str) -> None:
        map_ = f"{name}_lookup"
        self.maps[map_], rows = self.draw(lookups())
        self.lookups[map_] = rows
        columns = [self.one_of(["word", "flag", "medium", "label"]) for _ in rows[0][1:]]
        self.used.update(columns)
        one: dict[str, Any] = {"from": columns[0] if len(columns) == 1 else columns, "map": map_}
        if self.chance(2):
            textual = "medium" not in columns
            known = [step for step in TRANSFORMATIONS if textual or ":" not in step]
            one["transform"] = self.draw(st.lists(st.sampled_from(known), max_size=2))
        self.fields[name] = one
        if self.chance(3):
            one["into"] = {f"{name}_map": "map_name"}
            self.settle(f"{name}_map", Type("text"), required=2)
        self.finish(name, one, self.one_of([Type("text"), Type("varchar", 3), Type("int2")]))

    def add_codes(self, name: str) -> None:
        self.used.add("code")
        self.maps["icd"] = {
            "policy": self.draw(FINER_POLICIES),
            "notation": self.one_of(["as_source", "dotted", "undotted"]),
        }
        if self.chance(2):
            others = st.dictionaries(st.sampled_from(["case", "dots"]), st.booleans())
            self.maps["icd"]["repair"] = {**self.draw(others), "zeros": not self.chance(4)}
        if not self.chance(3):
            self.maps["icd"]["outdated"] = self.one_of(["warn", "reject", "reject", "accept"])
        into = self.draw(st.lists(st.sampled_from(list(ATTRIBUTES)), max_size=4, unique=True))
        one = {"from": "code", "map": "icd", "into": {f"{name}_{a}": a for a in into}}
        if self.chance(3):
            one["transform"] = "trim"
        if not into:
            del one["into"]
        if self.chance(2):
            self.add_system(one)
        self.fields[name] = one
        for attribute in into:
            self.settle(f"{name}_{attribute}", ATTRIBUTES[attribute], required=8)
        self.finish(name, one, self.one_of([Type("text"), Type("varchar", 7), Type("varchar", 5)]))

    def add_system(self, one: dict[str, Any]) -> None:
        """A column that tells the code's system, a date, or both."""
        fields = [f"out.{f}" for f, k in self.kinds.items() if k == "date" and f in self.fields]
        dates = ["day", "src.stamp", "instant", *fields]
        if self.chance(2):
            one["coded_in"] = self.one_of(["version", "version", "src.version", "medium", "price"])
        if "coded_in" not in one or self.chance(2):
            one["coded_on"] = self.one_of(dates)
        named = [one.get("coded_in", "out."), one.get("coded_on", "out.")]
        self.used |= {name.removeprefix("src.") for name in named if not name.startswith("out.")}

    def add_fixed(self, name: str) -> None:
        if self.chance(2):
            target = self.one_of([Type("text"), Type("int4"), Type("numeric", 5), Type("date")])
            const = {"text": self.one_of(["MEDI-2", "", " ", "no"]), "int4": "010", "numeric": "7"}
            self.fields[name] = {"const": const.get(target.name, "2020-02-29")}
            self.finish(name, self.fields[name], target)
            return
        system = self.one_of(["started_at", "job", "source_key"])
        targets = [Type("text")]
        if system == "started_at":
            targets = [Type("timestamptz"), Type("timestamp"), Type("date")]
        elif system == "source_key":
            targets = [Type("text"), Type("int8"), Type("int2")]
        self.fields[name] = {"system": system}
        self.finish(name, self.fields[name], self.one_of(targets))

    def add_sql(self, name: str) -> None:
        """Reads source columns, and fields that are there already."""
        expression = self.expression(VALUES, "src")
        self.fields[name] = {"sql": expression.sql}
        self.finish(name, self.fields[name], self.one_of(TARGETS[_base(expression.template.gives)]))

    def expression(self, templates: Sequence[Template], bare: str) -> Expression:
        template = self.one_of(templates)
        names = [self.name_of(kind, bare) for kind in template.reads]
        expression = Expression(template, tuple(names))
        self.expressions[expression.sql] = expression
        return expression

    def ready_rule(self) -> dict[str, Any]:
        kinds, rule = self.one_of(READY_RULES)
        fields = {name: self.name_of(kind, "out") for name, kind in kinds.items()}
        return {**rule, **fields}

    def name_of(self, kind: str, bare: str) -> str:
        source = [c for c, k in KINDS.items() if kind == k or (kind == "text" and k == "numeral")]
        fields = [f for f, k in self.kinds.items() if k == kind]
        if fields and self.chance(2 if bare == "src" else 1):
            chosen = self.one_of(fields)
            return f"out.{chosen}" if bare == "src" or self.chance(4) else str(chosen)
        column = self.one_of(source)
        self.used.add(column)
        return column if bare == "src" and self.chance(2) else f"src.{column}"

    def finish(self, name: str, one: dict[str, Any], target: Type) -> None:
        if self.chance(5):
            one["default"] = DEFAULTS[target.name]
        if self.chance(6):
            one["required"] = True
            if self.chance(2):
                one["rule"] = f"{name}_IS_GIVEN"
        self.settle(name, target)

    def settle(self, name: str, target: Type, required: int = 6) -> None:
        self.target[name] = target
        if self.chance(required + 3):
            self.not_null.add(name)
        kinds = {"text": "text", "varchar": "text", "int8": "integer", "bool": "boolean"}
        if target.name in {**kinds, "date": "date"}:
            self.kinds[name] = kinds.get(target.name, "date")


@st.composite
def loads(draw: st.DrawFn, fields: int = 6) -> tuple[LoadRules, list[str]]:
    """A load of up to ``fields`` fields with skips and rules, and the source columns it reads."""
    builder = Builder(draw)
    for number in range(draw(st.integers(1, fields))):
        builder.add_field(f"f{number}")
    if not builder.target:
        builder.add_from("f0")
    spec: dict[str, Any] = {"from": "legacy", "into": "modern"}
    if builder.copied:
        spec["copy"] = builder.copied
    spec["fields"] = builder.fields
    skips = range(draw(st.sampled_from([0, 0, 1, 2])))
    spec["skip"] = {f"SKIP_{n}": builder.expression(CHECKS, "src").sql for n in skips}
    spec["rules"] = {}
    for number in range(draw(st.integers(0, 3))):
        if builder.chance(3):
            spec["rules"][f"RULE_{number}"] = builder.ready_rule()
            continue
        expression = builder.expression(CHECKS, "out")
        rule: Any = expression.sql
        error = draw(st.sampled_from([None, None, "TRANS-003", "DATA-005", "DATA-001"]))
        if error is not None:
            rule = {"check": rule, "error": error}
            if draw(st.booleans()):
                rule["on_fail"] = "warn"
        spec["rules"][f"RULE_{number}"] = rule
    if builder.chance(8):
        spec["defaults"] = {"blank": "keep"}
    site: Mapping[str, tuple[str | None, ...]] = {}
    if "icd" in builder.maps and builder.chance(3):
        site = {
            "25000": ("E11.9",),
            "99999": ("R69", "Z00.00"),
            "0414": (None,),
            "V854": ("G20", "x"),
        }
    return (
        LoadRules(
            name="load",
            spec={part: told for part, told in spec.items() if told},
            source=SOURCE,
            target=builder.target,
            not_null=frozenset(builder.not_null),
            maps=builder.maps,
            lookups=builder.lookups,
            expressions=builder.expressions,
            constants={"started_at": STARTED_AT, "job": "moved"},
            site=site,
            keep_blank="defaults" in spec,
        ),
        sorted(builder.used),
    )


def _base(type_: Type) -> str:
    return "text" if type_.name == "varchar" else type_.name
