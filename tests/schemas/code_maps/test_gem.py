"""Reading and classifying GEM files."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import pytest

from schemas.code_maps import packaged_codes
from schemas.code_maps.gem import GemCategory, GemMap
from schemas.code_maps.gem_file import packaged_gem, read_gem
from schemas.code_maps.packaged_codes import packaged_content
from schemas.errors import ErrorCode, ExitStatus, TransfuseError

SMALL = """\
0010  A000    00000
4019  I10     10000
6826  L03115  10000
6826  L03116  10000
25040 E1129   10112
25040 E1121   10111
80620 S22009A 10111
80620 S24109A 10112
80620 S24119A 10112
99656 T85611A 10111
99656 Y838    10112
99656 T85621A 10121
99656 Y839    10122
E8889 W19XXXA 10000
E8889 W1830XA 10111
E8889 Y9289   10112
36570 NoDx    11000
"""


def gem_file(folder: Path, text: str, name: str = "small_gem.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def categories(gem: GemMap) -> dict[str, str]:
    return dict(
        zip(
            gem.codes.column("source_code").to_pylist(),
            gem.codes.column("category").to_pylist(),
            strict=True,
        )
    )


def refusal(path: Path) -> TransfuseError:
    with pytest.raises(TransfuseError) as caught:
        read_gem("icd", path)
    assert caught.value.status is ExitStatus.REFUSED
    assert {p.code for p in caught.value.problems} == {ErrorCode.SYS_004}
    return caught.value


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_category_is_told_apart(tmp_path: Path, line_end: str) -> None:
    gem = read_gem("icd", gem_file(tmp_path, SMALL.replace("\n", line_end)))
    assert categories(gem) == {
        "0010": "exact",
        "4019": "approximate",
        "6826": "choice",
        "25040": "cluster",
        "80620": "cluster_choice",
        "99656": "scenarios",
        "E8889": "mixed",
        "36570": "no_map",
    }


def test_policies_know_one_kind_of_choice() -> None:
    assert {c.value: c.reason for c in GemCategory} == {
        "exact": "exact",
        "approximate": "approximate",
        "choice": "choice",
        "cluster": "cluster",
        "cluster_choice": "choice",
        "scenarios": "choice",
        "mixed": "choice",
        "no_map": "no_map",
        "unknown_code": "unknown_code",
    }


def test_rows_of_a_code_stand_by_scenario_choice_list_and_then_as_in_the_file(
    tmp_path: Path,
) -> None:
    text = """\
