"""Translating columns of codes, against an obvious reference that takes one code at a time."""

from __future__ import annotations

import csv
import gzip
import io
import pickle
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.code_maps.code_system import ICD9CM, ICD9PROC, ICD10CM, ICD10PCS
from schemas.code_maps.gem import GemCategory, GemMap, GemRow
from schemas.code_maps.gem_file import packaged_gem, read_gem
from schemas.code_maps.packaged_codes import code_history
from schemas.code_maps.policy import CodeAction, GemPolicy
from schemas.code_maps.spelling import Repair
from schemas.code_maps.translation import GemTranslator, Notation, Translation
from tests.oracle.damaged_codes import BLANKS, is_code
from tests.oracle.translated_codes import packaged_map

ROWS = [
    GemRow("0010", "A000", "00000"),
    GemRow("4019", "I10", "10000"),
    GemRow("6826", "L03115", "10000"),
    GemRow("6826", "L03116", "10000"),
    GemRow("25040", "E1129", "10112"),
    GemRow("25040", "E1121", "10111"),
    GemRow("80620", "S22009A", "10111"),
    GemRow("80620", "S24109A", "10112"),
    GemRow("80620", "S24119A", "10112"),
    GemRow("99656", "T85611A", "10111"),
    GemRow("99656", "Y838", "10112"),
    GemRow("99656", "T85621A", "10121"),
    GemRow("99656", "Y838", "10122"),
    GemRow("E8889", "W19XXXA", "10000"),
    GemRow("E8889", "W19XXXA", "10111"),
    GemRow("E8889", "Y9289", "10112"),
    GemRow("36570", None, "11000"),
    GemRow("486", "J189", "00000"),
    GemRow("V1259", "Z8679", "10000"),
    GemRow("E8800", "W100XXA", "10000"),
    GemRow("09831", "A5431", "10000"),
    GemRow("9831", "T540X1A", "10000"),
]
SMALL = GemMap.from_rows("icd", "small", "0" * 64, ROWS)


def translated(codes: list[str | None], **options: Any) -> Translation:
    return GemTranslator(SMALL, **options).translate(pa.array(codes, pa.string()))


COLUMNS = ("index", "target_code", "category", "flags", "cluster_seq", "source_code")


def rows(translation: Translation, columns: tuple[str, ...] = COLUMNS) -> list[tuple[Any, ...]]:
    return list(zip(*(translation.column(c).to_pylist() for c in columns), strict=True))


def told(reasons: pa.RecordBatch) -> list[tuple[int, str]]:
    return list(zip(*(c.to_pylist() for c in reasons.columns), strict=True))


def targets(codes: list[str | None], **options: Any) -> list[str | None]:
    found: list[str | None] = translated(codes, **options).rows.column("target_code").to_pylist()
    return found


def decisions(*pairs: tuple[str | None, str | None]) -> pa.Table:
    return pa.table(
        {
            "source_code": pa.array([s for s, _ in pairs], pa.string()),
            "target_code": pa.array([t for _, t in pairs], pa.string()),
        }
    )


def test_defaults_accept_what_is_clear_and_reject_the_rest() -> None:
    codes = ["6826", "25040", None, "0010", "36570", "4019", "99999", "80620", "99656", "E8889"]
    result = translated(codes)
    assert rows(result) == [
        (0, None, None, None, 1, "6826"),
        (1, "E1121", "cluster", "10111", 1, "25040"),
        (1, "E1129", "cluster", "10112", 2, "25040"),
        (2, None, None, None, 1, None),
        (3, "A000", "exact", "00000", 1, "0010"),
        (4, None, None, None, 1, "36570"),
        (5, "I10", "approximate", "10000", 1, "4019"),
        (6, None, None, None, 1, "99999"),
        (7, None, None, None, 1, "80620"),
        (8, None, None, None, 1, "99656"),
        (9, None, None, None, 1, "E8889"),
    ]
    assert told(result.rejected) == [
        (0, "choice"),
        (4, "no_map"),
        (6, "unknown_code"),
        (7, "choice"),
        (8, "choice"),
        (9, "choice"),
    ]
    assert told(result.warned) == []


