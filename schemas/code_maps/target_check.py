"""Which targets of a map are no codes any more: a map is made once, releases come every year."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from schemas.code_maps.code_files import read_release
from schemas.code_maps.gem import GemMap
from schemas.code_maps.packaged_codes import packaged_release
from schemas.errors import ErrorCode, Problem, TransfuseError

OUTDATED_TARGET = "outdated_target"


class Outdated(str, Enum):
    """The policy for a code whose target isn't in the release."""

    ACCEPT = "accept"
    WARN = "warn"
    REJECT = "reject"


Release = Path | int | None
"""A file with a code in each line, a packaged fiscal year, or the newest packaged release."""


@dataclass(frozen=True)
class TargetCheck:
    """The targets of a map that a release lacks, and all codes that it has (string). ``sha256`` is
    the digest of the release, ``name`` what a packaged one is called (a file: empty)."""

    action: Outdated
    sha256: str
    outdated: frozenset[str] = field(compare=False, repr=False)
    valid: pa.Array = field(compare=False, repr=False)
    name: str = ""

    def against(self, gem: GemMap, codes: pa.Array) -> TargetCheck:
        """The same check with its content: the targets of ``gem`` that aren't among ``codes``."""
        targets = gem.entries.column("target_code").drop_null().unique()
        outdated = targets.filter(pc.invert(pc.is_in(targets, value_set=codes)))
        return replace(self, outdated=frozenset(outdated.to_pylist()), valid=codes)

    def without_content(self) -> TargetCheck:
        """The check without its content."""
        return replace(self, outdated=frozenset(), valid=pa.array([], pa.string()))

    @property
    def label(self) -> str:
        """The release by name and content: ``FY2026 sha256:44f4079c698e``."""
        return f"{self.name} sha256:{self.sha256[:12]}".strip()


def target_check(gem: GemMap, action: Outdated, release: Release) -> TargetCheck:
    """Holds the targets of ``gem`` against a release (of ICD-9-CM only version 32 is packaged).

    Raises TransfuseError with SYS-004 where the file can't be read, or naming its bad lines.
    """
    if isinstance(release, Path):
        file = read_release(release, gem.target)
        codes, sha256, name = pa.array(file.lists["codes"], pa.string()), file.sha256, ""
    elif release is not None and gem.target.revision == 9:
        raise TransfuseError(
            Problem(
                ErrorCode.SYS_004,
                f"FY{release} is a release of ICD-10, and the targets are codes of"
                f" {gem.target.name}",
                remedy="leave 'release' out for version 32, or name a file",
            )
        )
    else:
        packaged = packaged_release(gem.target, release)
        codes, sha256, name = packaged.codes, packaged.sha256, packaged.name
    check = TargetCheck(action, sha256, frozenset(), pa.array([], pa.string()), name)
    return check.against(gem, codes)
