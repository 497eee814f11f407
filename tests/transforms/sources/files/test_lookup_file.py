"""CSV files of lookup tables: what is taken as it is written, and what is refused with its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from schemas.code_maps.lookup_table import LookupTable
from schemas.errors import ErrorCode, TransfuseError
from transforms.sources.files.lookup_file import read_lookup_file


def pairs(table: LookupTable) -> dict[tuple[str, ...], str | None]:
    keys = zip(*(column.to_pylist() for column in table.keys), strict=True)
    return dict(zip(keys, table.values.to_pylist(), strict=True))


def read(folder: Path, content: bytes, **given: object) -> LookupTable:
    path = folder / "map.csv"
    path.write_bytes(content)
    return read_lookup_file("m", path, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\n007,NA\n,null\nx,\n", {"007": "NA", "": "null", "x": ""}),
        (b"\xef\xbb\xbfa,b\r\n1,x\r\n\r\n2,y", {"1": "x", "2": "y"}),
        (b'"a",b,c\n"1\n2","say ""no""",\n', {"1\n2": 'say "no"'}),
        (b"a,b\n1.0,x\n1,y\n1.0,x\n true,\xc3\xa9\n", {"1.0": "x", "1": "y", " true": "é"}),
        (b'a,b\n1,5"\nend,end\n', {"1": '5"', "end": "end"}),
    ],
)
def test_everything_is_text_as_it_is_written(
    tmp_path: Path, content: bytes, expected: dict[str, str]
) -> None:
    assert pairs(read(tmp_path, content)) == {(key,): value for key, value in expected.items()}
    path = tmp_path / "map.csv.gz"
    path.write_bytes(gzip.compress(content))
    assert read_lookup_file("m", path) == read(tmp_path, content)


def test_the_columns_that_are_named(tmp_path: Path) -> None:
    content = b"loinc,hospital,code\nL1,GH,7\nL2,WEST,7\n"
    table = read(tmp_path, content, keys=["code", "hospital"], value="loinc")
    assert pairs(table) == {("7", "GH"): "L1", ("7", "WEST"): "L2"}


@pytest.mark.parametrize(
    ("content", "lines", "message"),
    [
        (b"", [1], "no header"),
        (b"\n\n", [1], "no header"),
        (b"a,b\n", [None], "no rows below its header"),
        (b"a\n1\n", [1], "has one column"),
        (b"a,b\n1,x\n2\n\n3,y,z\n", [3, 5], "fields than the header"),
        (b'a,b\n"1\n1",x\n2\n', [4], "fewer fields"),
        (b"a,b\n1,x\n2,\xe9\n", [3], "aren't text"),
        (b"a,b\n1,x\0\n", [2], "NUL"),
        (b'a,b\n1,x\n2,"y\n3,z\n', [3], "not closed"),
        (b'a,b\n1,x\n2,y\n3,"', [4], "not closed"),
        (b'a,b\n1,"x" y\n', [2], "follows a quote"),
        (b"a,b\n1,x\n\n1,y\n2,z\n1,x\n2,\n", [4, 6, 7], "and another value"),
        (b'a,b\n1,"' + b"x" * 200_000, [2], "not closed"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, content: bytes, lines: list[int | None], message: str
) -> None:
    with pytest.raises(TransfuseError) as raised:
        read(tmp_path, content)
    problems = raised.value.problems
    path = str(tmp_path / "map.csv")
    assert [p.where for p in problems] == [
        path if line is None else f"{path}:{line}" for line in lines
    ]
    for problem in problems:
        assert problem.code is ErrorCode.SYS_004
        assert message in problem.message
        assert problem.remedy


def test_no_more_than_twenty_bad_lines_are_named(tmp_path: Path) -> None:
    with pytest.raises(TransfuseError) as raised:
        read(tmp_path, b"a,b\n" + b"1\n" * 50)
    assert len(raised.value.problems) == 21
    assert raised.value.problems[-1].message == "and 30 more bad lines"


@pytest.mark.parametrize(
    ("given", "message", "remedy"),
    [
        ({"value": "lonic"}, "no column 'lonic'", "did you mean 'loinc'?"),
        ({"keys": ["a"], "value": "loinc"}, "several columns 'a'", "compare"),
        ({"keys": ["loinc"]}, "several columns 'a'", "compare"),
        ({"keys": ["loinc"], "value": "loinc"}, "key and value at once", "'from' and 'to'"),
    ],
)
def test_a_column_that_is_not_there(
    tmp_path: Path, given: object, message: str, remedy: str
) -> None:
    with pytest.raises(TransfuseError) as raised:
        read(tmp_path, b"loinc,a,a\nP1,P2,P3\n", **given)  # type: ignore[arg-type]
    (problem,) = raised.value.problems
    assert message in problem.message
    assert remedy in problem.remedy
    assert problem.where.endswith("map.csv:1")


def test_a_file_without_a_header_gives_no_value_away(tmp_path: Path) -> None:
    with pytest.raises(TransfuseError) as raised:
        read(tmp_path, b"MRN4711,MRN4712\n", keys=["old_mrn"])
    assert "4711" not in str(raised.value)


def test_what_is_no_file_or_damaged(tmp_path: Path) -> None:
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n")[:-9])
    (tmp_path / "plain.csv.gz").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "packed.csv").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    for name, message in (
        ("absent.csv", "No such file"),
        (".", "Is a directory"),
        ("cut.csv.gz", "damaged or cut off"),
        ("plain.csv.gz", "isn't compressed so"),
        ("packed.csv", "rename it to 'packed.csv.gz'"),
    ):
        with pytest.raises(TransfuseError, match=message):
            read_lookup_file("m", tmp_path / name)


def test_circles_are_told_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(TransfuseError) as raised:
        read(tmp_path, b"old,new\nx,q\na,b\nz,z\n\nb,c\nc,a\np,q\nq,p\n", chain=True)
    (problem,) = raised.value.problems
    assert problem.where.endswith("map.csv:3")
    assert "no end: 2, the first of them through the lines 3, 6, 7" in problem.message