def test_types_of_the_columns() -> None:
    columns: list[list[str | None]] = [[], ["0010"], [None]]
    for codes in columns:
        result = translated(codes)
        assert result.rows.schema == pa.schema(
            [
                ("index", pa.int32()),
                ("target_code", pa.string()),
                ("category", pa.string()),
                ("flags", pa.string()),
                ("groups", pa.string()),
                ("decision", pa.string()),
                ("cluster_seq", pa.int32()),
                ("source_code", pa.string()),
            ]
        )
        reasons = pa.schema([("index", pa.int32()), ("reason", pa.string())])
        assert result.rejected.schema == result.warned.schema == reasons


@pytest.mark.parametrize(
    ("code", "category", "reason"),
    [
        ("4019", "approximate", "approximate"),
        ("25040", "cluster", "cluster"),
        ("6826", "choice", "choice"),
        ("80620", "cluster_choice", "choice"),
        ("99656", "scenarios", "choice"),
        ("E8889", "mixed", "choice"),
        ("36570", "no_map", "no_map"),
        ("77777", "unknown_code", "unknown_code"),
    ],
)
def test_each_category_obeys_its_own_policy(code: str, category: str, reason: str) -> None:
    others_rejected = dict.fromkeys(GemPolicy.model_fields, "reject")

    kept = translated(
        [code], policy=GemPolicy.model_validate({**others_rejected, category: "no_target"})
    )
    assert rows(kept) == [(0, None, category, None, 1, code)]
    assert told(kept.rejected) == []
    assert told(kept.warned) == [(0, reason)]

    rejected = translated([code], policy=GemPolicy.model_validate({category: "reject"}))
    assert rows(rejected) == [(0, None, None, None, 1, code)]
    assert told(rejected.rejected) == [(0, reason)]
    assert told(rejected.warned) == []


def test_what_is_told_of_a_choice_holds_for_every_kind_unless_more_is_told() -> None:
    codes: list[str | None] = ["6826", "80620", "99656", "E8889"]
    kept = translated(
        codes, policy=GemPolicy(choice=CodeAction.NO_TARGET, scenarios=CodeAction.REJECT)
    )
    assert told(kept.warned) == [(0, "choice"), (1, "choice"), (3, "choice")]
    assert told(kept.rejected) == [(2, "choice")]


def test_alternatives_can_be_told_from_the_members_of_a_cluster() -> None:
    codes: list[str | None] = ["25040", "6826", "80620", "99656", "E8889", "0010"]
    result = translated(codes, policy=GemPolicy(choice=CodeAction.EXPAND))
    assert rows(result, ("target_code", "category", "groups", "cluster_seq")) == [
        ("E1121", "cluster", "1.1", 1),
        ("E1129", "cluster", "1.2", 2),
        ("L03115", "choice", "0.0", 1),
        ("L03116", "choice", "0.0", 2),
        ("S22009A", "cluster_choice", "1.1", 1),
        ("S24109A", "cluster_choice", "1.2", 2),
        ("S24119A", "cluster_choice", "1.2", 3),
        ("T85611A", "scenarios", "1.1", 1),
        ("Y838", "scenarios", "1.2 2.2", 2),
        ("T85621A", "scenarios", "2.1", 3),
        ("W19XXXA", "mixed", "0.0 1.1", 1),
        ("Y9289", "mixed", "1.2", 2),
        ("A000", "exact", "0.0", 1),
    ]


def test_exact_codes_are_accepted_whatever_the_policy() -> None:
    policy = GemPolicy(
        approximate=CodeAction.REJECT,
        cluster=CodeAction.REJECT,
        choice=CodeAction.REJECT,
        no_map=CodeAction.REJECT,
    )
    assert rows(translated(["0010"], policy=policy)) == [(0, "A000", "exact", "00000", 1, "0010")]


