"""Files of codes for ready rules: releases of ICD, and the lists of the Medicare Code Editor.

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
from schemas.code_maps.bad_lines import BAD_LINES_NAMED
from schemas.code_maps.code_system import ICD9CM, ICD10CM, CodeSystem
from schemas.errors import ErrorCode, Problem, TransfuseError

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
    """The content of a file of codes.

    Attributes:
        sha256: The hexadecimal digest of its bytes.
        system: The revision of the ICD, 9 or 10.
        version: The version that the file names; 0 if it names none.
        lists: The codes of each list, by the list's name.
    """

    sha256: str
    system: int
    version: int = 0
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)


def read_codes_of(system: int) -> Callable[[Path], CodeFile]:
    """A reader of files with a diagnosis code of ICD-9-CM (9) or ICD-10-CM (10) in each line.

    The code ends at a blank, tab, comma or semicolon, behind which its description stands. It
    may have its dot. The reader raises TransfuseError (SYS-004) for a file that can't be read, and
    for bad lines, of which it names the first 20.
    """

    return partial(read_release, system=_DIAGNOSES[system])


def read_release(path: Path, system: CodeSystem) -> CodeFile:
    """Reads a release of any code system.

    Args:
        path: A file as for ``read_codes_of``.
        system: The system of its codes.

    Returns:
        The file, with one list called ``codes``.

    Raises:
        TransfuseError: SYS-004, as for ``read_codes_of``.
    """
    return _codes(str(path), _content(path, "name a file with a code in each line"), system)


def packaged_code_file(system: CodeSystem, year: int | None = None) -> CodeFile:
    """Reads the packaged codes of a system.

    Args:
        system: The code system.
        year: A fiscal year of ICD-10; None for the newest. Of ICD-9 there is version 32 only.

    Returns:
        The file, with one list called ``codes``.

    Raises:
        TransfuseError: SYS-004, the installation is damaged.
    """
    release = packaged_codes.packaged_release(system, year)
    codes = tuple(release.codes.to_pylist())
    return CodeFile(release.sha256, system.revision, lists={"codes": codes})


def descriptions_of(system: CodeSystem, release: Path | int | None = None) -> dict[str, str]:
    """Reads the codes of a release with their titles.

    Args:
        system: The code system.
        release: A file as for ``read_release``, a packaged fiscal year, or None for the newest.

    Returns:
        The title of each code, empty for a code without one.

    Raises:
        TransfuseError: SYS-004, the file can't be read or the installation is damaged.
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
    """Reads a file of the Medicare Code Editor's simple edits.

    Args:
        path: A file of columns separated by tabs, with the header ``MCE_COLUMNS``.

    Returns:
        The file, with a list of diagnosis codes for each edit type.

    Raises:
        TransfuseError: SYS-004, the file can't be read, or has bad lines, of which the first 20
            are named.
    """
    remedy = "name a file such as MCE_Simple_Code_Edits_v32.txt"
    return _mce(str(path), _content(path, remedy))


@lru_cache(maxsize=8)
def _codes(file: str, content: bytes, system: CodeSystem) -> CodeFile:
    codes: dict[str, None] = {}
    bad_lines = []
    form = re.compile(system.form)
    for number, line in _lines(content):
        code, _ = _split_description(line)
        if form.fullmatch(code):
            codes[code] = None
        else:
            bad_lines.append((number, f"no {system.kind} code of {system.name} stands here"))
    _refuse(file, bad_lines, bool(codes), system.kind)
    return CodeFile(_sha256(content), system.revision, lists={"codes": tuple(codes)})


def _split_description(line: str) -> tuple[str, str]:
    """Splits a line of a release into the code and its description."""
    code, *rest = re.split(r"[ \t,;]", line.strip(), maxsplit=1)
    return code.strip('"').replace(".", "").upper(), "".join(rest).strip(' \t,;"')


@lru_cache(maxsize=8)
def _mce(file: str, content: bytes) -> CodeFile:
    lists: dict[str, list[str]] = {}
    bad_lines: list[tuple[int, str]] = []
    versions: tuple[str, ...] = ()
    for number, line in _lines(content):
        cells = line.split("\t")
        if number == 1 and tuple(cells) == MCE_COLUMNS:
            continue
        if number == 1:
            message = f"the header isn't that of the editor's lists: {', '.join(MCE_COLUMNS)}"
            bad_lines.append((number, f"{message}, separated by tabs"))
            break
        reason = _reason_of_bad_line(cells, versions)
        if reason is not None:
            bad_lines.append((number, reason))
            continue
        versions = tuple(cells[:2])
        if cells[5] == "D":
            lists.setdefault(cells[4], []).append(cells[6])
    _refuse(file, bad_lines, bool(lists))
    version, system = map(int, versions)
    return CodeFile(
        _sha256(content), system, version, {name: tuple(codes) for name, codes in lists.items()}
    )


def _reason_of_bad_line(cells: list[str], versions: tuple[str, ...]) -> str | None:
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
    # Descriptions may be in any encoding; they aren't checked.
    text = content.decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _refuse(
    file: str, bad_lines: list[tuple[int, str]], has_codes: bool, kind: str = "diagnosis"
) -> None:
    problems = [
        Problem(ErrorCode.SYS_004, reason, f"{file}:{number}")
        for number, reason in bad_lines[:BAD_LINES_NAMED]
    ]
    if len(bad_lines) > BAD_LINES_NAMED:
        message = f"and {len(bad_lines) - BAD_LINES_NAMED} more bad lines"
        problems.append(Problem(ErrorCode.SYS_004, message, file))
    if not has_codes and not bad_lines:
        problems.append(Problem(ErrorCode.SYS_004, f"the file has no {kind} codes", file))
    if problems:
        raise TransfuseError(problems)


def _content(path: Path, remedy: str) -> bytes:
    try:
        return read_at_most(path, CODES_AT_MOST)
    except OSError as error:
        message = f"the file of codes can't be read: {error.strerror}"
        raise TransfuseError(Problem(ErrorCode.SYS_004, message, str(path), remedy)) from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
