"""Finds targets of a map that are no longer codes: a map is made once, releases come yearly."""

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
    """A release that the targets of a map are compared with.

    Attributes:
        action: The policy for targets that it lacks.
        sha256: The hexadecimal digest of its codes.
        outdated: The targets that it lacks.
        valid: All its codes (string).
        name: The name of a packaged release; empty for a file.
    """

    action: Outdated
    sha256: str
    outdated: frozenset[str] = field(compare=False, repr=False)
    valid: pa.Array = field(compare=False, repr=False)
    name: str = ""

    def against(self, gem: GemMap, codes: pa.Array) -> TargetCheck:
        """The check of a map's targets against the release's codes."""
        targets = gem.entries.column("target_code").drop_null().unique()
        outdated = targets.filter(pc.invert(pc.is_in(targets, value_set=codes)))
        return replace(self, outdated=frozenset(outdated.to_pylist()), valid=codes)

    def without_content(self) -> TargetCheck:
        """The check without its content."""
        return replace(self, outdated=frozenset(), valid=pa.array([], pa.string()))

    @property
    def label(self) -> str:
        """Name and content of the release: ``FY2026 sha256:44f4079c698e``."""
        return f"{self.name} sha256:{self.sha256[:12]}".strip()


def target_check(gem: GemMap, action: Outdated, release: Release) -> TargetCheck:
    """Compares the targets of a map with a release.

    Args:
        gem: The map.
        action: The policy for targets that the release lacks.
        release: The release. Of ICD-9-CM only version 32 is packaged.

    Raises:
        TransfuseError: SYS-004, the file can't be read or has bad lines, or a fiscal year is named
            for ICD-9-CM.
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
