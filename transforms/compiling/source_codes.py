"""The code system of a column that a rule reads before its codes are translated.

``code_system`` of the target says what the translated code is. A rule that reads the code as the
source has it must go by the system that the map leads from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas.code_maps.gem_file import packaged_gem, read_gem
from schemas.errors import TransfuseError
from schemas.specification.maps import CodeMap
from schemas.specification.table import Field
from transforms.compiling.load_facts import LoadFacts
from transforms.compiling.scope import parts_of


@dataclass(frozen=True)
class SourceSystem:
    """The ``revision`` of the ICD that a column's codes are of, unless a column (``named``) or a
    date says of each row which one."""

    revision: int
    named: str | None
    is_dated: bool


def source_system(facts: LoadFacts, folder: Path, code: str) -> SourceSystem | None:
    """The system of the codes that ``code`` (the name of a field or column) holds.

    None where they aren't those of a column that a GEM of the load translates, or where the GEM
    can't be read, which is reported elsewhere.
    """
    column = _column_read(facts, code)
    for field in facts.load.fields.values():
        entry = facts.specification.maps.get(field.map or "")
        if column is None or entry is None or not entry.is_gem or field.from_ != [column]:
            continue
        try:
            revision = _revision(entry, folder)
        except TransfuseError:
            return None
        named = field.coded_in
        if named is not None and not named.startswith(("src.", "out.")):
            named = f"src.{named}"
        return SourceSystem(revision, named, field.coded_on is not None)
    return None


def _column_read(facts: LoadFacts, name: str) -> str | None:
    """The source column whose values a name stands for, untranslated."""
    *scope, last = parts_of(name)
    if scope == ["src"]:
        return last
    field: Field | None = facts.load.fields.get(last) if scope in ([], ["out"]) else None
    if field is None or field.map is not None or field.from_ is None or len(field.from_) != 1:
        return None
    return str(field.from_[0])


def _revision(entry: CodeMap, folder: Path) -> int:
    if entry.gem is None:
        return packaged_gem("", entry.direction).source.revision
    return read_gem("", folder / entry.gem).source.revision