99656 Y839    10122
0010  A000    00000
99656 T85621A 10121
99656 Y838    10112
99656 Y837    10112
99656 T85611A 10111
"""
    gem = read_gem("icd", gem_file(tmp_path, text))
    assert gem.entries.column("target_code").to_pylist() == [
        "T85611A",
        "Y838",
        "Y837",
        "T85621A",
        "Y839",
        "A000",
    ]
    assert gem.codes.select(["source_code", "first", "count"]).to_pylist() == [
        {"source_code": "99656", "first": 0, "count": 5},
        {"source_code": "0010", "first": 5, "count": 1},
    ]


def test_a_map_says_where_it_comes_from(tmp_path: Path) -> None:
    gem = read_gem("icd9_to_icd10", gem_file(tmp_path, "0010  A000    00000\n", "2018_I9gem.txt"))
    # printf '0010  A000    00000\n' | sha256sum
    digest = "b3a7a3fd59320515b3c95d9e0e4988d1a3a9d6beec08b09a7592a3a414a85c6c"
    assert gem.version == "2018_I9gem"
    assert gem.sha256 == digest
    assert gem.label == f"icd9_to_icd10/2018_I9gem/sha256:{digest[:12]}"


def test_no_map_has_no_target(tmp_path: Path) -> None:
    gem = read_gem("icd", gem_file(tmp_path, "36570 NoDx    11000\n"))
    assert gem.entries.to_pylist() == [
        {"source_code": "36570", "target_code": None, "flags": "11000"}
    ]


def test_a_map_survives_pickling(tmp_path: Path) -> None:
    gem = read_gem("icd", gem_file(tmp_path, SMALL))
    copy = pickle.loads(pickle.dumps(gem))
    assert copy == gem
    assert copy.entries.equals(gem.entries)
    assert copy.codes.equals(gem.codes)


def test_byte_order_mark_blank_lines_and_a_missing_last_line_end_do_not_matter(
    tmp_path: Path,
) -> None:
    text = "\ufeff0010  A000    00000  \r\n\r\n4019  I10     10000"
    gem = read_gem("icd", gem_file(tmp_path, text))
    assert categories(gem) == {"0010": "exact", "4019": "approximate"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0010 A000    00000", "layout"),
        ("0010,A000,00000", "layout"),
        ("0010  A000    000000", "layout"),
        ("0010  A000    0000", "layout"),
        ("001.0 A000    00000", "'001.0' is no ICD-9-CM"),
        (" 0010 A000    00000", "' 0010' is no ICD-9-CM"),
        ("A0000 0010    00000", "'A0000' is no ICD-9-CM"),
        ("E88   W19XXXA 00000", "'E88' is no ICD-9-CM"),
        ("0010  A00.0   00000", "'A00.0' is no ICD-10-CM"),
        ("0010          00000", "'' is no ICD-10-CM"),
        ("0010   A000   00000", "' A000' is no ICD-10-CM"),
        ("0010  A000    00x00", "'00x00' are no GEM flags"),
        ("0010  A000    20000", "'20000' are no GEM flags"),
        ("0010  A000    01000", "no-map flag"),
        ("0010  NoDx    00000", "no-map flag"),
        ("0010  A000    00100", "scenario"),
        ("0010  A000    10110", "scenario"),
        ("0010  A000    00011", "scenario"),
        ("4019  I10     10000", "repeats line 1"),
        ("4019  I10     00000", "repeats line 1"),
        ("4019  NoDx    11000", "has a target and has none"),
        ("0010  A0\u00e90    00000", "is no ICD-10-CM"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, told: str) -> None:
    path = gem_file(tmp_path, f"4019  I10     10000\n\n{line}\n")
    (problem,) = refusal(path).problems
    assert problem.where == f"{path}:3"
    assert told in problem.message


BACKWARD = """\
A000    0010  00000
I10     4019  10000
E1121   25040 10111
E1121   5839  10112
S52521A 81342 10000
Z9981   NoDx  11000
T8853XD v5889 10000
"""
PROCEDURES = """\
0001  6A750Z4 10000
0001  6A751Z4 10000
0016  NoPCS   11000
3584  02S00ZZ 10013
3584  02SP0ZZ 10111
3584  02SX0ZZ 10112
8628  B2151ZZ 10001
"""


@pytest.mark.parametrize(
    ("text", "systems"),
    [
        (SMALL, ("ICD-9-CM", "ICD-10-CM")),
        (BACKWARD, ("ICD-10-CM", "ICD-9-CM")),
        (PROCEDURES, ("ICD-9-CM volume 3", "ICD-10-PCS")),
        ("02S00ZZ 3584  10000\n", ("ICD-10-PCS", "ICD-9-CM volume 3")),
    ],
)
def test_the_codes_of_a_file_tell_its_direction(
    tmp_path: Path, text: str, systems: tuple[str, str]
) -> None:
    gem = read_gem("icd", gem_file(tmp_path, text))
    assert (gem.source.name, gem.target.name) == systems


def test_a_map_back_to_icd9(tmp_path: Path) -> None:
    gem = read_gem("icd", gem_file(tmp_path, BACKWARD))
    assert categories(gem) == {
        "A000": "exact",
        "I10": "approximate",
        "E1121": "cluster",
        "S52521A": "approximate",
        "Z9981": "no_map",
        "T8853XD": "approximate",
    }
    # One code of the file of CMS is in small letters.
    assert gem.entries.column("target_code").to_pylist()[-1] == "V5889"


def test_a_map_of_procedures(tmp_path: Path) -> None:
    gem = read_gem("icd", gem_file(tmp_path, PROCEDURES))
    # Rows of 3584 and 8628 have a scenario without being combinations in the file of CMS, too.
    assert categories(gem) == {
        "0001": "choice",
        "0016": "no_map",
        "3584": "mixed",
        "8628": "approximate",
    }


def test_a_bad_line_is_told_of_the_direction_that_the_others_have(tmp_path: Path) -> None:
    path = gem_file(tmp_path, f"{BACKWARD}0010  A000    00000\nA001    A000  00000\n")
    assert [(p.where, p.message) for p in refusal(path).problems] == [
        (f"{path}:8", "hasn't got the layout of a GEM: source, target of ICD-9-CM, five flags"),
        (f"{path}:9", "'A000' is no ICD-9-CM code without a dot"),
    ]


@pytest.mark.parametrize("bad", [20, 21, 57])
def test_many_bad_lines_are_counted(tmp_path: Path, bad: int) -> None:
    path = gem_file(tmp_path, "0010  A000    00000\n" + "nonsense\n" * bad)
    problems = refusal(path).problems
    assert [p.where for p in problems[:20]] == [f"{path}:{n}" for n in range(2, 22)]
    rest = [(p.where, p.message) for p in problems[20:]]
    assert rest == ([] if bad == 20 else [(str(path), f"and {bad - 20} more bad lines")])


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = gem_file(tmp_path, "\r\n")
    (problem,) = refusal(path).problems
    assert problem.where == str(path)
    assert "no rows" in problem.message


def test_a_binary_file_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "gem.zip"
    path.write_bytes(b"PK\x03\x04\xff\xfe\x00\x80" * 40)
    assert refusal(path).problems[0].where == f"{path}:1"


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "gem.txt"
    if kind == "folder":
        path.mkdir()
    (problem,) = refusal(path).problems
    assert problem.where == str(path)
    assert problem.message.startswith("the GEM file can't be read: ")


TRUTH = {
    "icd9_to_icd10": {
        "exact": 3_521,
        "approximate": 7_244,
        "choice": 2_712,
        "cluster": 305,
        "cluster_choice": 297,
        "scenarios": 61,
        "mixed": 5,
        "no_map": 422,
    },
    "icd10_to_icd9": {
        "exact": 3_516,
        "approximate": 59_595,
        "choice": 3_621,
        "cluster": 3_851,
        "cluster_choice": 141,
        "scenarios": 49,
        "mixed": 200,
        "no_map": 731,
    },
    "icd9proc_to_icd10pcs": {
        "exact": 45,
        "approximate": 349,
        "choice": 3_063,
        "cluster": 19,
        "cluster_choice": 63,
        "scenarios": 52,
        "mixed": 81,
        "no_map": 210,
    },
}
"""The categories of the codes of each file of fiscal year 2018."""


@pytest.mark.parametrize("direction", TRUTH)
def test_the_packaged_maps_are_those_of_fiscal_year_2018(direction: str) -> None:
    gem = packaged_gem("icd", direction)
    assert gem.version == "FY2018"
    assert Counter(categories(gem).values()) == TRUTH[direction]
    if direction == "icd9_to_icd10":
        assert gem.label == "icd/FY2018/sha256:44f4079c698e"


def test_the_way_back_from_icd10_pcs_needs_a_file() -> None:
    with pytest.raises(TransfuseError) as caught:
        packaged_gem("back", "icd10pcs_to_icd9proc")
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == (ErrorCode.SYS_004, "maps.back")
    assert problem.message == "the map icd10pcs_to_icd9proc isn't packaged"
    assert problem.remedy == "get gem_pcsi9.txt of CMS, and name it: gem: FILE"


def test_each_packaged_file_is_what_its_checksum_says(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(packaged_codes.__file__).parent / "packaged"
    packed = {path.name.removesuffix(".xz") for path in folder.glob("*.xz")}
    assert packed == set(packaged_codes._checksums())
    for name in packed:
        assert packaged_content(name)
    monkeypatch.setattr(packaged_codes, "packaged_sha256", lambda _: "0" * 64)
    with pytest.raises(TransfuseError) as caught:
        packaged_content("2018_I9gem.txt")
    (problem,) = caught.value.problems
    assert (problem.code, "pip install" in problem.remedy) == (ErrorCode.SYS_004, True)


FILES = {
    "icd9_to_icd10": "2018_I9gem.txt",
    "icd10_to_icd9": "2018_I10gem.txt",
    "icd9proc_to_icd10pcs": "gem_i9pcs.txt",
}


@pytest.mark.parametrize("direction", FILES)
def test_a_packaged_map_is_the_file_that_cms_published(direction: str, shared_data: Path) -> None:
    path = shared_data / "gems" / FILES[direction]
    assert packaged_content(path.name) == path.read_bytes()
    named, packaged = read_gem("icd", path), packaged_gem("icd", direction)
    assert (named.entries, named.codes) == (packaged.entries, packaged.codes)
    assert (named.source, named.target) == (packaged.source, packaged.target)
