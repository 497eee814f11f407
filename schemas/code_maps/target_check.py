"""Which targets of a map are no codes any more: a map is made once, releases come every year."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.gem import GemMap
from schemas.ready_rules.code_files import packaged_release, read_release

OUTDATED_TARGET = "outdated_target"

Outdated = Literal["accept", "warn", "reject"]
"""What becomes of a code whose target isn't in the release."""


@dataclass(frozen=True)
class TargetCheck:
    """The targets of a map that a release lacks, and all codes that it has (string); ``sha256``
    is that of the release's file."""

    action: Outdated
    sha256: str
    outdated: frozenset[str] = field(compare=False, repr=False)
    valid: pa.Array = field(compare=False, repr=False)

    def against(self, gem: GemMap, codes: pa.Array) -> TargetCheck:
        """The same check with its content: the targets of ``gem`` that aren't among ``codes``."""
        targets = gem.entries.column("target_code").drop_null().unique()
        outdated = targets.filter(pc.invert(pc.is_in(targets, value_set=codes)))
        return replace(self, outdated=frozenset(outdated.to_pylist()), valid=codes)

    def unheld(self) -> TargetCheck:
        """The check without its content."""
        return TargetCheck(self.action, self.sha256, frozenset(), pa.array([], pa.string()))


def target_check(gem: GemMap, action: Outdated, release: Path | None) -> TargetCheck:
    """Holds the targets of ``gem`` against a release: a file with a code in each line, or the
    packaged one of fiscal year 2024 (ICD-9-CM: version 32).

    Raises TransfuseError with SYS-004 where the file can't be read, or naming its bad lines.
    """
    file = packaged_release(gem.target) if release is None else read_release(release, gem.target)
    check = TargetCheck(action, file.sha256, frozenset(), pa.array([], pa.string()))
    return check.against(gem, pa.array(file.lists["codes"], pa.string()))