def test_a_choice_can_be_expanded_to_each_of_its_different_targets() -> None:
    result = translated(["E8889", "99656", "6826"], policy=GemPolicy(choice=CodeAction.EXPAND))
    assert rows(result) == [
        (0, "W19XXXA", "mixed", "10000", 1, "E8889"),
        (0, "Y9289", "mixed", "10112", 2, "E8889"),
        (1, "T85611A", "scenarios", "10111", 1, "99656"),
        (1, "Y838", "scenarios", "10112", 2, "99656"),
        (1, "T85621A", "scenarios", "10121", 3, "99656"),
        (2, "L03115", "choice", "10000", 1, "6826"),
        (2, "L03116", "choice", "10000", 2, "6826"),
    ]
    assert told(result.rejected) == told(result.warned) == []


def test_accept_and_expand_mean_the_same_for_a_cluster() -> None:
    codes: list[str | None] = ["25040", "250.40"]
    accepted = translated(codes, policy=GemPolicy(cluster=CodeAction.ACCEPT))
    assert rows(accepted) == rows(translated(codes))


@pytest.mark.parametrize(
    "wrong",
    [
        {"no_map": "accept"},
        {"no_map": "expand"},
        {"unknown_code": "accept"},
        {"approximate": "expand"},
        {"choice": "accept"},
        {"scenarios": "accept"},
        {"exact": "reject"},
    ],
)
def test_a_policy_that_does_not_exist_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        GemPolicy(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "looked_up", "target"),
    [
        ("4019", "4019", "I10"),
        ("001.0", "0010", "A00.0"),
        (" 0010 ", "0010", "A000"),
        ("\t001.0\r\n", "0010", "A00.0"),
        ("v12.59", "V1259", "Z86.79"),
        ("e880.0", "E8800", "W10.0XXA"),
        ("401.9", "4019", "I10"),
        ("486", "486", "J189"),
        ("486.", "486", "J18.9"),
        ("4019.", "4019.", None),
        ("40.19", "40.19", None),
        ("4.019", "4.019", None),
        (".4019", ".4019", None),
        ("401..9", "401..9", None),
        ("40.1.9", "40.1.9", None),
        ("E88.00", "E88.00", None),
        ("V1.259", "V1.259", None),
        ("401 9", "401 9", None),
        ("09831", "09831", "A5431"),
        ("9831", "9831", "T540X1A"),
        ("098.31", "09831", "A54.31"),
        ("983.1", "9831", "T54.0X1A"),
        ("98.31", "98.31", None),
        ("010", "010", None),
        ("10", "10", None),
        ("1.0", "1.0", None),
        ("", "", None),
        ("NoDx", "NODX", None),
    ],
)
def test_how_a_code_is_looked_up(written: str, looked_up: str, target: str | None) -> None:
    result = translated([written], repair=Repair(dots=False))
    row = result.rows.to_pylist()[0]
    assert (row["source_code"], row["target_code"]) == (looked_up, target)
    assert told(result.rejected) == ([] if target else [(0, "unknown_code")])


def test_notation_of_the_target() -> None:
    codes: list[str | None] = ["001.0", "0010", "250.40", "401.9"]
    assert targets(codes) == ["A00.0", "A000", "E11.21", "E11.29", "I10"]
    assert targets(codes, notation=Notation.DOTTED) == ["A00.0", "A00.0", "E11.21", "E11.29", "I10"]
    assert targets(codes, notation=Notation.UNDOTTED) == ["A000", "A000", "E1121", "E1129", "I10"]


def test_the_site_wins_over_the_map() -> None:
    site = decisions(
        ("682.6", "L03.90"), ("0010", "a00.x"), ("local 7", "Z99.89"), ("36570", "H40.9")
    )
    result = translated(["6826", "001.0", " Local 7", "36570", "4019"], site=site)
    assert rows(result) == [
        (0, "L0390", "site", None, 1, "6826"),
        (1, "a00.x", "site", None, 1, "0010"),
        (2, "Z99.89", "site", None, 1, "LOCAL 7"),
        (3, "H409", "site", None, 1, "36570"),
        (4, "I10", "approximate", "10000", 1, "4019"),
    ]
    assert told(result.rejected) == []


