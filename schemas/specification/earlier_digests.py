"""Digests of a specification as earlier versions computed them, by what they knew of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.specification.root import Specification

_LATER_OF_FIELDS = ("century", "zone", "on_ambiguous", "on_error")
_LATER_OF_SOURCES = ("follow_links", "escape")
_LATER_OF_MAPS = ("packaged",)


def is_digest_of(specification: Specification, digest: str) -> bool:
    """Whether a job whose row has the digest ran with this very specification.

    Args:
        specification: A specification as it is now.
        digest: What the job's last run has stored (SHA-256, hex), perhaps by an earlier version.
    """
    return digest in (specification.digest, _digest_of_version_1(specification))


def _digest_of_version_1(specification: Specification) -> str | None:
    """The digest that went with version 1 of the control tables; None if it lacked a key."""
    said: dict[str, Any] = json.loads(specification.migrated_content)
    for part, later in _parts(said):
        if any(part.pop(key, None) for key in later):
            return None
    for entry in said["maps"].values():
        policy = entry.get("policy") or {}
        policy.update({case: "keep_source" for case, do in policy.items() if do == "no_target"})
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _parts(said: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """The parts of a specification that have got keys since, with these keys."""
    for load in said["tables"].values():
        for field in load["fields"].values():
            yield field, _LATER_OF_FIELDS
    for source in (said["source"], *said["sources"].values()):
        if source is not None:
            yield source, _LATER_OF_SOURCES
    for entry in said["maps"].values():
        yield entry, _LATER_OF_MAPS
