"""The definition of a load: what of a specification decides how its rows come out."""

from __future__ import annotations

import json
from typing import Any

from schemas.specification.root import Specification
from transforms.model.program import LoadProgram
from transforms.model.python_function import PythonFunction
from transforms.sql.function_sources import digest_of_functions

FUNCTIONS = "sha256 of its Python functions"
"""Under which name a field has the digest of the functions that compute it."""

SKIPS = "which rows are skipped"
"""Under which name a definition says whether the load's skipped rows are stored."""


def definition(specification: Specification, program: LoadProgram) -> dict[str, Any]:
    """What of the specification decides how a load's rows come out, as JSON has it.

    ``stored`` is what its children need to be kept of it beside its rows, ``held`` what the
    lookup tables of its fields held, by their labels.
    """
    load = specification.tables[program.name]
    used = {f.map for f in load.fields.values() if f.map is not None}
    into = {"into": specification.target_table(program.name)}
    source = specification.named_sources[program.source]
    relevant = {
        "load": load.model_dump(mode="json", by_alias=True) | into,
        # Where it is doesn't matter: whether it is the same is looked at by itself.
        "source": source.model_dump(mode="json", exclude={"url", "path"}),
        "maps": {
            m: specification.maps[m].model_dump(mode="json", by_alias=True) for m in sorted(used)
        },
        "blank": specification.blank_is_missing(load),
        "identified_by": [*program.source_key, *(["ctid"] if program.with_ctid else [])],
        "stored": {
            "the new keys of its rows": program.with_keys,
            SKIPS: program.with_skips,
        },
        "held": dict(program.lookups),
    }
    found: dict[str, Any] = json.loads(json.dumps(relevant))
    for rule in program.rules:
        if rule.memberships:
            # A file of codes that has changed changes the rule.
            files = sorted({m.sha256 for m in rule.memberships})
            found["load"]["rules"][rule.name]["sha256 of its codes"] = ", ".join(files)
    for field in program.fields:
        digest = digest_of_functions([t for t in field.transforms if isinstance(t, PythonFunction)])
        if digest is not None:
            found["load"]["fields"][field.name][FUNCTIONS] = digest
    return found
