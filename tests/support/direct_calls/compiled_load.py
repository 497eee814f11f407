"""A load compiled against tables that exist only here, and batches of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from schemas.catalog import Column, Relation
from schemas.column_types import parse_type
from schemas.specification.reading import read_specification
from transforms.compiling.load import compile_load, sql_constants
from transforms.compiling.load_facts import LoadCatalog, LoadFacts
from transforms.mapping.loaded_maps import Maps
from transforms.mapping.stages import derive_fields, map_fields, prepare, validate_rows
from transforms.model.program import LoadProgram
from transforms.model.source_rows import SourceRows

HEADER = """
job: compiled
source: {url: postgresql:///legacy}
target: {url: postgresql:///target}
"""
STARTED_AT = "2026-11-05T06:07:08+00:00"


def compile_one(
    folder: Path,
    load: str,
    source: Mapping[str, str],
    target: Mapping[str, str],
    more: str = "",
    parent: Mapping[str, str] | None = None,
) -> LoadProgram:
    """Compile a load of a specification.

    Args:
        folder: Where the specification is stored.
        load: The load as YAML, without its name and ``from``.
        source: PostgreSQL types by column of the source table.
        target: The same of the target table.
        more: Further keys of the specification, as ``maps``.
        parent: Types by column of a second load, ``parents``; the first is its key.

    Returns:
        The program of the load, whose name and source table are ``rows``.
    """
    path = folder / "specification.yaml"
    text = f"{HEADER}{more}\ntables:\n  rows: {{from: rows, into: things, {load}}}\n"
    catalogs = {"rows": LoadCatalog("source", (_table("rows", source),), _table("things", target))}
    if parent is not None:
        key = next(iter(parent))
        text += f"  parents: {{from: parents, key: [{key}], copy: {list(parent)}}}\n"
        table = _table("parents", parent)
        catalogs["parents"] = LoadCatalog("source", (table,), table)
    path.write_text(text)
    specification = read_specification(path, {})
    facts = LoadFacts(specification, "rows", catalogs)
    program = compile_load(facts, sql_constants("compiled", STARTED_AT), str(folder))
    assert program is not None, facts.problems
    return program


def _table(name: str, columns: Mapping[str, str]) -> Relation:
    described = tuple(Column(column, parse_type(kind)) for column, kind in columns.items())
    return Relation("public", name, "r", described)


def compute(
    program: LoadProgram, rows: Mapping[str, Sequence[object]]
) -> tuple[pa.RecordBatch, list[tuple[int, str, str]]]:
    """Take rows through the stages of a load that has neither GEM maps nor references.

    Args:
        program: The load.
        rows: Values by source column, in the types of a batch.

    Returns:
        The rows with their target fields (``out.NAME``); and of each violation the ordinal of its
        row, the code and the rule.
    """
    batch, violations = rows_of(program, rows)
    reported = violations.to_pylist()
    for stage in (map_fields, derive_fields, validate_rows):
        batch, violations = stage(batch, program, Maps())
        reported += violations.to_pylist()
    return batch, [(v["_ordinal"], v["code"], v["rule"]) for v in reported]


def rows_of(
    program: LoadProgram, rows: Mapping[str, Sequence[object]]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Make candidates of values by source column; see ``prepare``."""
    types = program.column_types()
    arrays = {
        f"src.{name}": pa.array(values, types[name].arrow)
        for name, values in rows.items()
        if name in types
    }
    # A load of constants reads no column, and a batch without one has no rows.
    count = len(next(iter(rows.values())))
    arrays = arrays or {"src.unread": pa.nulls(count)}
    source = SourceRows(pa.RecordBatch.from_pydict(arrays), {})
    return prepare(source, program, "000001")