@pytest.mark.parametrize(
    ("notation", "written"),
    [
        (Notation.DOTTED, ["A00.0", "I34.0", "J18.9", "I10X1", "R69", "A18.50"]),
        (Notation.UNDOTTED, ["A000", "I340", "J189", "I10X1", "R69", "A1850"]),
        # What is no code says nothing about the notation of its target.
        (Notation.AS_SOURCE, ["A000", "I34.0", "J189", "I10X1", "R69", "A18.50"]),
    ],
)
def test_targets_of_the_site_are_written_in_the_notation_of_the_map(
    notation: Notation, written: list[str]
) -> None:
    """But for what is no code of any release, which stays as it stands."""
    site = decisions(
        ("0010", "A00.0"),
        ("4240", "I340"),
        ("486", "J18.9"),
        ("4019", "I10X1"),
        ("99998", "r69"),
        ("local", "A18.50"),
    )
    codes: list[str | None] = ["0010", "424.0", "486", "401.9", "999.98", "LOCAL"]
    assert targets(codes, site=site, notation=notation) == written


def test_several_decisions_on_one_code_are_a_cluster_in_their_order() -> None:
    site = decisions(
        ("682.6", "Z3"), ("4019", "I10"), ("6826", "A1"), ("682.6", "A1"), ("6826", "M2")
    )
    assert rows(translated(["6826", "4019"], site=site)) == [
        (0, "Z3", "site", None, 1, "6826"),
        (0, "A1", "site", None, 2, "6826"),
        (0, "M2", "site", None, 3, "6826"),
        (1, "I10", "site", None, 1, "4019"),
    ]


def test_a_site_can_decide_that_a_code_has_no_target() -> None:
    site = decisions(("6826", None), (None, "X"))
    result = translated(["6826", None], site=site)
    assert rows(result) == [(0, None, "site", None, 1, "6826"), (1, None, None, None, 1, None)]
    assert told(result.rejected) == []


def test_the_former_name_of_an_action() -> None:
    assert GemPolicy.model_validate({"choice": "keep_source"}) == GemPolicy(
        choice=CodeAction.NO_TARGET
    )
    assert GemPolicy(choice=CodeAction.NO_TARGET).action(GemCategory.SCENARIOS) == "no_target"


def test_what_isnt_written_as_it_should_be_is_noted() -> None:
    codes: list[str | None] = ["4.019", "0010", None, "v1.259", "401.9, 250.40", "98.31", "6.826"]
    result = translated(codes)
    assert rows(result, ("index", "target_code", "category", "source_code")) == [
        (0, "I10", "approximate", "4019"),
        (1, "A000", "exact", "0010"),
        (2, None, None, None),
        (3, "Z86.79", "approximate", "V1259"),
        (4, None, None, "401.9, 250.40"),
        (5, None, None, "98.31"),
        (6, None, None, "6826"),
    ]
    assert told(result.noted) == [
        (3, "repaired_case"),
        (0, "repaired_dot"),
        (3, "repaired_dot"),
        (6, "repaired_dot"),
    ]
    assert told(result.rejected) == [(4, "several_codes"), (5, "ambiguous_code"), (6, "choice")]


def test_what_is_no_code_of_the_map_is_kept_where_unknown_codes_are() -> None:
    policy = GemPolicy(unknown_code=CodeAction.NO_TARGET)
    result = translated(["401.9, 250.40", "98.31", "?"], policy=policy)
    assert told(result.rejected) == []
    assert told(result.warned) == [(0, "several_codes"), (1, "ambiguous_code"), (2, "unknown_code")]
    assert result.column("category").to_pylist() == ["unknown_code"] * 3


def test_repairs_are_noted_for_each_row_of_a_batch_not_for_each_row_of_a_cluster() -> None:
    result = translated(["25.040", "25040", "25.040"])
    assert result.column("index").to_pylist() == [0, 0, 1, 1, 2, 2]
    assert told(result.noted) == [(0, "repaired_dot"), (2, "repaired_dot")]


