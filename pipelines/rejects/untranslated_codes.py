"""Reads the codes that no map translates, ranked by the rows that are rejected for them.

The error sink holds no values, so the codes are read from the source again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import groupby
from typing import Any

import pyarrow as pa

from pipelines.databases.load_compilation import compile_programs
from pipelines.databases.open_databases import Databases
from pipelines.ledger.violation_filter import ViolationFilter
from pipelines.ledger.violation_rows import FieldViolation
from pipelines.maps.gem_maps import gem_uses
from pipelines.maps.lookup_tables import read_lookups
from pipelines.maps.site_decisions import add_site_decisions
from pipelines.rejects.rows_to_replay import refuse_unfindable
from schemas.blanks import INVISIBLE
from schemas.code_maps.gem import GemMap
from schemas.code_maps.outcomes import site_outcomes
from schemas.code_maps.target_codes import NOT_IN_FORCE
from schemas.errors import ErrorCode
from schemas.violations import ORDINAL
from transforms.keys.source_keys import source_keys
from transforms.mapping.code_translator import CodeTranslator
from transforms.mapping.loaded_maps import Maps, new_maps, site_table
from transforms.mapping.raw_codes import RawCodes, raw_codes
from transforms.model.field_maps import CodeTranslation
from transforms.model.partition import Partition
from transforms.model.program import LoadProgram
from transforms.model.rejected_rows import PORTION
from transforms.model.run_context import GemUse
from transforms.model.source_address import SourceReader

DECIDABLE = (
    "approximate", "cluster", "choice", "no_map", "unknown_code", "outdated_target", NOT_IN_FORCE,
)  # fmt: skip
"""The reasons of TRANS-002 about which a decision on the code itself helps."""


@dataclass(frozen=True)
class UntranslatedCode:
    """A code of rejected rows.

    Attributes:
        map: The map that doesn't translate it.
        code: The code with a dot or without, as the source writes it most often.
        looked_up: The form in which it is looked up in the map, repaired if that is possible.
        reason: Why it isn't translated.
        rows: How many rejected rows have it.
        decided: Whether the site has decided on it since.
        is_written_like_one: Whether it has the form of a code of the source's system.
        is_decidable: False for rows for which no decision on it counts: they say that it is of the
            target's system, and it is a code of the source's, or an outdated one of the target's.
    """

    map: str
    code: str
    looked_up: str
    reason: str
    rows: int
    decided: bool
    is_written_like_one: bool
    is_decidable: bool


def untranslated_codes(databases: Databases, wanted: ViolationFilter) -> list[UntranslatedCode]:
    """Read the codes of rejected rows from their source.

    Args:
        databases: The open sources and the target.
        wanted: The filter of rejected rows.

    Returns:
        The codes, those with most rows first.

    Raises:
        TransfuseError: As ``compile_programs`` and ``refuse_unfindable`` raise.
    """
    asked = _read_fields(databases, wanted)
    if not asked:
        return []
    lookups = read_lookups(databases)
    programs = compile_programs(databases, datetime.now(timezone.utc).isoformat(), lookups)
    refuse_unfindable(databases, programs, list(dict.fromkeys(load for load, *_ in asked)))
    uses = add_site_decisions(databases.ledger, gem_uses(databases, programs))
    maps = new_maps(uses, lookups.tables)
    rows: Counter[tuple[str, str, str, bool]] = Counter()
    spellings: dict[tuple[str, str], Counter[str]] = {}
    for name, reason, raw, looked_up, counts in _codes(databases, programs, maps, asked):
        rows[name, looked_up, reason, counts] += 1
        spellings.setdefault((name, looked_up), Counter())[raw] += 1
    decided = {name: _decisions_in_force(use) for name, use in uses.items()}
    codes = [
        UntranslatedCode(
            name,
            _readable_code(spellings[name, looked_up].most_common(1)[0][0], looked_up, uses[name]),
            looked_up,
            reason,
            count,
            counts and looked_up in decided[name],
            re.fullmatch(uses[name].gem.source.form, looked_up) is not None,
            counts,
        )
        for (name, looked_up, reason, counts), count in rows.items()
    ]
    return sorted(codes, key=lambda c: (-c.rows, c.map, c.looked_up, c.reason, c.is_decidable))


def _readable_code(written: str, looked_up: str, use: GemUse) -> str:
    """A code as a person is to read it and to give it back: repaired, in the source's notation."""
    if not re.fullmatch(use.gem.source.form, looked_up):
        return written
    return use.gem.source.with_dot(looked_up) if "." in written else looked_up


