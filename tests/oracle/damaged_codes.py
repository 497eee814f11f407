"""Which code a cell can have meant: each known code with all the spellings that damage it."""

from __future__ import annotations

import lzma
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from tests.support.project import PROJECT

DEFAULT = {"case": True, "dots": True, "zeros": False}


class Read(NamedTuple):
    """``code`` as it is looked up; ``unclear`` why it is none; ``repairs`` what was done to it."""

    code: str
    unclear: str | None = None
    repairs: tuple[str, ...] = ()


class System(NamedTuple):
    """How a code system writes its codes: where the dot goes, what a code looks like, what a dot
    after so many characters makes another system's, how long codes are."""

    without_dot: Callable[[str], str]
    is_code: Callable[[str], bool]
    is_foreign: Callable[[str, int], bool]
    place_of_dot: Callable[[str], int]
    longest: int


def read(
    cell: str, known: frozenset[str], repair: Mapping[str, bool], system: System | None = None
) -> Read:
    """Reads a cell against the codes that are ``known``; ``repair`` where it isn't the default."""
    system = system or ICD9
    allowed = {**DEFAULT, **repair}
    stripped = cell.strip(BLANKS)
    upper = capitals(stripped) if allowed["case"] else stripped
    looked_up = system.without_dot(upper)
    case = ("repaired_case",) if upper != stripped else ()
    if looked_up in known:
        others = {f"{zeros}{looked_up}" for zeros in ("0", "00")} & known
        if looked_up.startswith("0"):
            others = set()
        if allowed["zeros"] and upper.isascii() and upper.isdigit() and others:
            return Read(looked_up, "ambiguous_code")
        return Read(looked_up, None, case if system.is_code(looked_up) else ())
    if several(capitals(stripped)):
        return Read(looked_up, "several_codes")
    found = _meanings(known, system).get(upper, set())
    codes = {code for code, _ in found if code is not None}
    kinds = {kind for code, kind in found if code is not None}
    if not codes or not (allowed["zeros"] or ("dots" in kinds and allowed["dots"])):
        return Read(looked_up)
    procedures = set() if system is not ICD9 else procedure_cells(damaged=False)
    if system is ICD9 and "dots" in kinds:
        procedures = procedure_cells(damaged=True)
    if len(codes) > 1 or len(found) > 1 or upper in procedures:
        return Read(looked_up, "ambiguous_code")
    (code,), (kind,) = codes, kinds
    if not allowed[kind]:
        return Read(looked_up)
    name = {"dots": "repaired_dot", "zeros": "repaired_zero"}[kind]
    return Read(code, None, (*(case if system.is_code(code) else ()), name))