def test_codes_back_to_icd9_and_procedures_have_their_own_dots() -> None:
    back = GemMap.from_rows(
        "back",
        "small",
        "0" * 64,
        [
            GemRow("A000", "0010", "00000"),
            GemRow("W100XXA", "E8800", "10000"),
            GemRow("Z8679", "V1259", "10000"),
        ],
        ICD10CM,
        ICD9CM,
    )
    codes = pa.array(["A00.0", "A000", "w10.0xxa", "Z86.79", "A0.00", "E880.0"])
    result = GemTranslator(back).translate(codes)
    assert result.column("target_code").to_pylist() == [
        "001.0",
        "0010",
        "E880.0",
        "V12.59",
        "001.0",
        None,
    ]
    assert told(result.noted) == [(2, "repaired_case"), (4, "repaired_dot")]
    procedures = GemMap.from_rows(
        "procedures",
        "small",
        "0" * 64,
        [GemRow("4701", "0DTJ4ZZ", "10000"), GemRow("0066", "02703ZZ", "10000")],
        ICD9PROC,
        ICD10PCS,
    )
    codes = pa.array(["47.01", "4701", "470.1", "4.701", "0.66", "66"])
    for zeros in (False, True):
        result = GemTranslator(procedures, repair=Repair(zeros=zeros)).translate(codes)
        # By its dot 470.1 is a diagnosis. ICD-10-PCS has no dots.
        assert result.column("target_code").to_pylist() == [
            "0DTJ4ZZ",
            "0DTJ4ZZ",
            None,
            "0DTJ4ZZ",
            "02703ZZ" if zeros else None,
            None,
        ]


def test_a_translator_survives_pickling() -> None:
    codes = pa.array(["25040", "6826", "001.0"])
    translator = GemTranslator(SMALL, site=decisions(("6826", "L03.90")))
    copy = pickle.loads(pickle.dumps(translator))
    assert rows(copy.translate(codes)) == rows(translator.translate(codes))


def test_a_slice_is_translated_like_the_codes_in_it() -> None:
    codes = pa.array(["0010", None, "250.40", "x", "4019", None], pa.string())
    translator = GemTranslator(SMALL)
    cut = translator.translate(codes.slice(2, 3))
    whole = translator.translate(pa.array(["250.40", "x", "4019"]))
    assert rows(cut) == rows(whole)
    assert told(cut.rejected) == told(whole.rejected)


# ------------------------------------------------------------------- the obvious reference


def packaged_rows() -> list[tuple[str, str, str]]:
    rows = packaged_map()[0]
    return [(code, row.target, row.flags) for code, targets in rows.items() for row in targets]


class Reference:
    """One code at a time, as the rules are told."""

    def __init__(self, policy: GemPolicy, notation: str, site: list[tuple[str, str]]) -> None:
        self.policy, self.notation, self.site = policy, notation, site

    def look_up(self, written: str) -> str:
        code = "".join(c.upper() if "a" <= c <= "z" else c for c in written.strip(BLANKS))
        place = 4 if code.startswith("E") else 3
        head, tail = code[:place], code[place + 1 :]
        if code[place : place + 1] == "." and re.fullmatch("E[0-9]{3}|[V0-9][0-9]{2}", head):
            return head + tail if re.fullmatch("[0-9]*", tail) else code
        return code

    def write(self, written: str, target: str) -> str:
        dotted = self.notation is Notation.DOTTED or (
            self.notation is Notation.AS_SOURCE and "." in written
        )
        return f"{target[:3]}.{target[3:]}" if dotted and len(target) > 3 else target

    def write_decided(self, written: str, code: str, target: str) -> str:
        """A code of any release is written as the map writes, anything else as it stands."""
        bare = target.replace(".", "")
        follows = self.notation is not Notation.AS_SOURCE or is_code(code)
        return self.write(written, bare) if follows and bare in EVER else target

    def one(self, written: str | None) -> tuple[list[tuple[Any, ...]], str | None, str | None]:
        """The rows without their index, the reason of a rejection, that of a warning."""
        if written is None:
            return [(None, None, None, 1, None)], None, None
        code = self.look_up(written)
        decided: list[str] = []
        for source, target in self.site:
            if self.look_up(source) == code:
                decided.append(self.write_decided(written, code, target))
        decided = list(dict.fromkeys(decided))
        if decided:
            return [(t, "site", None, n + 1, code) for n, t in enumerate(decided)], None, None
        found = ROWS_OF.get(code, [])
        category = self.category(found)
        reason = "choice" if category in ("cluster_choice", "scenarios", "mixed") else category
        action = getattr(self.policy, category, None) or getattr(self.policy, reason, "accept")
        if action == "reject":
            return [(None, None, None, 1, code)], reason, None
        if action == "no_target":
            return [(None, category, None, 1, code)], None, reason
        written_rows: list[tuple[Any, ...]] = []
        for target, flags in sorted(found, key=lambda row: row[1][3:]):
            spelled = self.write(written, target)
            if spelled not in [row[0] for row in written_rows]:
                written_rows.append((spelled, category, flags, len(written_rows) + 1, code))
        return written_rows, None, None

    def category(self, found: list[tuple[str, str]]) -> str:
        if not found:
            return "unknown_code"
        if found[0][1][1] == "1":
            return "no_map"
        if len(found) == 1 and found[0][1][2] == "0":
            return "approximate" if found[0][1][0] == "1" else "exact"
        combined = {flags[2] for _, flags in found}
        if combined != {"1"}:
            return "choice" if combined == {"0"} else "mixed"
        if len({flags[3] for _, flags in found}) > 1:
            return "scenarios"
        lists = [flags[4] for _, flags in found]
        return "cluster" if len(set(lists)) == len(lists) else "cluster_choice"


