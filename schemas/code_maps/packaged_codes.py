"""The code maps and releases of CMS that Transfuse ships.

``packaged/SOURCES.txt`` names their origin. They are read on first use.
"""

from __future__ import annotations

import hashlib
import io
import lzma
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from schemas.code_maps.code_system import ICD9CM, ICD9PROC, ICD10CM, ICD10PCS, CodeSystem
from schemas.errors import ErrorCode, Problem, TransfuseError

GEM_FILES = {
    "icd9_to_icd10": "2018_I9gem.txt",
    "icd10_to_icd9": "2018_I10gem.txt",
    "icd9proc_to_icd10pcs": "gem_i9pcs.txt",
}
"""The packaged General Equivalence Mappings by the names that specifications use."""

UNPACKAGED_GEM_FILES = {"icd10pcs_to_icd9proc": "gem_pcsi9.txt"}
"""GEMs that CMS has published and that aren't packaged."""

GEM_VERSION = "FY2018"

FIRST_YEAR, LAST_YEAR = 2016, 2026
"""The fiscal years whose codes of ICD-10 are packaged; ICD-10 came into force in 2016."""

ICD9_RELEASE = "v32"

_YEARS = {ICD10CM: "icd10cm_years.tsv", ICD10PCS: "icd10pcs_years.tsv"}
_TITLES = {
    ICD9CM: "CMS32_DESC_SHORT_DX.txt",
    ICD9PROC: "CMS32_DESC_SHORT_SG.txt",
    ICD10CM: "icd10cm_titles.tsv",
    ICD10PCS: "icd10pcs_titles.tsv",
}

_FOLDER = "packaged"


@dataclass(frozen=True)
class CodeHistory:
    """The codes of all packaged releases of a system, and the years in which each was valid.

    Attributes:
        codes: The codes (string), sorted.
        first: The first fiscal year with a day on which the code could be reported (int16); null
            for ICD-9, of which only version 32 is packaged.
        last: The last such year.
    """

    codes: pa.Array
    first: pa.Array
    last: pa.Array


@dataclass(frozen=True)
class PackagedRelease:
    """A packaged release.

    Attributes:
        name: ``FY2026`` or ``v32``.
        sha256: The hexadecimal digest of the codes, a line for each.
        codes: The codes (string), sorted.
    """

    name: str
    sha256: str
    codes: pa.Array


def packaged_content(name: str) -> bytes:
    """Reads a packaged file.

    Raises:
        TransfuseError: SYS-004, the file is missing, or differs from the one that was packaged.
    """
    folder = resources.files("schemas.code_maps") / _FOLDER
    try:
        content = lzma.decompress((folder / f"{name}.xz").read_bytes())
    except (OSError, lzma.LZMAError, EOFError):
        content = b""
    if hashlib.sha256(content).hexdigest() != packaged_sha256(name):
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                "a file of the installation is missing or damaged",
                f"schemas/code_maps/{_FOLDER}/{name}.xz",
                "install Transfuse again: pip install --force-reinstall --no-deps transfuse",
            )
        )
    return content


def packaged_sha256(name: str) -> str:
    """The SHA-256 (hexadecimal) of a packaged file's content; empty for an unknown file."""
    return _checksums().get(name, "")


@lru_cache(maxsize=1)
def _checksums() -> dict[str, str]:
    folder = resources.files("schemas.code_maps") / _FOLDER
    try:
        lines = (folder / "SHA256SUMS").read_text("ascii").splitlines()
    except OSError:
        return {}
    return {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}


@lru_cache(maxsize=4)
def code_history(system: CodeSystem) -> CodeHistory:
    """Reads the packaged codes of a system. Raises TransfuseError as ``packaged_content`` does."""
    if system not in _YEARS:
        codes = pa.array(sorted(packaged_titles(system)), pa.string())
        return CodeHistory(codes, *[pa.nulls(len(codes), pa.int16())] * 2)
    table = pyarrow.csv.read_csv(
        io.BytesIO(packaged_content(_YEARS[system])),
        pyarrow.csv.ReadOptions(column_names=["code", "first", "last"], use_threads=False),
        pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
        pyarrow.csv.ConvertOptions(
            column_types={"code": pa.string(), "first": pa.int16(), "last": pa.int16()},
            strings_can_be_null=False,
        ),
    ).combine_chunks()
    return CodeHistory(*(column.combine_chunks() for column in table.columns))


@lru_cache(maxsize=8)
def packaged_release(system: CodeSystem, year: int | None = None) -> PackagedRelease:
    """Reads the release of a fiscal year, by default the newest; of ICD-9 always version 32.

    Raises TransfuseError as ``packaged_content`` does.
    """
    history = code_history(system)
    if system not in _YEARS:
        return PackagedRelease(ICD9_RELEASE, _sha256(history.codes), history.codes)
    year = year or LAST_YEAR
    begun, ended = pc.less_equal(history.first, year), pc.less(history.last, year)
    codes = history.codes.filter(pc.and_not(begun, ended))
    return PackagedRelease(f"FY{year}", _sha256(codes), codes)


def packaged_titles(system: CodeSystem) -> dict[str, str]:
    """Reads the latest title of each code of all packaged releases of a system.

    Some codes that were withdrawn or are new have none.

    Raises TransfuseError as ``packaged_content`` does.
    """
    # Version 32 has short titles with letters of another encoding.
    text = packaged_content(_TITLES[system]).decode("utf-8", errors="replace")
    pairs = (line.split(None, 1) for line in text.splitlines())
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def _sha256(codes: pa.Array) -> str:
    return hashlib.sha256("\n".join(codes.to_pylist()).encode()).hexdigest()