BLANKS = (
    " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\xad\u1680\u180e\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""What no code has around it, visible or not."""


@lru_cache(maxsize=2)
def procedure_cells(damaged: bool) -> frozenset[str]:
    """Procedure codes of ICD-9-CM and their headings, with their dot; ``damaged``: also without
    outer zeros."""
    dotted = {*published_procedures(), *(cell[:4] for cell in published_procedures())}
    if damaged:
        dotted |= {cell[1:] for cell in dotted if cell.startswith("0") and cell[1] != "."}
        dotted |= {cell[:-1] for cell in dotted if cell.endswith("0") and cell[-2] != "."}
    return frozenset(dotted)


def published_procedures() -> frozenset[str]:
    """The procedure codes of ICD-9-CM, with their dot."""
    lines = packaged("gem_i9pcs.txt").decode().splitlines()
    return frozenset(f"{line[:2]}.{line[2:4].strip()}" for line in lines)


def packaged(name: str) -> bytes:
    folder = PROJECT / "schemas" / "code_maps" / "packaged"
    return lzma.decompress((folder / f"{name}.xz").read_bytes())


def capitals(text: str) -> str:
    return "".join(chr(ord(c) - 32) if "a" <= c <= "z" else c for c in text)


def is_code(text: str) -> bool:
    kinds = ("999", "9999", "99999", "V99", "V999", "V9999", "E999", "E9999")
    return "".join("9" if c in "0123456789" else c for c in text) in kinds


def without_dot(code: str) -> str:
    """Without the dot that stands where ICD-9-CM puts it."""
    first, dot, rest = code.partition(".")
    shape = "E999" if code.startswith("E") else "V99" if code.startswith("V") else "999"
    shaped = "".join("9" if c in "0123456789" else c for c in first) == shape
    return first + rest if dot and shaped and all(c in "0123456789" for c in rest) else code


def icd10_without_dot(code: str) -> str:
    """Without the dot after the third character."""
    first, dot, rest = code.partition(".")
    shaped = _shape(first) in ("A99", "A9A")
    return first + rest if dot and shaped and set(_shape(rest)) <= {"9", "A"} else code


def is_icd10_code(text: str) -> bool:
    shape = _shape(text)
    return shape[:2] == "A9" and 3 <= len(shape) <= 7 and set(shape) <= {"9", "A"}


def _shape(text: str) -> str:
    return "".join("9" if c in "0123456789" else "A" if "A" <= c <= "Z" else c for c in text)


ICD9 = System(
    without_dot,
    is_code,
    lambda code, place: place == 3 and code[0].isalpha() and code[1].isdigit(),
    lambda code: 4 if code.startswith("E") else 3,
    5,
)
ICD10 = System(
    icd10_without_dot,
    is_icd10_code,
    lambda code, place: place == 4 and code[0] == "E" and _shape(code[1:4]) == "999",
    lambda _: 3,
    7,
)


def several(cell: str) -> bool:
    """Whether a cell has two codes or more with blanks, commas or the like between them."""
    marks = ",;/|&+"
    blank = r"[ \t\n\f\r]"
    parts = re.split(f"{blank}+", re.sub(rf"{blank}*([{marks}]){blank}*", r"\1", cell))
    parts = [piece for part in parts for piece in re.split(f"[{marks}]", part)]
    return len(parts) > 1 and all(_looks_like_a_code(part) for part in parts)


def _looks_like_a_code(text: str) -> bool:
    """Of ICD-9-CM, diagnosis or dotted procedure, or of ICD-10-CM."""
    shape = _shape(text)
    if shape in ("999", "9999", "99999", "999.9", "999.99", "99.9", "99.99"):
        return True
    if shape == "A999.9" and text[0] == "E":
        return True
    if shape[:3] not in ("A99", "A9A"):
        return False
    rest = shape[3:].removeprefix(".")
    return set(rest) <= {"9", "A"} and len(rest) <= 4 and (rest != "" or len(shape) == 3)


Meaning = tuple["str | None", str]
"""A code, or None for a category of codes, and by which damage."""


@lru_cache(maxsize=8)
def _meanings(known: frozenset[str], system: System) -> dict[str, set[Meaning]]:
    """What each damaged spelling can have meant."""
    found: dict[str, set[Meaning]] = {}
    for code in known:
        for spelling in _with_misplaced_dot(code, system):
            found.setdefault(spelling, set()).add((code, "dots"))
        for lost in range(3):
            if lost == 0 or code.endswith("0" * lost):
                for spelling in _shortened(code[: len(code) - lost], system):
                    found.setdefault(spelling, set()).add((code, "zeros"))
    for category in _categories(known, system.longest):
        for spelling in _shortened(category, system):
            found.setdefault(spelling, set()).add((None, category))
    return found


def _with_misplaced_dot(code: str, system: System) -> Iterator[str]:
    if code.isascii() and code.isalnum():
        for place in range(len(code) + 1):
            spelling = f"{code[:place]}.{code[place:]}"
            placed = system.without_dot(spelling) != spelling
            if not placed and not system.is_foreign(code, place):
                yield spelling


def _shortened(code: str, system: System) -> Iterator[str]:
    """As it stands with and without its dot, and without leading zeros."""
    yield code
    place = system.place_of_dot(code)
    dotted = f"{code[:place]}.{code[place:]}"
    if system.without_dot(dotted) == code:
        yield dotted
    if code.isascii() and code.isdigit():
        for lost in (1, 2):
            if code.startswith("0" * lost) and len(code) > lost:
                # Who drops zeros drops all of them.
                if code[lost] != "0":
                    yield code[lost:]
                if len(code) > 3:
                    yield f"{code[lost:3]}.{code[3:]}"


def _categories(known: frozenset[str], longest: int) -> Iterator[str]:
    longer: dict[str, set[str]] = {}
    for code in known:
        for length in range(3, min(len(code), longest)):
            longer.setdefault(code[:length], set()).add(code[length:])
    for category, endings in longer.items():
        if len(endings) > 1 or any(set(ending) != {"0"} for ending in endings):
            yield category