ROWS_OF: dict[str, list[tuple[str, str]]] = {}
for source, target, flags in packaged_rows():
    ROWS_OF.setdefault(source, []).append((target, flags))
ALL_CODES = sorted(ROWS_OF)
EVER = set(code_history(ICD10CM).codes.to_pylist())
PACKAGED = packaged_gem("icd")
AS_THEY_STAND = Repair(dots=False)
"""The reference moves no dots."""


def agrees(translator: GemTranslator, reference: Reference, codes: list[str | None]) -> None:
    expected: list[tuple[Any, ...]] = []
    rejected: list[tuple[int, str]] = []
    warned: list[tuple[int, str]] = []
    memory: dict[str | None, Any] = {}
    for index, code in enumerate(codes):
        if code not in memory:
            memory[code] = reference.one(code)
        found, rejection, warning = memory[code]
        expected += [(index, *row) for row in found]
        rejected += [(index, rejection)] if rejection else []
        warned += [(index, warning)] if warning else []
    result = translator.translate(pa.array(codes, pa.string()))
    assert rows(result) == expected
    assert told(result.rejected) == rejected
    assert told(result.warned) == warned


def spelled(code: str, style: int) -> str:
    place = 4 if code.startswith("E") else 3
    dotted = f"{code[:place]}.{code[place:]}"
    return [code, dotted, f" {dotted.lower()}", f"{code[:2]}.{code[2:]}", code.lstrip("0")][style]


known_codes = st.builds(spelled, st.sampled_from(ALL_CODES), st.integers(0, 4))
any_codes = st.one_of(
    st.none(),
    known_codes,
    st.text(max_size=8),
    st.from_regex(r"\A[ ]?[EVev0-9][0-9]{0,4}\.?[0-9]{0,3}\n?\Z"),
)
policies = st.builds(
    GemPolicy,
    approximate=st.sampled_from(["accept", "reject", "keep_source"]),
    cluster=st.sampled_from(["expand", "accept", "reject", "keep_source"]),
    choice=st.sampled_from(["reject", "keep_source", "expand"]),
    cluster_choice=st.sampled_from([None, "reject", "keep_source", "expand"]),
    scenarios=st.sampled_from([None, "reject", "keep_source", "expand"]),
    mixed=st.sampled_from([None, "reject", "keep_source", "expand"]),
    no_map=st.sampled_from(["reject", "keep_source"]),
    unknown_code=st.sampled_from(["reject", "keep_source"]),
)
notations = st.sampled_from(Notation)
site_decisions = st.lists(
    st.tuples(known_codes, st.sampled_from(["A00.0", "x", "Z99"])), max_size=6
)