def _read_fields(databases: Databases, wanted: ViolationFilter) -> list[FieldViolation]:
    ledger = databases.ledger
    if ledger.job.read() is None:
        return []
    return ledger.violations.read_fields(wanted, ErrorCode.TRANS_002.value, DECIDABLE)


def _codes(
    databases: Databases, programs: dict[str, LoadProgram], maps: Maps, asked: list[FieldViolation]
) -> Iterator[tuple[str, str, str, str, bool]]:
    """Map, reason, code as written and as looked up, of each row and field, and whether a decision
    on it counts."""
    partitions = {(p.load, p.id): p for p in databases.ledger.partitions.read_all()}
    for load, of_load in groupby(asked, key=lambda row: row[0]):
        program = programs[load]
        with closing(databases.sources[program.source].address.open()) as reader:
            for identifier, group in groupby(of_load, key=lambda row: row[1]):
                rows = list(group)
                for start in range(0, len(rows), PORTION):
                    portion = rows[start : start + PORTION]
                    yield from _read(reader, program, partitions[load, identifier], maps, portion)


def _read(
    reader: SourceReader,
    program: LoadProgram,
    partition: Partition,
    maps: Maps,
    asked: list[FieldViolation],
) -> Iterator[tuple[str, str, str, str, bool]]:
    source = reader.rows_with(program, [key for _, _, key, _, _ in asked], partition)
    numbered = source.batch.append_column(ORDINAL, pa.array(range(len(source.batch)), pa.int32()))
    place = {key: n for n, key in enumerate(source_keys(numbered, program, "").to_pylist())}
    seen = set()
    for field in program.fields:
        reasons = [(key, reason) for _, _, key, name, reason in asked if name == field.name]
        used = field.translation
        raw = raw_codes(source, program, field, maps) if used is not None and reasons else None
        if raw is None or used is None:
            continue
        translator = maps.translators[used.gem]
        translation = translator.translator.translate(raw.codes)
        written = raw.codes.to_pylist()
        looked_up: list[Any] = [None] * len(written)
        for n, code in zip(
            translation.column("index").to_pylist(),
            translation.column("source_code").to_pylist(),
            strict=True,
        ):
            looked_up[n] = code
        lapsed = [False] * len(written)
        for key, reason in reasons:
            if key in place:
                lapsed[place[key]] |= reason == NOT_IN_FORCE
        counts = _takes_decisions(translator, used, raw, looked_up, lapsed)
        for key, reason in reasons:
            n = place.get(key)
            seen_as = (key, used.gem, reason, looked_up[n]) if n is not None else None
            if n is None or looked_up[n] is None or seen_as in seen:
                continue
            seen.add(seen_as)
            yield used.gem, reason, str(written[n]).strip(INVISIBLE), looked_up[n], counts[n]


def _takes_decisions(
    translator: CodeTranslator,
    used: CodeTranslation,
    raw: RawCodes,
    looked_up: list[Any],
    lapsed: list[bool],
) -> list[bool]:
    """For which rows a decision on the code that is looked up counts."""
    if translator.by_system is None or not used.revisions:
        return [True] * len(looked_up)
    codes = pa.array(looked_up, pa.string())
    columns = (raw.codes, codes, raw.named, raw.in_force, pa.array(lapsed, pa.bool_()))
    return [bool(one) for one in translator.by_system.takes_decisions(*columns)]


def _decisions_in_force(use: GemUse) -> set[str]:
    """The codes with a decision that holds: one for a target that is rejected as outdated leaves
    its code as it was."""
    outcomes = site_outcomes(
        site_table(use.site), use.gem.source, use.repair.case, use.gem.target, check=use.check
    )
    return {code for code, outcome in outcomes.items() if outcome.rejected is None}


def candidates_of(gem: GemMap, code: str) -> list[tuple[str, str]]:
    """The targets that a map has for a code, with their flags.

    Args:
        gem: The map.
        code: The code in the form in which it is looked up.
    """
    codes = gem.codes.column("source_code")
    place = pa.compute.index(codes, code).as_py()
    if place < 0:
        return []
    first = gem.codes.column("first")[place].as_py()
    entries = gem.entries.slice(first, gem.codes.column("count")[place].as_py())
    pairs: list[tuple[Any, Any]] = list(
        zip(*(entries.column(c).to_pylist() for c in ("target_code", "flags")), strict=True)
    )
    return [(target, flags) for target, flags in pairs if target is not None]
