"""Files of codes that ready rules ask: releases of ICD, and the lists of the Medicare Code Editor.

Codes are kept without dots, in capitals.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from schemas.bounded_files import CODES_AT_MOST, read_at_most
from schemas.code_maps import packaged_codes
from schemas.code_maps.code_system import ICD9CM, ICD10CM, CodeSystem
from schemas.errors import ErrorCode, Problem, TransfuseError

BAD_LINES_NAMED = 20
"""How many bad lines of a file are named one by one; more of them hardly help to correct it."""

MCE_COLUMNS = (
    "MCE_Version",
    "ICD_Version",
    "MCE_Section",
    "MCE_Subsection",
    "MCE_Edit_Type",
    "ICD_Code_Type",
    "ICD_Code",
    "ICD_Desc",
)

_DIAGNOSES = {9: ICD9CM, 10: ICD10CM}


@dataclass(frozen=True)
class CodeFile:
    """The lists of a file by name, and the SHA-256 (hex) of its bytes. ``system`` is 9 or 10,
    ``version`` what the file says of itself (0: nothing)."""

    sha256: str
    system: int
    version: int = 0
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)


def read_codes_of(system: int) -> Callable[[Path], CodeFile]:
    """A reader of files with a diagnosis code of ICD-9-CM (9) or ICD-10-CM (10) in each line.

    The code ends at a blank, tab, comma or semicolon; what follows is its description. It may
    have its dot. The reader raises TransfuseError with SYS-004 where the file can't be read,
    or naming its bad lines (the first 20 of them one by one).
    """

    return partial(read_release, system=_DIAGNOSES[system])


def read_release(path: Path, system: CodeSystem) -> CodeFile:
    """Reads a release of any code system, a file as ``read_codes_of`` describes it (list
    ``codes``). Raises TransfuseError as that does."""
    return _codes(str(path), _content(path, "name a file with a code in each line"), system)


def packaged_code_file(system: CodeSystem, year: int | None = None) -> CodeFile:
    """The packaged codes of a system (list ``codes``): of ICD-9 version 32, of ICD-10 those of a
    fiscal year, by default the newest.

    Raises TransfuseError (SYS-004) where the installation is damaged.
    """
    release = packaged_codes.packaged_release(system, year)
    codes = tuple(release.codes.to_pylist())
    return CodeFile(release.sha256, system.revision, lists={"codes": codes})


def descriptions_of(system: CodeSystem, release: Path | int | None = None) -> dict[str, str]:
    """The codes of a release with their titles, empty where none is known: of a file, as
    ``read_release`` reads it, of a packaged fiscal year, or of the newest packaged one.

    Raises TransfuseError with SYS-004 as these do.
    """
    if isinstance(release, Path):
        file, content = str(release), _content(release, "name a file with a code in each line")
        _codes(file, content, system)
        return {
            code: text for _, line in _lines(content) for code, text in [_split_description(line)]
        }
    titles = packaged_codes.packaged_titles(system)
    codes = packaged_codes.packaged_release(system, release).codes.to_pylist()
    return {code: titles.get(code, "") for code in codes}


def packaged_icd9() -> CodeFile:
    """The diagnosis codes of ICD-9-CM version 32 (list ``codes``). Raises TransfuseError as
    ``packaged_code_file`` does."""
    return packaged_code_file(ICD9CM)


def packaged_icd10() -> CodeFile:
    """The billable codes of the newest packaged ICD-10-CM (list ``codes``). Raises TransfuseError
    as ``packaged_code_file`` does."""
    return packaged_code_file(ICD10CM)


def read_mce(path: Path) -> CodeFile:
    """Reads a file of the Medicare Code Editor's simple edits: tab-separated, under a header
    line the columns of ``MCE_COLUMNS``; gives the diagnosis codes by edit type.

    Raises TransfuseError with SYS-004 where the file can't be read, or naming its bad lines
    (the first 20 of them one by one).
    """
    remedy = "name a file such as MCE_Simple_Code_Edits_v32.txt"
    return _mce(str(path), _content(path, remedy))


@lru_cache(maxsize=8)
def _codes(file: str, content: bytes, system: CodeSystem) -> CodeFile:
    found: dict[str, None] = {}
    faults = []
    form = re.compile(system.form)
    for number, line in _lines(content):
        code, _ = _split_description(line)
        if form.fullmatch(code):
            found[code] = None
        else:
            faults.append((number, f"no {system.kind} code of {system.name} stands here"))
    _refuse(file, faults, bool(found), system.kind)
    return CodeFile(_sha256(content), system.revision, lists={"codes": tuple(found)})


def _split_description(line: str) -> tuple[str, str]:
    """The code in a line of a release, and what is said of it."""
    code, *rest = re.split(r"[ \t,;]", line.strip(), maxsplit=1)
    return code.strip('"').replace(".", "").upper(), "".join(rest).strip(' \t,;"')


@lru_cache(maxsize=8)
def _mce(file: str, content: bytes) -> CodeFile:
    lists: dict[str, list[str]] = {}
    faults: list[tuple[int, str]] = []
    versions: tuple[str, ...] = ()
    for number, line in _lines(content):
        cells = line.split("\t")
        if number == 1 and tuple(cells) == MCE_COLUMNS:
            continue
        if number == 1:
            told = f"the header isn't that of the editor's lists: {', '.join(MCE_COLUMNS)}"
            faults.append((number, f"{told}, separated by tabs"))
            break
        fault = _fault(cells, versions)
        if fault is not None:
            faults.append((number, fault))
            continue
        versions = tuple(cells[:2])
        if cells[5] == "D":
            lists.setdefault(cells[4], []).append(cells[6])
    _refuse(file, faults, bool(lists))
    version, system = map(int, versions)
    return CodeFile(
        _sha256(content), system, version, {name: tuple(codes) for name, codes in lists.items()}
    )


def _fault(cells: list[str], versions: tuple[str, ...]) -> str | None:
    if len(cells) != len(MCE_COLUMNS):
        return f"this line has {len(cells)} columns, not {len(MCE_COLUMNS)}"
    version, system, _, _, edit, kind, code, _ = cells
    if not re.fullmatch("[0-9]{1,3}", version) or system not in ("9", "10"):
        return f"MCE_Version {version!r} and ICD_Version {system!r}: a number, and 9 or 10"
    if versions and (version, system) != versions:
        return "this line is of another version than the lines before it"
    if not re.fullmatch(r"\w+", edit) or kind not in ("D", "P"):
        return f"MCE_Edit_Type {edit!r} and ICD_Code_Type {kind!r}: a name, and D or P"
    if kind == "D" and not re.fullmatch(_DIAGNOSES[int(system)].form, code):
        return f"{code!r} is no diagnosis code of {_DIAGNOSES[int(system)].name} without a dot"
    return None


def _lines(content: bytes) -> Iterator[tuple[int, str]]:
    # Descriptions may be in any encoding, and aren't looked at.
    text = content.decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _refuse(
    file: str, faults: list[tuple[int, str]], has_codes: bool, kind: str = "diagnosis"
) -> None:
    problems = [
        Problem(ErrorCode.SYS_004, fault, f"{file}:{number}")
        for number, fault in faults[:BAD_LINES_NAMED]
    ]
    if len(faults) > BAD_LINES_NAMED:
        told = f"and {len(faults) - BAD_LINES_NAMED} more bad lines"
        problems.append(Problem(ErrorCode.SYS_004, told, file))
    if not has_codes and not faults:
        problems.append(Problem(ErrorCode.SYS_004, f"the file has no {kind} codes", file))
    if problems:
        raise TransfuseError(problems)


def _content(path: Path, remedy: str) -> bytes:
    try:
        return read_at_most(path, CODES_AT_MOST)
    except OSError as error:
        told = f"the file of codes can't be read: {error.strerror}"
        raise TransfuseError(Problem(ErrorCode.SYS_004, told, str(path), remedy)) from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