@pytest.mark.slow
@given(st.data(), policies, notations, site_decisions)
@settings(max_examples=40, deadline=None)
def test_it_agrees_with_the_reference_on_every_code(
    data: st.DataObject, policy: GemPolicy, notation: Any, site: list[tuple[str, str]]
) -> None:
    codes = data.draw(
        st.lists(
            st.one_of(any_codes, st.sampled_from([s for s, _ in site])) if site else any_codes,
            max_size=60,
        )
    )
    translator = GemTranslator(PACKAGED, policy, notation, decisions(*site), AS_THEY_STAND)
    agrees(translator, Reference(policy, notation, site), codes)


@pytest.mark.parametrize(
    "policy", [GemPolicy(), GemPolicy(choice=CodeAction.EXPAND)], ids=["", "expand"]
)
def test_it_agrees_with_the_reference_on_every_code_of_the_map(policy: GemPolicy) -> None:
    codes: list[str | None] = [spelled(code, style) for code in ROWS_OF for style in range(3)]
    agrees(
        GemTranslator(PACKAGED, policy, repair=AS_THEY_STAND),
        Reference(policy, Notation.AS_SOURCE, []),
        codes,
    )


@pytest.mark.slow
@given(st.integers(0, 100_000), st.integers(0, 2**32), st.integers(1, 20_000))
@settings(max_examples=12, deadline=None)
def test_order_is_kept_in_batches_of_any_size(size: int, seed: int, variety: int) -> None:
    chance = random.Random(seed)
    pool: list[str | None] = [None, "no code"]
    pool += [spelled(chance.choice(ALL_CODES), chance.randrange(4)) for _ in range(variety)]
    policy = GemPolicy(choice=CodeAction.EXPAND, no_map=CodeAction.NO_TARGET)
    codes = chance.choices(pool, k=size)
    agrees(
        GemTranslator(PACKAGED, policy, repair=AS_THEY_STAND),
        Reference(policy, Notation.AS_SOURCE, []),
        codes,
    )


# ------------------------------------------------------------------------------- real data

REAL_COUNTS = {
    "mimic": (617, 667, 393 + 3 + 1, 45, 33, 2),
    "1": (14_829, 18_966, 11_668 + 26 + 7 + 1, 609, 376, 108),
    "2": (14_962, 19_568, 11_906 + 29 + 9, 585, 320, 115),
}
"""Codes that are exact, approximate, a choice, unknown, without a map, a cluster."""


def real_codes(shared_data: Path, name: str) -> list[str | None]:
    if name == "mimic":
        packed = (shared_data / "mimic3demo" / "DIAGNOSES_ICD.csv.gz").read_bytes()
        text = io.StringIO(gzip.decompress(packed).decode())
        return [row["icd9_code"] for row in csv.DictReader(text)]
    file = f"DE1_0_2008_to_2010_Inpatient_Claims_Sample_{name}.csv"
    with (shared_data / "desynpuf" / file).open(newline="") as lines:
        claims = list(csv.DictReader(lines))
    return [claim[f"ICD9_DGNS_CD_{n}"] or None for claim in claims for n in range(1, 11)]


@pytest.mark.parametrize("name", REAL_COUNTS)
def test_real_diagnoses(shared_data: Path, name: str) -> None:
    codes = real_codes(shared_data, name)
    gem = read_gem("icd", shared_data / "gems" / "2018_I9gem.txt")
    result = GemTranslator(gem).translate(pa.array(codes, pa.string()))
    reasons = Counter(result.rejected.column("reason").to_pylist())
    first = result.rows.filter(pc.equal(result.rows.column("cluster_seq"), 1))
    accepted = Counter(first.column("category").to_pylist())
    assert first.num_rows == len(codes)
    assert REAL_COUNTS[name] == (
        accepted["exact"],
        accepted["approximate"],
        reasons["choice"],
        reasons["unknown_code"],
        reasons["no_map"],
        accepted["cluster"],
    )
